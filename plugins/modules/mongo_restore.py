#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongo_restore
short_description: Restore a MongoDB dump, whole or in part, beside what is there or in its place
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Brings databases and collections back from a dump, with their options, indexes, views and validators.
  - Everything is loaded under other names first and compared with what was noted at backup time. Only then do
    collections change their names, one rename each, and what had the names is kept. When anything fails, the renames
    are taken back.
  - Beside production, give the databases other names (O(suffix) or O(rename)); or replace what is there
    (O(in_place=true)).
options:
  databases:
    description: Only these databases of the backup. All of it when this and O(collections) are left out.
    type: list
    elements: str
  collections:
    description: Only these collections, as C(database.collection).
    type: list
    elements: str
  rename:
    description: Other names for databases, the names in the backup as keys and the new ones as values.
    type: dict
  suffix:
    description: Is put behind the names of all databases that O(rename) does not name, for example V(_recovery).
    type: str
  users_and_roles:
    description: Whether to restore the users and roles of the backup. It needs the databases' own names.
    type: bool
  in_place:
    description: Whether to replace collections that are there. Needs O(confirm).
    type: bool
  others:
    description:
      - What becomes of collections that the target's databases hold and the backup does not; for O(in_place=true).
      - V(keep) leaves them, which is done when this is left out; V(aside) moves them aside, too.
    type: str
    choices: [keep, aside]
  parallel:
    description: How many inserters work at a time, 1 to 64; 4 when left out.
    type: int
  tool:
    description:
      - V(native) reads the archive itself, which is done when this is left out.
      - V(mongorestore) and V(vendor) run the vendor's tool.
    type: str
    choices: [native, mongorestore, vendor]
  tool_directory:
    description: Folder with C(mongorestore), when it is not on the path.
    type: path
extends_documentation_fragment:
  - lifeboat.recovery._mongodb
  - lifeboat.recovery._restore
  - lifeboat.recovery._choice
  - lifeboat.recovery._recover_to
  - lifeboat.recovery._recovery
  - lifeboat.recovery._decryption
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
"""

EXAMPLES = r"""
- name: Restore one database beside production, as second_brain_database_recovery
  lifeboat.recovery.mongo_restore:
    service: family
    source: main
    databases: [second_brain_database]
    suffix: _recovery
    connection:
      uri_file: /etc/lifeboat/family.uri
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: Put one collection back as it was before the accident
  lifeboat.recovery.mongo_restore:
    service: family
    source: main
    before: 2026-11-21T09:00:00Z
    collections: [second_brain_database.families]
    in_place: true
    confirm: "second_brain_database.families at db1:27017"
    connection:
      uri_file: /etc/lifeboat/family.uri
    repositories:
      - name: offsite
        type: s3
        bucket: acme-backups
        prefix: prod
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
      sample: 20261121T163056Z-62a2a7
    target:
      description: The name of what was restored into.
      type: str
      sample: second_brain_database_recovery at 127.0.0.1:27017
    state:
      description: V(finished).
      type: str
      sample: finished
    backup:
      description: The backup that was taken, with the copy that was read and the reason.
      type: dict
      sample:
        id: 20261121T162828Z-43836c
        kind: full
        engine: mongodb
        state: complete
        started: '2026-11-21T16:28:28.466664Z'
        repository: local
        reason: the newest; not verified yet
        stored_bytes: 10135
        plain_bytes: 98998
    where:
      description: Where the data is now.
      type: str
      sample: second_brain_database_recovery at 127.0.0.1:27017
    connect:
      description: A command that opens it.
      type: str
      sample: mongosh 'mongodb://127.0.0.1:27017/second_brain_database_recovery'
    content:
      description: What was restored, in the engine's own words.
      type: dict
      sample:
        collections: 2
        documents: 3400
        expired: 0
        views: 0
        databases:
          second_brain_database_recovery:
            families: 900
            users: 2500
        oplog: null
        users: 0
        roles: 0
    aside:
      description: What was replaced, and where it lies now.
      type: list
      elements: str
      sample: []
    removed:
      description: Nothing; M(lifeboat.recovery.restore_finish) removes what was moved aside.
      type: list
      elements: str
      sample: []
    seconds:
      description: How long it took.
      type: float
      sample: 0.554
    stages:
      description: Seconds spent in each stage.
      type: dict
      sample:
        starting: 0.0
        looking at the target: 0.556
        restoring: 0.001
        Load the backup into second_brain_database_recovery, as lifeboat_20261121T163056Z-62a2a7.*: 0.223
        building indexes: 0.006
        Compare what was loaded with what was dumped: 0.045
        Remove views that are in the way, with their definitions noted: 0.063
        Rename what was loaded to its own names: 0.075
        Make the views: 0.061
        Remove what the restore needed for itself: 0.086
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
      id: 20261121T162828Z-43836c
      kind: full
      engine: mongodb
      state: complete
      started: '2026-11-21T16:28:28.466664Z'
      repository: local
      reason: the newest; not verified yet
      stored_bytes: 10135
      plain_bytes: 98998
    target: second_brain_database_recovery at 127.0.0.1:27017
    replaces: null
    stops: []
    moves: []
    steps:
      - Load the backup into second_brain_database_recovery, as lifeboat_20261121T163044Z-8ca185.*
      - Compare what was loaded with what was dumped
      - Remove views that are in the way, with their definitions noted
      - Rename what was loaded to its own names
      - Make the views
      - Remove what the restore needed for itself
    facts:
      host: 127.0.0.1:27017
      version: 6.0.5
      feature_compatibility_version: '6.0'
      replica_set: rs0
      backup_server_version: 6.0.5
      tool: native
      databases:
        second_brain_database_recovery: 2
      users_and_roles: false
      replaces: []
      stays: []
    needed_bytes: 96390
    free_bytes: 52366180352
    versions: backup of MongoDB 6.0.5, server 6.0.5 (feature compatibility 6.0)
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
  sample: "Look at the plan (--dry-run, check mode), then add --confirm \"second_brain_database_recovery at
    127.0.0.1:27017\" (confirm: \"second_brain_database_recovery at 127.0.0.1:27017\")."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample:
    replaces: second_brain_database_recovery at 127.0.0.1:27017
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import (
    mongodb_connection_option,
    recover_to_option,
    restore_options,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._restore_module import run_restore_module

KINDS = ("full",)
# What is left out is the restorer's to decide.
OWN_OPTIONS = {
    "databases": {"type": "list", "elements": "str"},
    "collections": {"type": "list", "elements": "str"},
    "rename": {"type": "dict"},
    "suffix": {"type": "str"},
    "users_and_roles": {"type": "bool"},
    "in_place": {"type": "bool"},
    "others": {"type": "str", "choices": ["keep", "aside"]},
    "parallel": {"type": "int"},
    "tool": {"type": "str", "choices": ["native", "mongorestore", "vendor"]},
    "tool_directory": {"type": "path"},
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **restore_options(),
            **recover_to_option(),
            **mongodb_connection_option(),
            **OWN_OPTIONS,
        },
        mutually_exclusive=[
            ["id", "before"],
            ["id", "point"],
            ["recover_to", "id"],
            ["recover_to", "before"],
            ["recover_to", "point"],
        ],
        supports_check_mode=True,
    )
    run_restore_module(module, engine="mongodb", kinds=KINDS, own_options=tuple(OWN_OPTIONS))


if __name__ == "__main__":
    main()
