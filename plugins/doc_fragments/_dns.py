# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what the modules about names take. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  name:
    description: The record's full name.
    type: str
    required: true
  type:
    description: Its type.
    type: str
    required: true
    choices: [A, AAAA, CNAME]
  zone:
    description: The zone that it is in.
    type: str
    required: true
  values:
    description: What it is to say, addresses, or one name for a CNAME.
    type: list
    elements: str
    required: true
"""
