#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_prepare
short_description: Prepare a PostgreSQL server for its backups
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Compares the server with what the backups of a source need, and changes what does not fit; settings by
    C(ALTER SYSTEM) and a reload, a role for the jobs with the least rights, and lines of C(pg_hba.conf) where the
    server keeps that role out.
  - Restarts nothing. Where a setting takes a restart, RV(restart_needed) says so with the reasons and the command.
  - The role is the one that O(connection) names. It is made with C(pg_monitor), with C(REPLICATION) for base backups,
    and with C(pg_read_all_data) and C(BYPASSRLS) for logical ones. It can't write anything. With O(labels) and O(walg)
    it may call four functions more, in the database of O(connection).
  - What was there before is noted in O(state_directory) on the target, so that O(state=absent) can put it back.
options:
  kinds:
    description:
      - The kinds of backups that are made of the source.
      - V(standby) is for the role that standbys log in with; it may also call what C(pg_rewind) reads its source by.
    type: list
    elements: str
    choices: [logical, base, incremental, wal, standby]
    default: []
  account:
    description:
      - The account of the target that the server's socket lets in as superuser. It is used when the module runs as
        root and O(administrator) names neither a host nor a password.
    type: str
    default: postgres
  spool:
    description:
      - Where the server puts its WAL, with the kind V(wal); C(/var/spool/lifeboat/SERVICE.SOURCE.wal) when left out.
        Make it first with C(lifeboat ship JOB --prepare).
    type: path
  script:
    description: The script that C(archive_command) calls.
    type: path
    default: /usr/local/lib/lifeboat/archive-wal
  archive_timeout:
    description: The longest time until a segment that is not full is stored, such as V(5m); V(45s) when left out.
    type: str
  replace_archiving:
    description: Whether to go on when the server archives its WAL to somebody else. That other archive breaks off then.
    type: bool
    default: false
  rules:
    description: Whether C(pg_hba.conf) may be changed. Without, what it lacks is an error that names the lines.
    type: bool
    default: true
  labels:
    description:
      - Whether the role may make recovery labels; it is then let call C(pg_create_restore_point) and C(pg_switch_wal).
    type: bool
    default: false
  walg:
    description:
      - Whether WAL-G makes base backups as this role; it is then let call C(pg_backup_start) and C(pg_backup_stop), or
        what they were called before PostgreSQL 15.
    type: bool
    default: false
  addresses:
    description: With the kind V(standby), the addresses, networks or names that standbys come from.
    type: list
    elements: str
    default: []
  keep:
    description:
      - With the kind V(standby), the most WAL that a slot keeps for a standby that is away (C(max_slot_wal_keep_size)),
        as the server shows it, such as V(20GB).
      - Left out, a bound that is there stays, and V(10GB) is set where there is none.
    type: str
extends_documentation_fragment:
  - lifeboat.recovery._prepare
  - lifeboat.recovery._postgresql
  - lifeboat.recovery._postgresql.administrator
  - lifeboat.recovery._attributes
notes:
  - The superuser is needed because only one can write settings and see whether a stored password is the right one.
  - The password reaches the server only in the form that it stores, so no log of it shows the password.
  - On a standby, roles and rights are those of its primary; prepare that one first.
seealso:
  - module: lifeboat.recovery.pg_basebackup_walg
  - module: lifeboat.recovery.pg_logical_dump
"""

EXAMPLES = r"""
- name: See what the server lacks
  lifeboat.recovery.pg_prepare:
    service: adhd
    source: main
    kinds:
      - base
      - wal
    connection: &jobs
      host: 127.0.0.1
      user: lifeboat
      database: postgres
      password_file: /etc/lifeboat/adhd.password
  check_mode: true
  diff: true

- name: Change what a reload can change
  lifeboat.recovery.pg_prepare:
    service: adhd
    source: main
    kinds:
      - base
      - wal
    connection: *jobs
  register: server

- name: Say when a restart is due
  ansible.builtin.debug:
    msg: "{{ server.restart_reasons + [server.restart_command] }}"
  when: server.restart_needed
"""

RETURN = r"""
server:
  description: The server that was prepared.
  returned: success
  type: str
  sample: "/var/run/postgresql:5432"
account:
  description: The account that was looked after; none where the jobs come as the administrator or name nobody.
  returned: success
  type: str
  sample: lifeboat
changes:
  description: What was changed, or would be in check mode, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - what: setting archive_mode
      before: 'off'
      after: 'on'
    - what: role lifeboat
      before: none
      after: LOGIN REPLICATION IN ROLE pg_monitor
restart_needed:
  description: Whether the server has to be restarted before the backups can be made. This module restarts nothing.
  returned: success
  type: bool
  sample: true
restart_reasons:
  description: Why, one sentence for each reason.
  returned: success
  type: list
  elements: str
  sample:
    - archive_mode is off until the server is restarted, then on; until then no WAL is archived, and only base backups
      count.
restart_command:
  description: The command that restarts it; empty when no restart is due.
  returned: success
  type: str
  sample: systemctl restart postgresql@15-main.service
unit:
  description: The unit of systemd that the server runs in; none when that can't be told.
  returned: success
  type: str
  sample: postgresql@15-main.service
by_hand:
  description: What only an operator can do, and what the server forgets at its next start.
  returned: success
  type: list
  elements: str
  sample: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: postgresql.archiving_elsewhere
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "If that archive is not needed any more: replace_archiving: true (postgresql_backup_replace_archiving)."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import postgresql_connection_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.prepare import prepare_postgresql
from ansible_collections.lifeboat.recovery.plugins.module_utils._prepare_module import (
    prepare_options,
    run_prepare_module,
)

OWN_OPTIONS = {
    "account": {"type": "str", "default": "postgres"},
    "spool": {"type": "path"},
    "script": {"type": "path", "default": "/usr/local/lib/lifeboat/archive-wal"},
    "archive_timeout": {"type": "str"},
    "replace_archiving": {"type": "bool", "default": False},
    "rules": {"type": "bool", "default": True},
    "labels": {"type": "bool", "default": False},
    "walg": {"type": "bool", "default": False},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "keep": {"type": "str"},
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **prepare_options(kinds=["logical", "base", "incremental", "wal", "standby"]),
            **postgresql_connection_option(),
            "administrator": postgresql_connection_option()["connection"],
            **OWN_OPTIONS,
        },
        supports_check_mode=True,
    )
    run_prepare_module(module, prepare_postgresql, own_options=tuple(OWN_OPTIONS))


if __name__ == "__main__":
    main()
