#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_finish
short_description: Finish an earlier restore, undo it, or remove what it moved aside
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Goes on with a restore that died in its middle, or puts everything back as it was before a restore.
  - Removes what a restore moved aside, for ever; nothing else in the collection does that.
  - Which restores there are to finish is in the result RV(lifeboat.recovery.backup_info#module:restores).
options:
  restore_id:
    description: The restore, by the id that it returned and that M(lifeboat.recovery.backup_info) shows.
    type: str
    required: true
  action:
    description:
      - V(resume) goes on with a restore that died, at the step where it died.
      - V(roll_back) puts everything back as it was before a restore that died or finished. What was written since to
        one that finished is lost, so that needs O(confirm).
      - V(discard) removes for ever what a restore that finished had moved aside. It needs O(confirm).
      - A restore that has come to that end already is left alone, and nothing is changed.
    type: str
    choices: [resume, roll_back, discard]
    required: true
  confirm:
    description: The name of the restore's target, as RV(plan.confirm) shows it in check mode where it is needed.
    type: str
  connection:
    description:
      - Secrets that the restore was given as values, which are not in its notes.
      - Everything else is, references to secrets among it.
    type: dict
    default: {}
    suboptions:
      password:
        description: The password itself.
        type: str
      uri:
        description: MongoDB's URI itself.
        type: str
extends_documentation_fragment:
  - lifeboat.recovery._recovery
  - lifeboat.recovery._decryption
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
notes:
  - The O(state_directory) must be that of the restore; its notes lie there.
  - Of O(repositories), the one that the restore read must be given, under the same name. To roll back or discard, it
    need not be reachable.
seealso:
  - module: lifeboat.recovery.backup_info
  - module: lifeboat.recovery.mongo_restore
  - module: lifeboat.recovery.pg_logical_restore
  - module: lifeboat.recovery.pg_base_restore
  - module: lifeboat.recovery.redis_restore
"""

EXAMPLES = r"""
- name: See which restores somebody is not done with
  lifeboat.recovery.backup_info:
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
  register: known

- name: Undo those that died in their middle
  lifeboat.recovery.restore_finish:
    restore_id: "{{ item.id }}"
    action: roll_back
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
  loop: "{{ known.restores | selectattr('state', 'eq', 'died') }}"

- name: Remove the old data for ever, a week after the restore
  lifeboat.recovery.restore_finish:
    restore_id: 20261121T101112Z-8c1f02
    action: discard
    confirm: /var/lib/postgresql/15/main
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
"""

RETURN = r"""
restore:
  description: What came of it, as the modules that restore return it.
  returned: when something was done
  type: dict
  sample: {}
plan:
  description:
    - The restore as it was found. RV(ignore:state) is V(running), V(died), V(finished), V(rolled back) or V(discarded).
    - RV(ignore:changes) says whether there is anything to do, RV(ignore:confirm) which name must be repeated, if any.
  returned: success
  type: dict
  sample: {}
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: restore.confirmation_missing
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: ""
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import recovery_options
from ansible_collections.lifeboat.recovery.plugins.module_utils._restore_module import run_finish_module


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **recovery_options(),
            "restore_id": {"type": "str", "required": True},
            "action": {"type": "str", "choices": ["resume", "roll_back", "discard"], "required": True},
            "confirm": {"type": "str"},
            "connection": {
                "type": "dict",
                "default": {},
                "options": {"password": {"type": "str", "no_log": True}, "uri": {"type": "str", "no_log": True}},
            },
        },
        supports_check_mode=True,
    )
    run_finish_module(module)


if __name__ == "__main__":
    main()
