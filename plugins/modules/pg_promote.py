#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_promote
short_description: Make a PostgreSQL standby the primary
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Waits until all WAL that the standby has received is replayed, tells it to promote, waits until it takes writes, and
    writes to it.
  - A server that was promoted already is left as it is, so the task can be repeated.
  - Fences nobody. Fence the old primary first (M(lifeboat.recovery.pg_fence)); C(playbooks/promote_standby.yml) does.
options:
  timeline:
    description:
      - The timeline that the standby is on. A standby on another one is refused, and so is a primary on this one.
    type: int
    required: true
extends_documentation_fragment:
  - lifeboat.recovery._standby
  - lifeboat.recovery._postgresql
  - lifeboat.recovery._postgresql.administrator
  - lifeboat.recovery._attributes
notes:
  - There is no way back to the old timeline but a restore. Take a base backup afterwards.
seealso:
  - module: lifeboat.recovery.pg_standby_info
  - module: lifeboat.recovery.pg_fence
  - module: lifeboat.recovery.pg_follow
"""

EXAMPLES = r"""
- name: Promote the standby
  lifeboat.recovery.pg_promote:
    connection:
      host: /var/run/postgresql
      user: lifeboat
      database: postgres
    system_identifier: "{{ standby.state.system_identifier }}"
    timeline: "{{ standby.state.timeline }}"
  become: true
"""

RETURN = r"""
promoted:
  description: What became of it. RV(ignore:switched) is where the new timeline begins.
  returned: success
  type: dict
  sample:
    changed: true
    timeline_before: 1
    timeline: 2
    replayed: 0/5000148
    switched: 0/5000148
    seconds: 0.412
    warnings: []
written:
  description: The proof that it takes writes.
  returned: success, except in check mode
  type: dict
  sample:
    timeline: 2
    position: 0/5000270
    warnings: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: postgresql.promotion_refused
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
from ansible_collections.lifeboat.recovery.plugins.module_utils._standby_module import (
    changing_options,
    promote_standby,
)


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(argument_spec=changing_options(), supports_check_mode=True)
    options = without_none(module.params)
    run_module(module, lambda host: promote_standby(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
