#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_base_restore
short_description: Restore a physical base backup of PostgreSQL, with its increments
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Brings a whole cluster back from a physical backup (a base backup, or an incremental one with all that it builds
    on), into a folder beside its source or in place of the cluster that is there.
  - In place, the cluster is stopped and its folder is moved aside by a rename; when anything fails, it is put back and
    started again.
  - The cluster comes back as of the backup's end, on the WAL that the backup holds itself.
options:
  kind:
    description:
      - V(base) is a full base backup, V(incremental) an increment, which is joined with its chain by
        C(pg_combinebackup).
      - Left out, it is that of the backup that O(id) names, else V(base).
    type: str
    choices: [base, incremental]
  data_directory:
    description:
      - The data folder of the restored cluster. Empty or absent, unless O(in_place=true).
    type: path
    required: true
  in_place:
    description: Whether to replace the cluster in O(data_directory). Needs O(confirm), and O(service_control) unless
      O(start=false).
    type: bool
  start:
    description:
      - Whether to start the restored cluster.
      - Left out, it is started with O(in_place=true), and not beside its source.
    type: bool
  port:
    description: The port of a copy beside its source; needed to start it.
    type: int
  listen_addresses:
    description: The addresses that a copy beside its source listens on; only a socket when left out.
    type: str
  bin_directory:
    description: Folder with the server's programs, when they are not where the distribution puts them.
    type: path
  config_directory:
    description:
      - A folder with C(postgresql.conf) and the files that belong to it, copied into the data folder.
      - Debian keeps a cluster's configuration outside of it, and so outside of base backups.
    type: path
  verify:
    description: Whether to check every file by C(pg_verifybackup) before anything is replaced; done unless V(false).
    type: bool
  new_timeline:
    description:
      - Whether the restored cluster begins a new timeline, so that what it archives is kept apart from what was.
      - Done unless V(false).
    type: bool
  standby:
    description:
      - Whether the restored cluster is left as one that can only be started as a standby; for O(in_place=true) and
        O(start=false).
      - Whom it follows is told by M(lifeboat.recovery.pg_standby), which does all of this itself.
    type: bool
  start_timeout:
    description: Seconds that the start with its recovery may take; 3600 when left out.
    type: float
  tablespace_map:
    description:
      - Which folder each tablespace of the backup is restored into; the keys are their names, their numbers (OIDs) or
        the folders that they had. Beside its source each must be empty or absent.
      - Left out, they go into O(tablespace_directory), and without that to where they were with O(in_place=true). A
        copy beside its source is refused then, because it would write into the folders of its source.
    type: dict
  tablespace_directory:
    description: A folder in which each tablespace that O(tablespace_map) does not name gets a folder of its own.
    type: path
  walg:
    description:
      - Where WAL-G is and its storage, for backups that were made by it.
      - Left out, WAL-G from C(PATH) reads the configuration that the backup's manifest names.
    type: dict
    suboptions:
      program:
        description: WAL-G, by its name on C(PATH) or its absolute path.
        type: str
        default: wal-g
      config:
        description: A JSON file with WAL-G's settings.
        type: path
      environment:
        description: Settings of WAL-G beside the file. No secrets.
        type: dict
      environment_file:
        description: A file with lines C(NAME=value) for settings that are secret.
        type: path
      recover_to:
        description:
          - A point behind the backup's end, reached with WAL from WAL-G's archive on the backup's own timeline.
          - One of C(time), C(lsn), C(xid), C(name) and C(latest) (true), with C(action) and C(exclusive) as elsewhere.
        type: dict
extends_documentation_fragment:
  - lifeboat.recovery._postgresql
  - lifeboat.recovery._service_control
  - lifeboat.recovery._restore
  - lifeboat.recovery._choice
  - lifeboat.recovery._recover_to
  - lifeboat.recovery._recovery
  - lifeboat.recovery._decryption
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
notes:
  - Of O(connection) only O(connection.bin_directory) is heeded, where O(bin_directory) is left out; it is taken whole
    so that one setting serves all modules of PostgreSQL.
  - Run it as the user who owns the cluster, or as root.
"""

EXAMPLES = r"""
- name: Restore the newest verified base backup beside production, and start it
  lifeboat.recovery.pg_base_restore:
    service: adhd
    source: main
    data_directory: /var/lib/postgresql/15/recovery
    config_directory: /etc/postgresql/15/main
    port: 5433
    start: true
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: Replace the cluster by a backup of before the accident
  lifeboat.recovery.pg_base_restore:
    service: adhd
    source: main
    before: 2026-11-21T09:00:00Z
    data_directory: /var/lib/postgresql/15/main
    in_place: true
    service_control:
      unit: postgresql@15-main
    confirm: /var/lib/postgresql/15/main
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
      sample: 20261121T162952Z-f44e7c
    target:
      description: The name of what was restored into.
      type: str
      sample: /var/lib/postgresql/15/recovery
    state:
      description: V(finished).
      type: str
      sample: finished
    backup:
      description: The backup that was taken, with the copy that was read and the reason.
      type: dict
      sample:
        id: 20261121T162818Z-22e3bd
        kind: base
        engine: postgresql
        state: complete
        started: '2026-11-21T16:28:18.647743Z'
        repository: local
        reason: the newest; not verified yet
        stored_bytes: 3974679
        plain_bytes: 48107520
    where:
      description: Where the data is now.
      type: str
      sample: PostgreSQL cluster in /var/lib/postgresql/15/recovery
    connect:
      description: A command that opens it.
      type: str
      sample: psql -h /var/lib/postgresql/15/recovery -p 5433 -U postgres -d postgres
    content:
      description: What was restored, in the engine's own words.
      type: dict
      sample:
        system_identifier: '7710662196918593409'
        checked_by: pg_verifybackup
        configuration: of the backup
        state: read-write
        chain: []
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
      sample: 2.469
    stages:
      description: Seconds spent in each stage.
      type: dict
      sample:
        starting: 0.0
        looking at the target: 0.101
        restoring: 0.001
        Check every file against the backup's manifest: 0.317
        Prepare the configuration: 0.247
        Give the restored cluster its name /var/lib/postgresql/15/recovery: 0.011
        Start the restored cluster and wait until it takes writes: 0.484
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
      id: 20261121T162818Z-22e3bd
      kind: base
      engine: postgresql
      state: complete
      started: '2026-11-21T16:28:18.647743Z'
      repository: local
      reason: the newest; not verified yet
      stored_bytes: 3974679
      plain_bytes: 48107520
    target: /var/lib/postgresql/15/recovery
    replaces: null
    stops: []
    moves: []
    steps:
      - Unpack 20261121T162818Z-22e3bd into /var/lib/postgresql/15/recovery.restoring-20261121T162933Z-d0e5d2
      - Check every file against the backup's manifest
      - Prepare the configuration
      - Give the restored cluster its name /var/lib/postgresql/15/recovery
      - Start the restored cluster and wait until it takes writes
    facts:
      data_directory: /var/lib/postgresql/15/recovery
      found: absent
      running: false
      programs: /usr/lib/postgresql/15/bin
      version: '15.18'
      system_identifier: '7710662196918593409'
      account: postgres
      chain: []
    needed_bytes: 48107520
    free_bytes: 52531834880
    versions: backup of PostgreSQL 15.18, server 15.18
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
  sample: "Look at the plan (--dry-run, check mode), then add --confirm \"/var/lib/postgresql/15/recovery\" (confirm:
    \"/var/lib/postgresql/15/recovery\")."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample:
    replaces: /var/lib/postgresql/15/recovery
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import (
    postgresql_connection_option,
    recover_to_option,
    restore_options,
    service_control_option,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._restore_module import run_restore_module

KINDS = ("base", "incremental")
# What is left out is the restorer's to decide: some options are for one way of restoring only.
OWN_OPTIONS = {
    **service_control_option(),
    "data_directory": {"type": "path", "required": True},
    "in_place": {"type": "bool"},
    "start": {"type": "bool"},
    "port": {"type": "int"},
    "listen_addresses": {"type": "str"},
    "bin_directory": {"type": "path"},
    "config_directory": {"type": "path"},
    "verify": {"type": "bool"},
    "new_timeline": {"type": "bool"},
    "standby": {"type": "bool"},
    "start_timeout": {"type": "float"},
    "tablespace_map": {"type": "dict"},
    "tablespace_directory": {"type": "path"},
    "walg": {
        "type": "dict",
        "options": {
            "program": {"type": "str", "default": "wal-g"},
            "config": {"type": "path"},
            "environment": {"type": "dict"},
            "environment_file": {"type": "path"},
            "recover_to": {"type": "dict"},
        },
    },
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **restore_options(),
            **recover_to_option(),
            **postgresql_connection_option(),
            **OWN_OPTIONS,
            "kind": {"type": "str", "choices": list(KINDS)},
        },
        mutually_exclusive=[
            ["id", "before"],
            ["id", "point"],
            ["recover_to", "id"],
            ["recover_to", "before"],
            ["recover_to", "point"],
            ["recover_to", "kind"],
        ],
        supports_check_mode=True,
    )
    run_restore_module(module, engine="postgresql", kinds=KINDS, own_options=tuple(OWN_OPTIONS))


if __name__ == "__main__":
    main()
