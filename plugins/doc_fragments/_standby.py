# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what the modules take that change a standby. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  account:
    description:
      - The account of the target that the server's socket lets in as superuser. It is used when the module runs as
        root and O(administrator) names neither a host nor a password.
    type: str
    default: postgres
  system_identifier:
    description: The cluster's identifier; a server of another one is refused.
    type: str
    required: true
  timeout:
    description: Seconds until what was asked for must have happened.
    type: int
    default: 60
"""
