#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_standby_info
short_description: See how far a Redis replica is
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Tells whether a server is a primary or a replica and of whom, which history it has, up to where, and whether the
    link to its primary is up. Works for Valkey, too.
  - Changes nothing. Needs C(info).
extends_documentation_fragment:
  - lifeboat.recovery._redis
  - lifeboat.recovery._attributes.info
seealso:
  - module: lifeboat.recovery.redis_promote
  - module: lifeboat.recovery.redis_fence
"""

EXAMPLES = r"""
- name: See how far the replica is
  lifeboat.recovery.redis_standby_info:
    connection:
      host: 10.0.2.5
      password_file: /etc/lifeboat/redis-password
  register: replica
"""

RETURN = r"""
state:
  description: The server. RV(ignore:state.offset) is in bytes of the history; of a replica it is what it has applied.
  returned: success
  type: dict
  sample:
    server: 10.0.2.5:6379
    version: 7.0.15
    run_id: 6d3c5a9f0d1f3f3f1a4c3b5e8a7d2c1b0e9f8a7b
    role: replica
    history: de3d97beabb9a58bcc484018da3c3da2fab29d79
    offset: 88412
    previous_history: null
    switched: null
    follows: 10.0.1.5:6379
    link: up
    silent_seconds: 0
    first_copy_running: false
    loading: false
    fenced: false
    read_only: true
    cluster: false
    replicas: 0
    replica_offsets: []
    keys: 4012
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: redis.unreachable
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Check that the server runs and listens there."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import redis_connection_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._redis_standby_module import redis_standby_info


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(argument_spec=redis_connection_option(), supports_check_mode=True)
    options = without_none(module.params)
    run_module(module, lambda host: redis_standby_info(options, host=host))


if __name__ == "__main__":
    main()
