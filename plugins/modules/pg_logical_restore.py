#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_logical_restore
short_description: Restore a logical dump of PostgreSQL, one database or a whole new cluster
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Brings databases back from a backup by C(pg_dump), in one of four ways.
  - Beside production, which is what happens when nothing else is said, as a new database C(DATABASE_recovery) or
    O(into).
  - In place (O(in_place=true)), where the dump is loaded into a new database first, which then takes the name of the
    old one; the old one is renamed, not removed.
  - Added to a database that is there (O(existing=true)), in one transaction.
  - As a whole new cluster with roles and databases (O(data_directory)).
options:
  database:
    description: The database in the backup. Required unless O(data_directory) is given.
    type: str
  into:
    description:
      - The name of the database that is restored into.
      - Left out, it is that of O(database) with O(in_place=true) and O(existing=true), else that name with
        C(_recovery).
    type: str
  in_place:
    description: Whether to replace the database. Needs O(confirm).
    type: bool
  existing:
    description: Whether to add what the dump holds to a database that is there, in one transaction.
    type: bool
  tables:
    description: Only these tables, as C(schema.table) or C(table).
    type: list
    elements: str
  schemas:
    description: Only these schemas.
    type: list
    elements: str
  roles:
    description: Whether to make the roles that the dump names and the server lacks, from the roles in the backup.
    type: bool
  owners:
    description: Whether objects get the owners that they had, which they do unless this is V(false).
    type: bool
  privileges:
    description: Whether privileges are restored, which they are unless this is V(false).
    type: bool
  tablespaces:
    description: Whether objects go to the tablespaces that they were in, which they do unless this is V(false).
    type: bool
  tolerate:
    description:
      - Parts of error messages that are no reason to give up.
      - Every other error fails the restore.
    type: list
    elements: str
  jobs:
    description: How many tables to load at a time; 1 when left out. More than 1 needs O(scratch_directory).
    type: int
  scratch_directory:
    description: A folder with room for the uncompressed dump.
    type: path
  analyze:
    description: Whether to gather statistics afterwards, which is done unless this is V(false).
    type: bool
  data_directory:
    description: The folder of a whole new cluster, empty or absent, on the target.
    type: path
  databases:
    description: The databases that the new cluster gets; all of the backup when left out. For O(data_directory).
    type: list
    elements: str
  port:
    description: The port of the new cluster; 5432 when left out. For O(data_directory).
    type: int
  start:
    description: Whether the new cluster is left running, which it is unless this is V(false). For O(data_directory).
    type: bool
extends_documentation_fragment:
  - lifeboat.recovery._postgresql
  - lifeboat.recovery._restore
  - lifeboat.recovery._choice
  - lifeboat.recovery._recovery
  - lifeboat.recovery._decryption
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
"""

EXAMPLES = r"""
- name: Restore one database beside production, as mcp_adhd_recovery
  lifeboat.recovery.pg_logical_restore:
    service: adhd
    source: main
    database: mcp_adhd
    connection:
      host: /var/run/postgresql
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
  become: true
  become_user: postgres

- name: Put the database back as it was in a certain backup
  lifeboat.recovery.pg_logical_restore:
    service: adhd
    source: main
    id: 20261121T020000Z-4f2c91
    database: mcp_adhd
    in_place: true
    confirm: mcp_adhd
    connection:
      host: /var/run/postgresql
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
  become: true
  become_user: postgres

- name: Make a whole new cluster of the nightly dump on a new host
  lifeboat.recovery.pg_logical_restore:
    service: adhd
    source: main
    data_directory: /var/lib/postgresql/15/fresh
    port: 5433
    repositories:
      - name: offsite
        type: s3
        bucket: mcp-adhd-backups
        region: eu-west-1
        credentials:
          file: /etc/lifeboat/s3.env
    decryption:
      identity_file: /root/lifeboat.key
"""

RETURN = r"""
restore:
  description: What was restored.
  returned: success, except in check mode
  type: dict
  contains:
    id:
      description: The restore's id; M(lifeboat.recovery.restore_finish) takes it.
      type: str
      sample: 20261121T163028Z-287209
    target:
      description: The name of what was restored into.
      type: str
      sample: mcp_adhd
    state:
      description: V(finished).
      type: str
      sample: finished
    backup:
      description: The backup that was taken, with the copy that was read and the reason.
      type: dict
      sample:
        id: 20261121T162805Z-c1a99a
        kind: logical
        engine: postgresql
        state: complete
        started: '2026-11-21T16:28:05.123804Z'
        repository: local
        reason: the newest; not verified yet
        stored_bytes: 1986
        plain_bytes: 6515
    where:
      description: Where the data is now.
      type: str
      sample: database mcp_adhd on 127.0.0.1:5432
    connect:
      description: A command that opens it.
      type: str
      sample: psql -h 127.0.0.1 -p 5432 -U postgres mcp_adhd
    content:
      description: What was restored, in the engine's own words.
      type: dict
      sample:
        database: mcp_adhd
        tables: 1
        rows: 400
        roles_made: []
        left_out: []
        tolerated: []
    aside:
      description: What was replaced, and where it lies now.
      type: list
      elements: str
      sample:
        - database mcp_adhd_before_20261121t163028z_287209
    removed:
      description: Nothing; M(lifeboat.recovery.restore_finish) removes what was moved aside.
      type: list
      elements: str
      sample: []
    seconds:
      description: How long it took.
      type: float
      sample: 0.734
    stages:
      description: Seconds spent in each stage.
      type: dict
      sample:
        starting: 0.0
        looking at the target: 0.197
        restoring: 0.002
        Load the dump of mcp_adhd into the new database mcp_adhd_restoring_20261121t163028z_287209: 0.409
        Compare what is in mcp_adhd_restoring_20261121t163028z_287209 with what was dumped: 0.241
    warnings:
      description: What an operator should look at.
      type: list
      elements: str
      sample: []
plan:
  description: What would be done, from which backup and why, and what would be replaced.
  returned: in check mode
  type: dict
  sample:
    backup:
      id: 20261121T162805Z-c1a99a
      kind: logical
      engine: postgresql
      state: complete
      started: '2026-11-21T16:28:05.123804Z'
      repository: local
      reason: the newest; not verified yet
      stored_bytes: 1986
      plain_bytes: 6515
    target: mcp_adhd
    replaces: mcp_adhd
    stops:
      - all sessions in mcp_adhd are ended for the moment of the renaming
    moves:
      - database mcp_adhd -> mcp_adhd_before_20261121t163013z_4e7164
    steps:
      - Load the dump of mcp_adhd into the new database mcp_adhd_restoring_20261121t163013z_4e7164
      - Compare what is in mcp_adhd_restoring_20261121t163013z_4e7164 with what was dumped
      - Rename mcp_adhd_restoring_20261121t163013z_4e7164 to mcp_adhd (the old one becomes
        mcp_adhd_before_20261121t163013z_4e7164)
    facts:
      database: mcp_adhd
      into: mcp_adhd
      server_version: '15.18'
      dump_server_version: 15.18 (Debian 15.18-0+deb12u1)
      dump_created: '2026-11-21T16:28:05'
      pg_restore: '15.18'
      objects: 6
      roles_to_make: []
    needed_bytes: 7650663
    free_bytes: 52461289472
    versions: dump of PostgreSQL 15.18, server 15.18, pg_restore 15.18
    forecast: null
    unfinished: []
    warnings: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: restore.confirmation_missing
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Look at the plan (--dry-run, check mode), then add --confirm \"mcp_adhd\" (confirm: \"mcp_adhd\")."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample:
    replaces: mcp_adhd
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import (
    postgresql_connection_option,
    restore_options,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._restore_module import run_restore_module

KINDS = ("logical",)
# What is left out is the restorer's to decide: some options are for one way of restoring only.
OWN_OPTIONS = {
    "database": {"type": "str"},
    "into": {"type": "str"},
    "in_place": {"type": "bool"},
    "existing": {"type": "bool"},
    "tables": {"type": "list", "elements": "str"},
    "schemas": {"type": "list", "elements": "str"},
    "roles": {"type": "bool"},
    "owners": {"type": "bool"},
    "privileges": {"type": "bool"},
    "tablespaces": {"type": "bool"},
    "tolerate": {"type": "list", "elements": "str"},
    "jobs": {"type": "int"},
    "scratch_directory": {"type": "path"},
    "analyze": {"type": "bool"},
    "data_directory": {"type": "path"},
    "databases": {"type": "list", "elements": "str"},
    "port": {"type": "int"},
    "start": {"type": "bool"},
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={**restore_options(), **postgresql_connection_option(), **OWN_OPTIONS},
        mutually_exclusive=[["id", "before"], ["id", "point"]],
        supports_check_mode=True,
    )
    run_restore_module(module, engine="postgresql", kinds=KINDS, own_options=tuple(OWN_OPTIONS))


if __name__ == "__main__":
    main()
