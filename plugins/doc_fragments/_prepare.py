# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what all modules take that prepare a server. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  service:
    description: The service of the description.
    type: str
    required: true
  source:
    description: The source of that service.
    type: str
    required: true
  state:
    description:
      - V(present) changes what does not fit.
      - V(absent) puts back what V(present) has changed and nobody has changed since, and removes the account
        that it made.
    type: str
    choices: [present, absent]
    default: present
  state_directory:
    description: Folder on the target where it is noted what there was before.
    type: path
    default: /var/lib/lifeboat
"""
