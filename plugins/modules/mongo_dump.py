#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongo_dump
short_description: Dump a MongoDB replica set or database into one or more repositories
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Writes the archive format of C(mongodump --archive), which the vendor's C(mongorestore) reads.
  - The native dumper reads raw documents over several cursors at a time, in one snapshot of the whole dump where the
    server can; unlike C(mongodump) it can dump a single database consistently.
  - Reads from a secondary where a healthy one is close enough behind.
  - A sharded cluster through C(mongos) is refused; so is everything that can't become a consistent dump, unless
    O(consistency=none).
options:
  database:
    description: Only this database. Left out, the whole instance except V(local) and the server's internal data.
    type: str
  collections:
    description: Which collections; shell patterns over names such as V(shop.orders), or V(orders) with O(database).
    type: dict
    suboptions:
      include:
        description: Only these.
        type: list
        elements: str
      exclude:
        description: Not these.
        type: list
        elements: str
  tool:
    description: V(native) needs nothing but Python on the target, V(mongodump) runs the vendor's program.
    type: str
    choices: [native, mongodump]
    default: native
  tool_directory:
    description: Where C(mongodump) is, when it is not on the PATH.
    type: path
  consistency:
    description:
      - V(snapshot) reads everything at one cluster time (MongoDB 5.0 and later, replica sets).
      - V(oplog) adds the operations that happened during the dump (whole instance only).
      - V(auto) chooses the first of those that the server and the collections allow, and refuses when there is none.
      - V(none) reads each collection as it is.
    type: str
    choices: [auto, snapshot, oplog, none]
    default: auto
  parallel:
    description: How many cursors read at the same time.
    type: int
    default: 4
  users_and_roles:
    description: Whether to include users and roles.
    type: bool
    default: true
  read_preference:
    description: Which member is read.
    type: str
    choices: [secondaryPreferred, secondary, primary]
    default: secondaryPreferred
  max_lag_seconds:
    description: How far a secondary may be behind to be read.
    type: float
    default: 60.0
  raise_history_window:
    description:
      - Whether to make the server's snapshot history longer for the run where it is too short.
      - Needs the role C(hostManager); the old value is put back.
    type: bool
    default: false
  expected_bytes_per_second:
    description: What the plan reckons with when it compares the dump's length with the server's history.
    type: float
  record_hash:
    description:
      - Whether to note the server's own hash (C(dbHash)) of every collection that nobody changed meanwhile.
        Verifications compare the restored copy's with it.
      - The server reads everything twice more, and lets nobody write to a database while it hashes it, so read a
        secondary.
    type: bool
    default: false
extends_documentation_fragment:
  - lifeboat.recovery._mongodb
  - lifeboat.recovery._backup
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
"""

EXAMPLES = r"""
- name: Dump the whole replica set to local disk and S3, encrypted
  lifeboat.recovery.mongo_dump:
    service: family
    source: main
    connection:
      uri_file: /etc/lifeboat/family.uri
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
      - name: offsite
        type: s3
        bucket: acme-backups
        region: eu-west-1
        credentials:
          file: /etc/lifeboat/s3.env
    encryption:
      recipients:
        - age1wztd4v5ztvl3wf6eqpqatgmr65gl0lmtd0mpmyae9nxrgz0l8f3sdnhcq9

- name: Dump one database consistently before a release, keep the plan in the log first
  lifeboat.recovery.mongo_dump:
    service: family
    source: main
    database: second_brain_database
    consistency: snapshot
    connection:
      uri_file: /etc/lifeboat/family.uri
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
    labels:
      before: release 7.2
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
      sample: 20261121T095639Z-6a833f
    state:
      description: V(complete) when every repository has it, V(partial) when one has not.
      type: str
      sample: complete
    path:
      description: Its folder in every repository.
      type: str
      sample: family/main/full/20261121T095639Z-6a833f/
    parent:
      description: The backup that this one is an increment of.
      type: str
      sample: null
    stored_bytes:
      description: Bytes in each repository.
      type: int
      sample: 19775387
    plain_bytes:
      description: Bytes before compression.
      type: int
      sample: 57493031
    seconds:
      description: How long it took.
      type: float
      sample: 2.629
    bytes_per_second:
      description: Bytes read from the source a second.
      type: int
      sample: 21152128
    stages:
      description: Seconds spent in each stage.
      type: dict
      sample:
        starting: 0.0
        inspecting: 0.31
        checking repositories: 0.706
        backing up: 1.593
        finishing: 0.012
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
        - name: dump.archive.zst
          media: mongodump archive
          size: 19775387
          sha256: 0b52efa343fb59f029d507b181decd338db3394744390276c7a25f7b82b9e08a
          plain_size: 57493031
          compression: zstd
          encryption: null
    content:
      description: What the backup holds, in the engine's own words.
      type: dict
      sample:
        replica_set: rs0
        replica_set_id: 6b0166474e7764910247d8e1
        server: db1:27017
        server_role: primary
        server_version: 6.0.5
        feature_compatibility_version: '6.0'
        tool:
          name: native
          version: 0.1.0
        database: second_brain_database
        users_and_roles: true
        consistency:
          mode: snapshot
          reason: every collection is read as of one cluster time
          cluster_time:
            t: 1795254992
            i: 1
            time: '2026-11-21T09:56:32Z'
          outside_snapshot:
          - second_brain_database.audit_log
          came_later: []
        databases:
          second_brain_database:
            active_users:
              documents: 0
              bytes: 0
              uuid: null
              type: view
              crc64: '0000000000000000'
            archived_tasks:
              documents: 0
              bytes: 0
              uuid: fc8c7899970d4af9ac83dae6b5cf3aec
              type: collection
              crc64: '0000000000000000'
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
    job: family/main/full
    engine: mongodb
    steps:
    - Read the database second_brain_database (12 collections and views, with users and roles) from db1:27017
    - 'Dump with the native dump, 4 readers; consistency: snapshot (every collection is read as of one cluster time)'
    - 'Read outside the snapshot: second_brain_database.audit_log'
    facts:
      host: db1:27017
      role: primary
      version: 6.0.5
      feature_compatibility_version: '6.0'
      replica_set: rs0
      replica_set_id: 6b0166474e7764910247d8e1
      members:
      - host: db1:27017
        role: PRIMARY
        healthy: true
        lag_seconds: 0.0
      oplog_hours: 0.32
      snapshot_history_seconds: 300
      databases:
        admin: 1419
        config: 166
        sandbox: 107
        second_brain_database: 57482057
      consistency: snapshot
      consistency_reason: every collection is read as of one cluster time
      collections: 12
    expected_bytes: 57482057
    repositories:
    - name: local
      url: file:///var/backups/lifeboat
      state: ready
      error: null
      free_bytes: 72534130688
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
    mongodb_connection_option,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._backup_module import run_backup_module
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.asking import asking
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.producers.mongodb import full

OWN_OPTIONS = {
    "database": {"type": "str"},
    "collections": {
        "type": "dict",
        "options": {
            "include": {"type": "list", "elements": "str"},
            "exclude": {"type": "list", "elements": "str"},
        },
    },
    "tool": {"type": "str", "choices": ["native", "mongodump"], "default": "native"},
    "tool_directory": {"type": "path"},
    "consistency": {"type": "str", "choices": ["auto", "snapshot", "oplog", "none"], "default": "auto"},
    "parallel": {"type": "int", "default": 4},
    "users_and_roles": {"type": "bool", "default": True},
    "read_preference": {
        "type": "str",
        "choices": ["secondaryPreferred", "secondary", "primary"],
        "default": "secondaryPreferred",
    },
    "max_lag_seconds": {"type": "float", "default": 60.0},
    "raise_history_window": {"type": "bool", "default": False},
    "expected_bytes_per_second": {"type": "float"},
    "record_hash": {"type": "bool", "default": False},
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={**backup_options(), **mongodb_connection_option(), **OWN_OPTIONS},
        supports_check_mode=True,
    )
    run_backup_module(
        module, engine="mongodb", kind="full", factory=full, asking=asking, own_options=tuple(OWN_OPTIONS)
    )


if __name__ == "__main__":
    main()
