#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_follow
short_description: Have a Redis server follow another primary
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Another replica, or an old primary that was fenced, follows the new primary. The link is waited for.
  - What the primary does not have is lost there. A primary that has keys and takes writes is refused; fence it first.
    An empty one follows.
  - Works for Valkey, too. A server that follows it already is left as it is.
options:
  history:
    description: The history of the new primary; another server at that address is refused.
    type: str
    required: true
  timeout:
    description: Seconds until the link must be up, with a first copy where one is needed.
    type: int
    default: 60
extends_documentation_fragment:
  - lifeboat.recovery._redis
  - lifeboat.recovery._redis.administrator
  - lifeboat.recovery._redis.primary
  - lifeboat.recovery._attributes
notes:
  - The administrator needs C(info), C(replicaof) and C(config).
seealso:
  - module: lifeboat.recovery.redis_promote
  - module: lifeboat.recovery.redis_fence
"""

EXAMPLES = r"""
- name: Have the old primary follow the new one
  lifeboat.recovery.redis_follow:
    connection:
      password_file: /etc/lifeboat/redis-password
    primary:
      host: 10.0.2.5
      password_file: /etc/lifeboat/redis-password
    history: "{{ new.promoted.history }}"
"""

RETURN = r"""
followed:
  description: What became of it. RV(ignore:followed.copied) tells whether it had to take a whole copy.
  returned: success
  type: dict
  sample:
    changed: true
    server: 127.0.0.1:6379
    follows: 10.0.2.5:6379
    offset: 88471
    copied: false
    written: true
    seconds: 1.204
    warnings: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: redis.follow_refused
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Look who is primary before anything follows it."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import redis_connection_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._redis_standby_module import (
    follow_redis_primary,
    redis_changing_options,
)


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **redis_changing_options(),
            "primary": redis_connection_option()["connection"],
            "history": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: follow_redis_primary(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
