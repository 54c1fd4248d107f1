#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongo_fence
short_description: Stop a member of a MongoDB replica set for good
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Masks its unit, stops it, and proves that nothing answers at its address. Run it on the member's own host.
  - A member that is stopped is left so; the unit is masked all the same.
options:
  member:
    description: Its address, C(host:port).
    type: str
    required: true
  service_control:
    description: How it is stopped and started. Either C(unit), or both commands.
    type: dict
    suboptions:
      unit:
        description: A unit of systemd; only this can be kept from starting again.
        type: str
      stop_command:
        description: A command that stops the server and returns when it has ended. It is run without a shell.
        type: str
      start_command:
        description: A command that starts the server. It is run without a shell.
        type: str
  timeout:
    description: Seconds until nothing may answer any more.
    type: int
    default: 60
extends_documentation_fragment:
  - lifeboat.recovery._attributes
notes:
  - "To undo it: C(systemctl unmask UNIT) and start it."
seealso:
  - module: lifeboat.recovery.mongo_promote
"""

EXAMPLES = r"""
- name: Fence the member of the lost region
  lifeboat.recovery.mongo_fence:
    member: 10.0.1.7:27017
    service_control:
      unit: mongod
  become: true
"""

RETURN = r"""
fenced:
  description: The evidence.
  returned: success
  type: dict
  sample:
    changed: true
    member: 10.0.1.7:27017
    was_running: true
    masked: true
    warnings: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: mongodb.fence_not_proven
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Describe service_control of the source, or fencing.command."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import service_control_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._mongo_standby_module import fence_old_member


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **service_control_option(),
            "member": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: fence_old_member(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
