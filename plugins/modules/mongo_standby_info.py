#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongo_standby_info
short_description: See how far a member of a MongoDB replica set is
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Asks one member who it is, who is primary, whether a majority is there, and how far each member is, as it sees them.
  - Changes nothing.
options:
  member:
    description: Its address, C(host:port); the only one of the connection's URI without it.
    type: str
extends_documentation_fragment:
  - lifeboat.recovery._mongodb
  - lifeboat.recovery._attributes.info
notes:
  - Needs the role C(clusterMonitor).
seealso:
  - module: lifeboat.recovery.mongo_promote
  - module: lifeboat.recovery.mongo_fence
"""

EXAMPLES = r"""
- name: See how far the member of the second region is
  lifeboat.recovery.mongo_standby_info:
    connection:
      uri_file: /etc/lifeboat/mongodb.uri
    member: 10.0.2.7:27017
  register: member
"""

RETURN = r"""
state:
  description: The set as this member sees it. C(optime) is seconds, number in the second, and term of the last entry.
  returned: success
  type: dict
  sample:
    me: 10.0.2.7:27017
    set_name: rs0
    term: 3
    has_majority: true
    primary: 10.0.1.7:27017
    members:
      - host: 10.0.1.7:27017
        role: PRIMARY
        healthy: true
        votes: 1
        priority: 2.0
        hidden: false
        delayed: false
        arbiter: false
        newest: "2026-11-21T03:10:42.000000Z"
        optime: "1763694642:1:3"
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: mongodb.unreachable
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

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import mongodb_connection_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._mongo_standby_module import mongo_standby_info


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={**mongodb_connection_option(), "member": {"type": "str"}}, supports_check_mode=True
    )
    options = without_none(module.params)
    run_module(module, lambda host: mongo_standby_info(options, host=host))


if __name__ == "__main__":
    main()
