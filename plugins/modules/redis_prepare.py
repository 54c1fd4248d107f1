#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_prepare
short_description: Prepare a Redis or Valkey server for its backups
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Makes the ACL user that O(connection) names, with the few commands that the backups run and no key, and turns on
    what the kinds need; C(appendonly) for V(aof) and V(aof-log), C(aof-timestamp-enabled) for V(aof-log).
  - Has the server write it down where it reads it at its next start (C(ACL SAVE), C(CONFIG REWRITE)). No restart is
    ever needed.
  - What was there before is noted in O(state_directory) on the target, so that O(state=absent) can put it back.
options:
  kinds:
    description: The kinds of backups that are made of the source.
    type: list
    elements: str
    choices: [rdb, aof, aof-log]
    default: []
  labels:
    description: Whether the user may make recovery labels; it is then let run C(TIME), which V(aof-log) needs anyway.
    type: bool
    default: false
extends_documentation_fragment:
  - lifeboat.recovery._prepare
  - lifeboat.recovery._redis
  - lifeboat.recovery._redis.administrator
  - lifeboat.recovery._attributes
notes:
  - The user can copy the whole data set, because replication is how a snapshot is read; it can't write, and reads no
    single key. Guard its password like that of the server.
  - The password reaches the server only as its digest.
seealso:
  - module: lifeboat.recovery.redis_snapshot
"""

EXAMPLES = r"""
- name: Make the user of the jobs, and have times written into the append-only file
  lifeboat.recovery.redis_prepare:
    service: family
    source: cache
    kinds:
      - rdb
      - aof-log
    connection:
      username: lifeboat
      password_file: /etc/lifeboat/redis.password
    administrator:
      password_file: /root/redis.password
"""

RETURN = r"""
server:
  description: The server that was prepared.
  returned: success
  type: str
  sample: "127.0.0.1:6379"
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
    - what: setting aof-timestamp-enabled
      before: 'no'
      after: 'yes'
    - what: user lifeboat
      before: none
      after: -@all +ping +info +config|get +bgsave +replconf +sync +time
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
  sample: redis.permission_denied
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Name an administrator who may run it."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import redis_connection_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.prepare import prepare_redis
from ansible_collections.lifeboat.recovery.plugins.module_utils._prepare_module import (
    prepare_options,
    run_prepare_module,
)

OWN_OPTIONS = {"labels": {"type": "bool", "default": False}}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **prepare_options(kinds=["rdb", "aof", "aof-log"]),
            **redis_connection_option(),
            "administrator": redis_connection_option()["connection"],
            **OWN_OPTIONS,
        },
        supports_check_mode=True,
    )
    run_prepare_module(module, prepare_redis, own_options=tuple(OWN_OPTIONS))


if __name__ == "__main__":
    main()
