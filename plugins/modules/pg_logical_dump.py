#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_logical_dump
short_description: Dump PostgreSQL databases logically into one or more repositories
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Dumps one, several or all databases of a cluster with C(pg_dump), and roles and tablespaces with C(pg_dumpall).
  - The custom format is streamed through compression and encryption into all repositories at once; nothing is written
    to the disk of the target. The directory format dumps several tables at a time and needs a scratch folder.
  - The LSN and the number of rows of every table are read in the very snapshot that is dumped.
options:
  databases:
    description: Names of databases, or V(all) for every one of the cluster.
    type: list
    elements: str
    default: [all]
  format:
    description: V(custom) is streamed, V(directory) is dumped by several processes through O(scratch_directory).
    type: str
    choices: [custom, directory]
    default: custom
  jobs:
    description: How many tables to dump at a time; for O(format=directory).
    type: int
    default: 1
  scratch_directory:
    description: A folder with room for the uncompressed dump. Required with O(format=directory).
    type: path
  globals:
    description: Whether to dump roles and tablespaces as well.
    type: bool
    default: true
  row_counts:
    description: V(exact) counts the rows of every table in the snapshot of the dump, V(none) does not.
    type: str
    choices: [exact, none]
    default: exact
  lock_wait_timeout:
    description: Seconds to wait for a table that somebody holds an exclusive lock on, before the dump fails.
    type: int
    default: 300
  include_schemas:
    description: Only these schemas; patterns as C(pg_dump) takes them.
    type: list
    elements: str
  exclude_schemas:
    description: Not these schemas.
    type: list
    elements: str
  include_tables:
    description: Only these tables.
    type: list
    elements: str
  exclude_tables:
    description: Not these tables.
    type: list
    elements: str
  exclude_table_data:
    description: The definition of these tables, but not their rows.
    type: list
    elements: str
extends_documentation_fragment:
  - lifeboat.recovery._postgresql
  - lifeboat.recovery._backup
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
"""

EXAMPLES = r"""
- name: Dump every database of the cluster to local disk and S3
  lifeboat.recovery.pg_logical_dump:
    service: adhd
    source: main
    connection:
      host: /var/run/postgresql
      user: lifeboat
      passfile: /etc/lifeboat/pgpass
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
      - name: offsite
        type: s3
        bucket: mcp-adhd-backups
        region: eu-west-1
        storage_class: STANDARD_IA
        credentials:
          file: /etc/lifeboat/s3.env
    encryption:
      recipients_file: /etc/lifeboat/recipients.txt
  become: true
  become_user: lifeboat

- name: Dump one database by four processes before a migration
  lifeboat.recovery.pg_logical_dump:
    service: adhd
    source: main
    databases: [mcp_adhd]
    format: directory
    jobs: 4
    scratch_directory: /srv/scratch
    labels:
      before: migration 42
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
"""

RETURN = r"""
backup:
  description: What was made. It exists in every repository whose state in RV(backup.repositories) is V(complete).
  returned: success, except in check mode; also when the task fails because the backup is partial
  type: dict
  contains:
    id:
      description: The backup's id.
      type: str
      sample: 20261121T095829Z-251102
    state:
      description: V(complete) when every repository has it, V(partial) when one has not.
      type: str
      sample: complete
    path:
      description: Its folder in every repository.
      type: str
      sample: adhd/main/logical/20261121T095829Z-251102/
    parent:
      description: The backup that this one is an increment of.
      type: str
      sample: null
    stored_bytes:
      description: Bytes in each repository.
      type: int
      sample: 14283584
    plain_bytes:
      description: Bytes before compression.
      type: int
      sample: 38104192
    seconds:
      description: How long it took.
      type: float
      sample: 1.644
    bytes_per_second:
      description: Bytes read from the source a second.
      type: int
      sample: 22812780
    stages:
      description: Seconds spent in each stage.
      type: dict
      sample:
        starting: 0.0
        inspecting: 0.126
        checking repositories: 0.456
        backing up: 0.046
        dumping roles and tablespaces: 0.123
        dumping mcp_adhd: 0.887
        counting mcp_adhd: 0.003
        finishing: 0.001
    repositories:
      description: Each repository with RV(ignore:name), RV(ignore:url), RV(ignore:state) and RV(ignore:error).
      type: list
      elements: dict
      sample:
        - name: local
          url: file:///var/backups/lifeboat
          state: complete
          error: null
        - name: offsite
          url: s3://acme-backups/prod
          state: complete
          error: null
    payloads:
      description: The stored files with size and SHA-256.
      type: list
      elements: dict
      sample:
        - name: globals.sql.zst
          media: pg_dumpall globals, SQL
          size: 715
          sha256: 9f2379489ce9bc936bdff4f462143d6a4c4d23d45596947b1c43915ad62d560a
          plain_size: 1368
          compression: zstd
          encryption: null
        - name: mcp_adhd.dump.zst
          media: pg_dump custom
          size: 14282869
          sha256: 77c6fc1e380ff9df63e460073cb3b915a585c91a91382ce0eb38658130965936
          plain_size: 38102824
          compression: zstd
          encryption: null
    content:
      description: What the backup holds, in the engine's own words.
      type: dict
      sample:
        server_version: '15.18'
        server_version_number: 150018
        system_identifier: '7710556476547724904'
        timeline: 1
        in_recovery: false
        tool:
          name: pg_dump
          version: '15.18'
        format: custom
        jobs: 1
        row_counts: exact
        selection:
          databases:
          - mcp_adhd
          include_schemas: []
          exclude_schemas: []
          include_tables: []
          exclude_tables: []
          exclude_table_data: []
        globals:
          payload: globals.sql
          role_passwords: true
        databases:
        - name: mcp_adhd
          payload: mcp_adhd.dump
          stored: mcp_adhd.dump.zst
          snapshot_lsn: 0/A002A10
          snapshot_time: '2026-11-21T09:58:30.167263Z'
          encoding: UTF8
          collation: C.UTF-8
          character_type: C.UTF-8
          size: 50601319
          extensions:
          - name: plpgsql
            version: '1.0'
          tables:
            public."Odd ""quoted"" name":
              rows: 50
            public.crisis_sessions:
              rows: 700
          rows: 63750
        finished: '2026-11-21T09:58:31.070941Z'
        warnings: []
    warnings:
      description: What an operator should look at.
      type: list
      elements: str
      sample: []
plan:
  description: What would be done, with the facts that were found and the state of each repository.
  returned: in check mode
  type: dict
  sample:
    job: adhd/main/logical
    engine: postgresql
    steps:
    - dump roles and tablespaces into globals.sql
    - dump the database mcp_adhd with pg_dump 15.18, count the rows of its tables in the same snapshot
    facts:
      version: '15.18'
      version_number: 150018
      system_identifier: '7710556476547724904'
      timeline: 1
      in_recovery: false
      role: lifeboat
      superuser: false
      may_replicate: true
      may_read_passwords: true
      archiving:
        mode: 'on'
        archived_count: 0
        last_archived_wal: null
        last_archived_time: null
        failed_count: 0
        last_failed_wal: null
        last_failed_time: null
      wal_senders_in_use: 0
      settings:
        archive_mode: 'on'
        block_size: '8192'
        data_checksums: 'on'
        data_directory: /var/lib/postgresql/15/main
        hot_standby_feedback: 'off'
        max_replication_slots: '10'
        max_wal_senders: '10'
        max_wal_size: '1024'
        wal_keep_size: '0'
        wal_level: replica
        wal_segment_size: '16777216'
      databases:
      - name: mcp_adhd
        encoding: UTF8
        collation: C.UTF-8
        character_type: C.UTF-8
        connectable: true
        template: false
        size: 50601319
      - name: postgres
        encoding: UTF8
        collation: C.UTF-8
        character_type: C.UTF-8
        connectable: true
        template: false
        size: 7634279
      - name: template0
        encoding: UTF8
        collation: C.UTF-8
        character_type: C.UTF-8
        connectable: false
        template: true
        size: 7471619
      tablespaces:
      - name: pg_default
        location: ''
        size: 73281236
      - name: pg_global
        location: ''
        size: 568668
    expected_bytes: 50601319
    repositories:
    - name: local
      url: file:///var/backups/lifeboat
      state: ready
      error: null
      free_bytes: 72439861248
    - name: offsite
      url: s3://acme-backups/prod
      state: ready
      error: null
      free_bytes: null
    compression:
      method: zstd
      level: 1
    encryption: null
    parent: null
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: lock.held
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "See how far it is: lifeboat status."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import (
    backup_options,
    postgresql_connection_option,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._backup_module import run_backup_module
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.producers.postgresql import (
    logical,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.questions import asking

OWN_OPTIONS = {
    "databases": {"type": "list", "elements": "str", "default": ["all"]},
    "format": {"type": "str", "choices": ["custom", "directory"], "default": "custom"},
    "jobs": {"type": "int", "default": 1},
    "scratch_directory": {"type": "path"},
    "globals": {"type": "bool", "default": True},
    "row_counts": {"type": "str", "choices": ["exact", "none"], "default": "exact"},
    "lock_wait_timeout": {"type": "int", "default": 300},
    "include_schemas": {"type": "list", "elements": "str"},
    "exclude_schemas": {"type": "list", "elements": "str"},
    "include_tables": {"type": "list", "elements": "str"},
    "exclude_tables": {"type": "list", "elements": "str"},
    "exclude_table_data": {"type": "list", "elements": "str"},
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={**backup_options(), **postgresql_connection_option(), **OWN_OPTIONS},
        supports_check_mode=True,
    )
    run_backup_module(
        module, engine="postgresql", kind="logical", factory=logical, asking=asking, own_options=tuple(OWN_OPTIONS)
    )


if __name__ == "__main__":
    main()
