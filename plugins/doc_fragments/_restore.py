# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules that restore. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  confirm:
    description:
      - The name of what is replaced, where something is, exactly as C(replaces) in RV(plan) shows it in check mode.
      - Without it nothing that exists is replaced. A name that does not fit is refused, in check mode, too.
    type: str
extends_documentation_fragment:
  - lifeboat.recovery._choice
  - lifeboat.recovery._recovery
  - lifeboat.recovery._decryption
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
notes:
  - Every run restores anew, so a task that succeeds has always changed something. Check mode changes nothing, and
    returns the plan.
  - What is replaced is moved aside, not removed, and put back when the restore fails at any step. A restore that dies
    is rolled back by the next one into the same target, or finished by M(lifeboat.recovery.restore_finish), which also
    removes what was moved aside when nobody needs it any more.
  - While a restore lasts, C(lifeboat status) on the target and the result
    RV(lifeboat.recovery.backup_info#module:running) show stage, bytes and rate. Its job is C(restore into TARGET), with
    the name that C(target) in RV(plan) shows; M(lifeboat.recovery.backup_follow) takes that, too.
seealso:
  - module: lifeboat.recovery.restore_finish
  - module: lifeboat.recovery.backup_verify
  - module: lifeboat.recovery.backup_info
"""
