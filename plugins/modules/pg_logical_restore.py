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
    target:
      description: The name of what was restored into.
      type: str
    state:
      description: V(finished).
      type: str
    backup:
      description: The backup that was taken, with the copy that was read and the reason.
      type: dict
    where:
      description: Where the data is now.
      type: str
    connect:
      description: A command that opens it.
      type: str
    content:
      description: What was restored, in the engine's own words.
      type: dict
    aside:
      description: What was replaced, and where it lies now.
      type: list
      elements: str
    removed:
      description: Nothing; M(lifeboat.recovery.restore_finish) removes what was moved aside.
      type: list
      elements: str
    seconds:
      description: How long it took.
      type: float
    stages:
      description: Seconds spent in each stage.
      type: dict
    warnings:
      description: What an operator should look at.
      type: list
      elements: str
plan:
  description: What would be done, from which backup and why, and what would be replaced.
  returned: in check mode
  type: dict
  sample: {}
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: restore.confirmation_missing
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: ''
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
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
