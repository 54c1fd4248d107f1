#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_follow
short_description: Have a PostgreSQL standby follow another primary
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Changes the address in C(primary_conninfo), makes the slot that the standby uses on the new primary, reloads, and
    waits until the standby receives the new timeline. How it logs in there stays as it is.
  - A standby that has WAL which the new primary never had is refused; it has to be rebuilt.
options:
  timeline:
    description: The timeline of the new primary.
    type: int
    required: true
  switched:
    description: Where the new timeline left the old one.
    type: str
extends_documentation_fragment:
  - lifeboat.recovery._standby
  - lifeboat.recovery._postgresql
  - lifeboat.recovery._postgresql.administrator
  - lifeboat.recovery._postgresql.primary
  - lifeboat.recovery._attributes
notes:
  - Needs PostgreSQL 13 or later; before, a standby reads where its primary is at its start only.
seealso:
  - module: lifeboat.recovery.pg_promote
"""

EXAMPLES = r"""
- name: Follow the new primary
  lifeboat.recovery.pg_follow:
    connection:
      host: /var/run/postgresql
      user: lifeboat
      database: postgres
    primary:
      host: db2
      user: lifeboat
      passfile: /etc/lifeboat/pgpass
      database: postgres
    system_identifier: "{{ standby.state.system_identifier }}"
    timeline: "{{ made.promoted.timeline }}"
    switched: "{{ made.promoted.switched }}"
  become: true
"""

RETURN = r"""
followed:
  description: What became of it.
  returned: success
  type: dict
  sample:
    changed: true
    sender: db2:5432
    timeline: 2
    received: 0/6000000
    slot_made: null
    seconds: 0.61
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: postgresql.follow_refused
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Bring it back as one: pg_standby with rejoin: auto (docs/runbooks/failback.md)."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import postgresql_connection_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._standby_module import (
    changing_options,
    follow_new_primary,
)


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **changing_options(),
            "primary": postgresql_connection_option()["connection"],
            "switched": {"type": "str"},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: follow_new_primary(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
