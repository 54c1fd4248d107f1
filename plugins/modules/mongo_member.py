#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongo_member
short_description: Have a member in a MongoDB replica set, with these votes and this priority
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Adds the member, or changes its rights. A new one has neither vote nor priority until it has the data, so that the
    set never counts on somebody who has nothing.
  - For a standby in another region C(priority) 0 means that it takes over only when somebody says so.
options:
  member:
    description: Its address, C(host:port) as the other members reach it.
    type: str
    required: true
  priority:
    description: 0 never becomes primary by itself; the highest one does.
    type: float
    default: 0
  votes:
    description: 0 or 1.
    type: int
    default: 1
  hidden:
    description: Applications don't read from it. Needs C(priority) 0.
    type: bool
    default: false
  timeout:
    description: Seconds until it must have the data.
    type: int
    default: 3600
extends_documentation_fragment:
  - lifeboat.recovery._mongodb
  - lifeboat.recovery._attributes
notes:
  - Needs the roles C(clusterMonitor) and C(clusterManager), and the set's own key on the new member.
seealso:
  - module: lifeboat.recovery.mongo_promote
"""

EXAMPLES = r"""
- name: Have a standby in the second region
  lifeboat.recovery.mongo_member:
    connection:
      uri_file: /etc/lifeboat/mongodb.uri
    member: 10.0.2.7:27017
    priority: 0
    votes: 1
"""

RETURN = r"""
member:
  description: What became of it. C(before) is empty of one that was added.
  returned: success
  type: dict
  sample:
    changed: true
    set_name: rs0
    host: 10.0.2.7:27017
    role: SECONDARY
    before: null
    seconds: 41.2
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: mongodb.member_refused
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Change priority, votes or hidden."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import mongodb_connection_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._mongo_standby_module import set_member


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **mongodb_connection_option(),
            "member": {"type": "str", "required": True},
            "priority": {"type": "float", "default": 0},
            "votes": {"type": "int", "default": 1},
            "hidden": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: set_member(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
