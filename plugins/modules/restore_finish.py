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
    description: The name of the restore's target, as C(confirm) in RV(plan) shows it in check mode where it is needed.
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
  sample:
    id: 20261121T163137Z-b5b03c
    target: redis at 127.0.0.1:6379
    state: rolled back
    backup:
      id: 20261121T162740Z-209690
      kind: rdb
      engine: redis
      state: complete
      started: '2026-11-21T16:27:40.955862Z'
      repository: local
      reason: the newest verified
      stored_bytes: 1032
      plain_bytes: 7485
    where: null
    connect: null
    content: {}
    aside: []
    removed: []
    seconds: 0.0
    stages:
      starting: 0.0
      'undoing: start the unit redis-server, wait until it has loaded, and compare the counts': 0.211
      'undoing: put the restored data in its place': 0.027
      'undoing: move the old data aside': 0.03
      'undoing: stop the unit redis-server': 0.22
      'undoing: save what 127.0.0.1:6379 holds now': 0.017
      'undoing: fetch and check the backup beside the old data': 0.014
      'undoing: look at 127.0.0.1:6379 once more': 0.024
    warnings: []
plan:
  description:
    - The restore as it was found. RV(ignore:state) is V(running), V(died), V(finished), V(rolled back) or V(discarded).
    - RV(ignore:changes) says whether there is anything to do, RV(ignore:confirm) which name must be repeated, if any.
  returned: success
  type: dict
  sample:
    id: 20261121T163137Z-b5b03c
    target: redis at 127.0.0.1:6379
    state: finished
    action: roll_back
    changes: true
    confirm: redis at 127.0.0.1:6379
    steps:
      - name: look
        state: done
      - name: fetch
        state: done
      - name: keep
        state: done
      - name: stop
        state: done
      - name: aside
        state: done
      - name: place
        state: done
      - name: start
        state: done
    aside:
      - /var/lib/redis/dump.rdb.before-20261121T163137Z-b5b03c
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: restore.confirmation_missing
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Add --confirm \"redis at 127.0.0.1:6379\" (confirm: \"redis at 127.0.0.1:6379\")."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample:
    replaces: redis at 127.0.0.1:6379
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
