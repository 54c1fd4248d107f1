#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_fence
short_description: Keep an old Redis primary from taking writes
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - A server that answers is made a replica of an address where nobody listens, and writes that into its configuration.
    It takes no writes, also after a restart, and keeps its data. Before that its clients' writes are held up until a
    replica has what was acknowledged.
  - A server that is stopped is kept so by masking its unit.
  - Works for Valkey, too. A server that is fenced is left as it is, so the task can be repeated.
options:
  history:
    description: The history of the primary, as its replica has it; a server of another one is refused.
    type: str
  catch_up:
    description: Seconds for which writes are held up at most until a replica has everything.
    type: float
    default: 10
  unit:
    description: The unit of systemd, masked where the server is stopped.
    type: str
extends_documentation_fragment:
  - lifeboat.recovery._redis
  - lifeboat.recovery._redis.administrator
  - lifeboat.recovery._attributes
notes:
  - "To undo it: C(REPLICAOF NO ONE) and C(CONFIG REWRITE), or C(systemctl unmask)."
  - The administrator needs C(info), C(replicaof), C(config) and C(client).
seealso:
  - module: lifeboat.recovery.redis_promote
  - module: lifeboat.recovery.redis_follow
"""

EXAMPLES = r"""
- name: Fence the old primary
  lifeboat.recovery.redis_fence:
    connection:
      password_file: /etc/lifeboat/redis-password
    history: "{{ replica.state.history }}"
    unit: redis-server
  become: true
  register: old
"""

RETURN = r"""
fenced:
  description: The evidence. RV(ignore:fenced.arrived) tells whether a replica said that it had all of it.
  returned: success
  type: dict
  sample:
    changed: true
    server: 127.0.0.1:6379
    method: replica
    history: de3d97beabb9a58bcc484018da3c3da2fab29d79
    offset: 88412
    arrived: true
    written: true
    masked: false
    warnings: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: redis.fence_not_proven
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Describe the unit (service_control.unit of the source), or fencing.command."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._redis_standby_module import (
    fence_old_redis,
    redis_changing_options,
)


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **redis_changing_options(),
            "history": {"type": "str"},
            "catch_up": {"type": "float", "default": 10},
            "unit": {"type": "str"},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: fence_old_redis(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
