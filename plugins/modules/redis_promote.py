#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_promote
short_description: Make a Redis replica the primary
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Waits for what is on its way, makes the replica a primary, writes to it, and has it write its configuration.
  - A server that was promoted from this history already is left as it is, so the task can be repeated.
  - Fences nobody. Fence the old primary first (M(lifeboat.recovery.redis_fence)). Works for Valkey, too.
options:
  history:
    description: The history that the replica must have.
    type: str
    required: true
  offset:
    description: Up to where the old primary had written, where that is known; it is waited for while the link is up.
    type: int
  timeout:
    description: Seconds for that.
    type: int
    default: 60
extends_documentation_fragment:
  - lifeboat.recovery._redis
  - lifeboat.recovery._redis.administrator
  - lifeboat.recovery._attributes
notes:
  - What proves that it takes writes is a key C(lifeboat:promoted:...) that is removed at once.
  - The administrator needs C(info), C(replicaof), C(config), C(set) and C(del) on C(lifeboat:promoted:*).
seealso:
  - module: lifeboat.recovery.redis_standby_info
  - module: lifeboat.recovery.redis_fence
  - module: lifeboat.recovery.redis_follow
"""

EXAMPLES = r"""
- name: Promote the replica
  lifeboat.recovery.redis_promote:
    connection:
      password_file: /etc/lifeboat/redis-password
    history: "{{ replica.state.history }}"
    offset: "{{ old.fenced.offset }}"
"""

RETURN = r"""
promoted:
  description: What became of it. RV(ignore:lost_bytes) is what the old primary had beyond RV(ignore:applied).
  returned: success
  type: dict
  sample:
    changed: true
    server: 127.0.0.1:6379
    history_before: de3d97beabb9a58bcc484018da3c3da2fab29d79
    history: 7ce56b0451d9e275813a2b9fb35a7934a0eaa64c
    applied: 88412
    lost_bytes: 0
    written: true
    keys: 4012
    seconds: 0.061
    warnings: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: redis.promotion_refused
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Somebody has promoted another server, or this one is the old primary. Make a new plan."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._redis_standby_module import (
    promote_redis_standby,
    redis_changing_options,
)


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **redis_changing_options(),
            "history": {"type": "str", "required": True},
            "offset": {"type": "int"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: promote_redis_standby(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
