#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongo_promote
short_description: Have a region's members elect the primary of a MongoDB replica set
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - While the set has a majority, the members named get the highest priority and the primary hands over; nothing is lost
    that a majority has acknowledged.
  - Without a majority the set is cut down by force to the members named. Every other member that has a vote must be in
    O(fenced) then, for it could elect a primary of its own.
  - Waits until one of the members takes a write that a majority has. A set whose primary is among them is left as it
    is.
options:
  members:
    description: The members that stay and may become primary, C(host:port) as the set's configuration has them.
    type: list
    elements: str
    required: true
  fenced:
    description: Members of which M(lifeboat.recovery.mongo_fence) or something else proved that they take no writes.
    type: list
    elements: str
    default: []
  split_brain_risk:
    description: Cut the set down though others may still elect a primary. Two primaries can't be joined again.
    type: bool
    default: false
  timeout:
    description: Seconds for each thing that is waited for.
    type: int
    default: 60
extends_documentation_fragment:
  - lifeboat.recovery._mongodb
  - lifeboat.recovery._attributes
notes:
  - Needs the roles C(clusterMonitor) and C(clusterManager).
  - A member that was removed by force hears of the newer configuration when it comes back and takes no part. Add it
    again with M(lifeboat.recovery.mongo_member).
seealso:
  - module: lifeboat.recovery.mongo_fence
  - module: lifeboat.recovery.mongo_member
"""

EXAMPLES = r"""
- name: Make the second region's member the primary
  lifeboat.recovery.mongo_promote:
    connection:
      uri_file: /etc/lifeboat/mongodb.uri
    members: ["10.0.2.7:27017"]
    fenced: ["10.0.1.7:27017", "10.0.1.8:27017"]
"""

RETURN = r"""
promoted:
  description: What became of it. C(newest) is the last entry that was there when a set was cut down by force.
  returned: success
  type: dict
  sample:
    changed: true
    way: force
    set_name: rs0
    primary: 10.0.2.7:27017
    term: 4
    removed: ["10.0.1.7:27017", "10.0.1.8:27017"]
    before:
      - {host: "10.0.1.7:27017", priority: 2.0, votes: 1, hidden: false}
      - {host: "10.0.1.8:27017", priority: 1.0, votes: 1, hidden: false}
      - {host: "10.0.2.7:27017", priority: 0.0, votes: 1, hidden: true}
    newest: "2026-11-21T03:10:42.000000Z"
    newest_age_seconds: 9.114
    seconds: 12.481
    warnings: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: mongodb.promotion_refused
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Fence them first (module mongo_fence), or take it upon yourself with split_brain_risk."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import mongodb_connection_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._mongo_standby_module import promote_region


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **mongodb_connection_option(),
            "members": {"type": "list", "elements": "str", "required": True},
            "fenced": {"type": "list", "elements": "str", "default": []},
            "split_brain_risk": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: promote_region(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
