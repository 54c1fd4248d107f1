#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongo_prepare
short_description: Prepare MongoDB for its backups
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Makes the user that the jobs' URI names, with the roles C(backup) and C(clusterMonitor) and no other, unless the
    jobs set parameters themselves (O(manages)).
  - Makes the oplog of every member as large, and has it kept as long, as is asked for. All of it while the server
    runs; no restart is ever needed.
  - What was there before is noted in O(state_directory) on the target, so that O(state=absent) can put it back.
options:
  kinds:
    description: The kinds of backups that are made of the source.
    type: list
    elements: str
    choices: [full, oplog]
    default: []
  oplog_mib:
    description: The size that the oplog of each member has at least, in MiB; V(0) leaves it alone. It lasts.
    type: int
    default: 0
  oplog_hours:
    description:
      - How many hours each member keeps its oplog at least; V(0) leaves it alone.
      - Servers forget it at their next start unless C(storage.oplogMinRetentionHours) of C(mongod.conf) says the
        same, which RV(by_hand) tells.
    type: float
    default: 0.0
  manages:
    description:
      - Whether the jobs set parameters of the server themselves (C(keep_oplog_hours), C(raise_history_window)). Their
        user gets the role C(hostManager), too.
    type: bool
    default: false
extends_documentation_fragment:
  - lifeboat.recovery._prepare
  - lifeboat.recovery._mongodb
  - lifeboat.recovery._mongodb.administrator
  - lifeboat.recovery._attributes
notes:
  - A standalone server has no oplog. With the kind V(oplog) that is an error that says how to make it a replica set.
seealso:
  - module: lifeboat.recovery.mongo_dump
"""

EXAMPLES = r"""
- name: Make the user of the jobs, and keep two days of oplog
  lifeboat.recovery.mongo_prepare:
    service: family
    source: main
    kinds:
      - full
      - oplog
    oplog_hours: 48
    connection:
      uri_file: /etc/lifeboat/family.uri
    administrator:
      uri_file: /root/family-admin.uri
"""

RETURN = r"""
server:
  description: The server that was prepared.
  returned: success
  type: str
  sample: "mongodb://127.0.0.1:27017"
account:
  description: The account that was looked after; none where the jobs come as the administrator or name nobody.
  returned: success
  type: str
  sample: lifeboat
changes:
  description: What was changed, or would be in check mode, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - what: user lifeboat
      before: none
      after: in admin, with backup, clusterMonitor
    - what: least hours of the oplog of db1:27017
      before: '0'
      after: '48'
restart_needed:
  description: Whether the server has to be restarted before the backups can be made. This module restarts nothing.
  returned: success
  type: bool
  sample: false
restart_reasons:
  description: Why, one sentence for each reason.
  returned: success
  type: list
  elements: str
  sample: []
restart_command:
  description: The command that restarts it; empty when no restart is due.
  returned: success
  type: str
  sample: ''
unit:
  description: The unit of systemd that the server runs in; none when that can't be told.
  returned: success
  type: str
  sample: null
by_hand:
  description: What only an operator can do, and what the server forgets at its next start.
  returned: success
  type: list
  elements: str
  sample: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: mongodb.no_oplog
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Make it a replica set of one member."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import mongodb_connection_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.prepare import prepare_mongodb
from ansible_collections.lifeboat.recovery.plugins.module_utils._prepare_module import (
    prepare_options,
    run_prepare_module,
)

OWN_OPTIONS = {
    "oplog_mib": {"type": "int", "default": 0},
    "oplog_hours": {"type": "float", "default": 0.0},
    "manages": {"type": "bool", "default": False},
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **prepare_options(kinds=["full", "oplog"]),
            **mongodb_connection_option(),
            "administrator": mongodb_connection_option()["connection"],
            **OWN_OPTIONS,
        },
        supports_check_mode=True,
    )
    run_prepare_module(module, prepare_mongodb, own_options=tuple(OWN_OPTIONS))


if __name__ == "__main__":
    main()
