# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules that read backups back. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  state_directory:
    description:
      - Folder on the target for locks, progress, run records and the notes of restores. Made when missing.
      - A restore that died is found by these notes, so all runs on a target must name the same folder.
    type: path
    default: /var/lib/lifeboat
  lock_timeout:
    description: Seconds to wait when another run works on the same thing; 0 fails at once and says who it is.
    type: int
    default: 0
notes:
  - The programs C(zstd) and C(age) must be on the target where backups are compressed and encrypted.
  - No secret is ever placed in an argument list, in notes or in a result. Prefer the options that end in C(_file),
    C(_env) or C(_command) over values.
"""
