#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_basebackup_walg
short_description: Take a physical base backup of a PostgreSQL cluster into one or more repositories
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Streams C(pg_basebackup) through compression and encryption into all repositories at once, with the WAL that
    makes it consistent; nothing is written to the disk of the target.
  - Takes it from a primary or from a standby. PostgreSQL 17 and later can make incremental ones.
  - A cluster with tablespaces of its own is read over the replication protocol, from PostgreSQL 15 on; each tablespace
    becomes a payload of its own. On older servers and with O(tool=walg) such clusters are refused.
options:
  kind:
    description: V(base) is a full one; V(incremental) holds what changed since the newest one (PostgreSQL 17 on).
    type: str
    choices: [base, incremental]
    default: base
  tool:
    description:
      - V(pg_basebackup) streams.
      - V(walg) is for servers that archive with WAL-G. It runs on the server's own host and writes to WAL-G's storage;
        the repositories get what names the backup there. Use it with O(kind=base); its deltas are its own.
    type: str
    choices: [pg_basebackup, walg]
    default: pg_basebackup
  checkpoint:
    description: V(fast) begins at once, V(spread) waits for the server's next checkpoint and adds no load.
    type: str
    choices: [fast, spread]
    default: fast
  max_rate:
    description: The most to read from the server a second, for example V(50M).
    type: str
  require_archiving:
    description: Whether to refuse servers that do not archive their WAL; no point-in-time recovery is possible then.
    type: bool
    default: false
  hold_wal:
    description:
      - How the server is kept from removing WAL that the backup needs.
      - V(auto) uses a temporary replication slot where one is free, V(slot) insists on one, V(none) uses none.
    type: str
    choices: [auto, slot, none]
    default: auto
  keep_manifest:
    description:
      - Whether to keep the backup's manifest in O(state_directory), so that incremental backups can build on it.
      - Left out, it is kept from PostgreSQL 17 on.
    type: bool
  manifest_history:
    description: How many of those manifests to keep.
    type: int
    default: 10
  walg:
    description: What O(tool=walg) needs to know. Exactly one storage must be named.
    type: dict
    suboptions:
      program:
        description: WAL-G, by its name on C(PATH) or its absolute path.
        type: str
        default: wal-g
      config:
        description: The JSON file with WAL-G's settings that C(archive_command) uses, too.
        type: path
      environment:
        description: Settings of WAL-G beside the file. No secrets.
        type: dict
      environment_file:
        description: A file with lines C(NAME=value) for settings that are secret; keep it at mode 0600.
        type: path
      max_steps:
        description: How many deltas may build on a full backup; V(0) for none.
        type: int
        default: 6
      max_age:
        description: When a full backup is too old for another delta.
        type: str
        default: 7d
      full_after_timeline_change:
        description: Whether the first backup after a recovery or promotion is a full one.
        type: bool
        default: true
      archive_wait:
        description: Seconds that WAL may take to arrive in WAL-G's storage before the backup fails.
        type: int
        default: 300
extends_documentation_fragment:
  - lifeboat.recovery._postgresql
  - lifeboat.recovery._backup
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
"""

EXAMPLES = r"""
- name: Take a base backup of the cluster on this host
  lifeboat.recovery.pg_basebackup_walg:
    service: adhd
    source: main
    connection:
      host: /var/run/postgresql
      user: lifeboat
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: Take an incremental one
  lifeboat.recovery.pg_basebackup_walg:
    service: adhd
    source: main
    kind: incremental
    connection:
      host: /var/run/postgresql
      user: lifeboat
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: Take one with WAL-G, which the server archives with already
  lifeboat.recovery.pg_basebackup_walg:
    service: adhd
    source: main
    tool: walg
    walg:
      config: /etc/wal-g/main.json
      max_steps: 6
    connection:
      host: /var/run/postgresql
      user: lifeboat
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
      sample: 20261121T095840Z-ccc769
    state:
      description: V(complete) when every repository has it, V(partial) when one has not.
      type: str
      sample: complete
    path:
      description: Its folder in every repository.
      type: str
      sample: adhd/main/base/20261121T095840Z-ccc769/
    parent:
      description: The backup that this one is an increment of.
      type: str
      sample: null
    stored_bytes:
      description: Bytes in each repository.
      type: int
      sample: 20489151
    plain_bytes:
      description: Bytes before compression.
      type: int
      sample: 91185664
    seconds:
      description: How long it took.
      type: float
      sample: 2.306
    bytes_per_second:
      description: Bytes read from the source a second.
      type: int
      sample: 39088218
    stages:
      description: Seconds spent in each stage.
      type: dict
      sample:
        starting: 0.0
        inspecting: 0.08
        checking repositories: 0.533
        backing up: 0.145
        waiting for the checkpoint: 1.447
        reading the facts again: 0.1
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
        - name: base.tar.zst
          media: pg_basebackup, tar
          size: 20489151
          sha256: 4e598f54682586a51a31956f9a648aa60381f0e0811897954c9db24a618d8aef
          plain_size: 91185664
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
        start_lsn: 0/B000028
        end_lsn: 0/B000100
        wal:
          first: 00000001000000000000000B
          last: 00000001000000000000000B
          segments: 1
          segment_size: 16777216
          held_by_slot: true
        from: primary
        checksums:
          enabled: true
          verified: true
          failures: 0
        archiving:
          mode: 'on'
          archived_count: 3
          last_archived_wal: 00000001000000000000000B.00000028.backup
          last_archived_time: '2026-11-21T09:58:42.410099Z'
          failed_count: 0
          last_failed_wal: null
          last_failed_time: null
        summarize_wal: null
        data_directory: /var/lib/postgresql/15/main
        tablespaces:
        - name: pg_default
          location: ''
          size: 73281236
          oid: 1663
        - name: pg_global
          location: ''
          size: 568668
          oid: 1664
        databases:
        - name: mcp_adhd
          encoding: UTF8
          collation: C.UTF-8
          character_type: C.UTF-8
          connectable: true
          template: false
          size: 50601319
          extensions:
          - name: plpgsql
            version: '1.0'
        - name: postgres
          encoding: UTF8
          collation: C.UTF-8
          character_type: C.UTF-8
          connectable: true
          template: false
          size: 7634279
          extensions:
          - name: plpgsql
            version: '1.0'
        - name: template0
          encoding: UTF8
          collation: C.UTF-8
          character_type: C.UTF-8
          connectable: false
          template: true
          size: 7471619
        tool:
          name: pg_basebackup
          version: '15.18'
        checkpoint: fast
        payload: base.tar
        manifest_payload: null
        manifest_path: null
        parent: null
        finished: '2026-11-21T09:58:43.211163Z'
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
    job: adhd/main/base
    engine: postgresql
    steps:
    - keep its WAL on the server meanwhile, by a temporary replication slot
    - 'stream a full base backup with pg_basebackup 15.18 (checkpoint: fast)'
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
        oid: 1663
      - name: pg_global
        location: ''
        size: 568668
        oid: 1664
    expected_bytes: 90029780
    repositories:
    - name: local
      url: file:///var/backups/lifeboat
      state: ready
      error: null
      free_bytes: 72307421184
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
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.parents import (
    INCREMENTAL_PARENT_KINDS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.producers.postgresql import (
    base,
    incremental,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.questions import asking

OWN_OPTIONS = {
    "tool": {"type": "str", "choices": ["pg_basebackup", "walg"], "default": "pg_basebackup"},
    "checkpoint": {"type": "str", "choices": ["fast", "spread"], "default": "fast"},
    "max_rate": {"type": "str"},
    "require_archiving": {"type": "bool", "default": False},
    "hold_wal": {"type": "str", "choices": ["auto", "slot", "none"], "default": "auto"},
    "keep_manifest": {"type": "bool"},
    "manifest_history": {"type": "int", "default": 10},
    "walg": {
        "type": "dict",
        "options": {
            "program": {"type": "str", "default": "wal-g"},
            "config": {"type": "path"},
            "environment": {"type": "dict"},
            "environment_file": {"type": "path"},
            "max_steps": {"type": "int", "default": 6},
            "max_age": {"type": "str", "default": "7d"},
            "full_after_timeline_change": {"type": "bool", "default": True},
            "archive_wait": {"type": "int", "default": 300},
        },
    },
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **backup_options(),
            **postgresql_connection_option(),
            **OWN_OPTIONS,
            "kind": {"type": "str", "choices": ["base", "incremental"], "default": "base"},
        },
        supports_check_mode=True,
    )
    kind = module.params["kind"]
    run_backup_module(
        module,
        engine="postgresql",
        kind=kind,
        factory=incremental if kind == "incremental" else base,
        asking=asking,
        own_options=tuple(OWN_OPTIONS),
        parent_kinds=INCREMENTAL_PARENT_KINDS if kind == "incremental" else (),
    )


if __name__ == "__main__":
    main()
