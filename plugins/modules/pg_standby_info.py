#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_standby_info
short_description: See how far a PostgreSQL standby is
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Tells what a server has received and replayed, on which timeline it is, and when it last heard from its primary.
  - Works for primaries, too; RV(state) then says up to where they have written.
  - Changes nothing. Needs a role of C(pg_monitor).
extends_documentation_fragment:
  - lifeboat.recovery._postgresql
  - lifeboat.recovery._attributes.info
seealso:
  - module: lifeboat.recovery.pg_promote
"""

EXAMPLES = r"""
- name: See how far the standby is
  lifeboat.recovery.pg_standby_info:
    connection:
      host: /var/run/postgresql
      user: lifeboat
      database: postgres
  register: standby

- name: Say how much it has not replayed
  ansible.builtin.debug:
    var: standby.state.lag_bytes
"""

RETURN = r"""
state:
  description: The server. Positions are as PostgreSQL writes them, times are UTC.
  returned: success
  type: dict
  sample:
    server: "/var/run/postgresql:5432"
    version: 150018
    system_identifier: '7573254118922153021'
    in_recovery: true
    timeline: 1
    received: 0/5000148
    replayed: 0/5000148
    written: null
    lag_bytes: 0
    receiving: true
    primary_end: 0/5000148
    last_message: '2026-11-21T18:03:12.118240Z'
    asked: '2026-11-21T18:03:12.205117Z'
    last_commit: '2026-11-21T18:03:11.902211Z'
    paused: false
    sender: db1:5432
    slot: null
    data_directory: /var/lib/postgresql/15/main
    synchronous: ''
    synchronous_connected: 0
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: postgresql.unreachable
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Run: pg_isready -h db2 -p 5432"
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import postgresql_connection_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._standby_module import standby_info


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(argument_spec=postgresql_connection_option(), supports_check_mode=True)
    options = without_none(module.params)
    run_module(module, lambda host: standby_info(options, host=host))


if __name__ == "__main__":
    main()
