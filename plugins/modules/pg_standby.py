#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_standby
short_description: Make a streaming standby of PostgreSQL, or bring a former primary back as one
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Runs on the host of the standby. Copies the primary by C(pg_basebackup), or restores a base backup from the
    repositories, so that the primary is not read for it; makes a replication slot for it there, starts it as a standby,
    and waits until it has received and replayed what its primary had.
  - A former primary, stopped, becomes a standby of its successor with O(rejoin). One that was shut down in order just
    follows; one that has writes of its own is rewound by C(pg_rewind), or copied anew where that can't be. RV(standby)
    says which way was taken and why.
  - A folder whose server runs as a primary is never touched, nor one of another cluster.
  - A standby that is there already keeps running; its settings are compared and taken by a reload. It is never
    restarted.
  - One that runs and can never catch up, because the WAL that it needs next is gone, is rebuilt with O(rejoin=rebuild),
    and refused without. It has to be proven. It is in recovery, has asked for WAL, receives none and does not come on;
    O(primary) has removed the segment that it needs and has later ones; and the archive, where it has one, lacks it and
    has later ones. RV(standby) says what is not proven.
options:
  name:
    description:
      - What the primary calls the standby (C(application_name)).
      - O(slot) is derived from it.
    type: str
    required: true
  data_directory:
    description: The data folder of the standby. Its parent must be there; it must not be a mount point itself.
    type: path
    required: true
  slot:
    description: The replication slot at the primary. Left out, O(name) with underscores for what a slot can't have.
    type: str
  seed:
    description:
      - Where the first copy comes from, and that of a rebuild.
      - V(primary) is copied by C(pg_basebackup). V(repository) takes a base backup; the rest is WAL, of the archive
        first (O(wal_fetch)), then of the primary.
    type: str
    choices: [primary, repository]
    default: primary
  rejoin:
    description:
      - What may be done with a stopped cluster in O(data_directory) that can't just follow.
      - V(auto) rewinds it where that can be, and rebuilds it else. V(rewind) and V(rebuild) do that or nothing.
      - V(rebuild) is also the word for a standby that runs, and whose WAL is proven to be gone; its server is stopped.
      - A rebuild moves what was there aside. It can be started as a standby only, and is yours to remove.
    type: str
    choices: [never, auto, rewind, rebuild]
    default: never
  accept_data_loss:
    description: Whether a rewind may take away commits that are in O(data_directory) and nowhere else. They are
      counted first.
    type: bool
    default: false
  passfile:
    description:
      - The password file that the server itself logs in with at its primary. It is written with mode 0600 where
        O(primary) has a password; a O(primary.passfile) is used as it is.
      - Left out, it is O(data_directory) with C(.pgpass) behind it.
    type: path
  settings:
    description: Settings of the standby beside those that make it one, such as V(port).
    type: dict
    default: {}
  wal_cache:
    description:
      - A folder through which the standby gets WAL that its primary has no longer. A process answers there what is
        asked for, C(lifeboat fetch-wal --serve), so that the server's account needs no key of the repositories.
      - Left out, WAL comes from the primary alone, unless O(wal_fetch) is given.
    type: path
  wal_fetch:
    description:
      - A command and its arguments that gets WAL from the archive where no process answers in O(wal_cache). It gets a
        name and a path as well, and ends with 0 (it is there) or 3 (there is none), as C(lifeboat fetch-wal) does.
      - It is run by the server's account.
    type: list
    elements: str
    default: []
  wal_script:
    description: The script that C(restore_command) calls.
    type: path
    default: /usr/local/lib/lifeboat/fetch-wal
  bin_directory:
    description: Folder with the server's programs, when they are not where the distribution puts them.
    type: path
  service_control:
    description:
      - How the standby is started; C(pg_ctl) without it.
      - Either O(service_control.unit), or both commands.
    type: dict
    suboptions:
      unit:
        description: A unit of systemd. One that was masked by fencing is unmasked.
        type: str
      stop_command:
        description: A command that stops the server and returns when it has ended. It is not run.
        type: str
      start_command:
        description: A command that starts the server. It is run without a shell.
        type: str
  timeout:
    description: Seconds for the start, and until the standby has caught up.
    type: int
    default: 3600
extends_documentation_fragment:
  - lifeboat.recovery._postgresql
  - lifeboat.recovery._postgresql.primary
  - lifeboat.recovery._choice
  - lifeboat.recovery._recovery
  - lifeboat.recovery._decryption
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
notes:
  - O(primary) may itself be a standby; then this one is a cascade.
  - The role of O(primary) needs C(REPLICATION) and C(pg_monitor), and for a rewind the right to call the functions that
    C(pg_rewind) names in its documentation. M(lifeboat.recovery.pg_prepare) gives them for the kind V(standby).
  - Run it as the user who owns the cluster, or as root.
seealso:
  - module: lifeboat.recovery.pg_standby_info
  - module: lifeboat.recovery.pg_follow
  - module: lifeboat.recovery.pg_fence
"""

EXAMPLES = r"""
- name: Make a standby out of the newest verified base backup
  lifeboat.recovery.pg_standby:
    name: south
    data_directory: /var/lib/postgresql/15/main
    seed: repository
    connection:
      host: /var/run/postgresql
      user: lifeboat
      database: postgres
    primary:
      host: db1
      user: lifeboat_standby
      password_file: /etc/lifeboat/standby.password
      database: postgres
    service: adhd
    source: main
    repositories:
      - name: offsite
        type: s3
        bucket: mcp-adhd-backups
    wal_cache: /var/lib/lifeboat/standby/adhd.main
    service_control:
      unit: postgresql@15-main
  become: true

- name: Bring the former primary back as a standby of its successor
  lifeboat.recovery.pg_standby:
    name: north
    data_directory: /var/lib/postgresql/15/main
    rejoin: auto
    connection:
      host: /var/run/postgresql
      user: lifeboat
      database: postgres
    primary:
      host: db2
      user: lifeboat_standby
      password_file: /etc/lifeboat/standby.password
      database: postgres
    service: adhd
    source: main
    repositories: []
    service_control:
      unit: postgresql@15-main
  become: true
"""

RETURN = r"""
standby:
  description:
    - What became of it. RV(ignore:way) is C(create), C(configure), C(start), C(follow), C(rewind) or C(rebuild).
    - RV(ignore:only_here) are the commits that a former primary had and its successor lacks.
  returned: success
  type: dict
  sample:
    changed: true
    way: rewind
    why: it left its successor's way at 0/5000148
    steps:
      - make the slot north at db2:5432
      - rewind /var/lib/postgresql/15/main to db2:5432 by pg_rewind
      - remove the slots that it had as a primary
      - have it follow db2:5432 as north
      - start it, and wait until it has received and replayed all that its primary has
    slot: north
    slot_made: true
    only_here:
      received: 0/5000148
      count: 17
      ends: []
      first: 2026-11-21 18:03:11.902211 UTC
      last: 2026-11-21 18:03:12.118240 UTC
    aside: null
    state:
      server: "/var/run/postgresql:5432"
      in_recovery: true
      timeline: 2
      receiving: true
    warnings: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: postgresql.standby_refused
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Set rejoin: auto (pg_rewind where it can, else rebuilt), rewind or rebuild."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import (
    choice_options,
    postgresql_connection_option,
    recovery_options,
    service_control_option,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._standby_making_module import make_or_rejoin


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **recovery_options(),
            **choice_options(),
            **postgresql_connection_option(),
            **service_control_option(),
            "primary": postgresql_connection_option()["connection"],
            "name": {"type": "str", "required": True},
            "data_directory": {"type": "path", "required": True},
            "slot": {"type": "str"},
            "seed": {"type": "str", "choices": ["primary", "repository"], "default": "primary"},
            "rejoin": {"type": "str", "choices": ["never", "auto", "rewind", "rebuild"], "default": "never"},
            "accept_data_loss": {"type": "bool", "default": False},
            "passfile": {"type": "path", "no_log": False},
            "settings": {"type": "dict", "default": {}},
            "wal_fetch": {"type": "list", "elements": "str", "default": []},
            "wal_script": {"type": "path", "default": "/usr/local/lib/lifeboat/fetch-wal"},
            "wal_cache": {"type": "path"},
            "bin_directory": {"type": "path"},
            "timeout": {"type": "int", "default": 3600},
        },
        mutually_exclusive=[["id", "before"], ["id", "point"]],
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: make_or_rejoin(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
