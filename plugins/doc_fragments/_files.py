# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option ``connection`` for files. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  connection:
    description: Which files of the target. A restore takes the paths from the backup, and needs none here.
    type: dict
    default: {}
    suboptions:
      paths:
        description:
          - Absolute paths of files and folders, with all that is below them.
          - V(*), V(?), V([abc]) and V(**) stand for others.
          - One that is not there, or matches nothing, is an error.
        type: list
        elements: str
      optional_paths:
        description: The same of what may be missing; then it is a warning, and noted in the backup.
        type: list
        elements: str
      exclude:
        description:
          - Patterns of what to leave out, folders with all that is below them.
          - V(*.pyc) is a name anywhere, V(conf.d/*.bak) the end of a path, V(/etc/ssl/private) a whole path.
        type: list
        elements: str
"""
