#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_restore
short_description: Restore a Redis or Valkey backup beside its source or in its place
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Brings a snapshot or a set of append-only files back, into a server of its own beside the source or in place of what
    a server holds.
  - In place, the server is stopped, its files are moved aside, the backup's take their names, and the server is started
    and asked. When anything fails, the old files are put back.
  - A backup is restored whole, since a server loads all of a snapshot or nothing.
options:
  kind:
    description:
      - V(rdb) is a snapshot, V(aof) a set of append-only files.
      - Left out, it is that of the backup that O(id) names, else V(rdb).
    type: str
    choices: [rdb, aof]
  in_place:
    description:
      - Whether to replace what the server at O(connection) holds. Needs O(service_control) and O(confirm).
      - Left out, a server of its own gets O(data_directory).
    type: bool
  data_directory:
    description: An empty or new folder for the restored server. Required unless O(in_place=true).
    type: path
  port:
    description:
      - The port of loopback that the restored server listens on; only for a restore beside.
      - Left out, it listens on a socket in O(data_directory) only.
    type: int
  start:
    description: Whether to start the restored server, which is done unless this is V(false); only for a restore beside.
    type: bool
  user:
    description:
      - Who runs the restored server when the module runs as root; only for a restore beside.
      - Left out, it is the owner of O(data_directory).
    type: str
  server_program:
    description: The server's program; C(redis-server), or C(valkey-server) for backups of one, on the path when left
      out.
    type: path
  modules:
    description: Paths of the server's modules that the data needs; only for a restore beside.
    type: list
    elements: path
  allow_replicas:
    description: Whether to go on when replicas are attached, which will copy what is restored; for O(in_place=true).
    type: bool
  configuration_file:
    description: The server's configuration, which says where its data lies while it does not run; for O(in_place=true).
    type: path
  timeout:
    description: Seconds that loading may take; 3600 when left out.
    type: float
  start_timeout:
    description: Seconds that a started server may take to listen; 60 when left out.
    type: float
extends_documentation_fragment:
  - lifeboat.recovery._redis
  - lifeboat.recovery._service_control
  - lifeboat.recovery._restore
  - lifeboat.recovery._choice
  - lifeboat.recovery._recover_to
  - lifeboat.recovery._recovery
  - lifeboat.recovery._decryption
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
"""

EXAMPLES = r"""
- name: Restore the newest verified snapshot beside production, to look into it
  lifeboat.recovery.redis_restore:
    service: family
    source: cache
    data_directory: /var/lib/redis/recovery
    port: 6380
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: Replace what the cache holds by the newest snapshot of yesterday
  lifeboat.recovery.redis_restore:
    service: family
    source: cache
    before: 2026-11-21T00:00:00Z
    in_place: true
    connection:
      password_file: /etc/lifeboat/redis.password
    service_control:
      unit: redis-server
    confirm: redis at 127.0.0.1:6379
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
      sample: 20261121T163137Z-b5b03c
    target:
      description: The name of what was restored into.
      type: str
      sample: redis at 127.0.0.1:6379
    state:
      description: V(finished).
      type: str
      sample: finished
    backup:
      description: The backup that was taken, with the copy that was read and the reason.
      type: dict
      sample:
        id: 20261121T162740Z-209690
        kind: rdb
        engine: redis
        state: verified
        started: '2026-11-21T16:27:40.955862Z'
        repository: local
        reason: the newest verified
        stored_bytes: 1032
        plain_bytes: 7485
    where:
      description: Where the data is now.
      type: str
      sample: redis at 127.0.0.1:6379
    connect:
      description: A command that opens it.
      type: str
      sample: redis-cli -h 127.0.0.1 -p 6379
    content:
      description: What was restored, in the engine's own words.
      type: dict
      sample:
        server: Redis 7.0.15
        keyspace:
          db0:
            keys: 300
            expires: 0
        keys_of_rdb: 300
    aside:
      description: What was replaced, and where it lies now.
      type: list
      elements: str
      sample:
        - /var/lib/redis/dump.rdb.before-20261121T163137Z-b5b03c
    removed:
      description: Nothing; M(lifeboat.recovery.restore_finish) removes what was moved aside.
      type: list
      elements: str
      sample: []
    seconds:
      description: How long it took.
      type: float
      sample: 0.668
    stages:
      description: Seconds spent in each stage.
      type: dict
      sample:
        starting: 0.0
        looking at the target: 0.105
        restoring: 0.002
        look at 127.0.0.1:6379 once more: 0.107
        fetch and check the backup beside the old data: 0.06
        save what 127.0.0.1:6379 holds now: 0.089
        stop the unit redis-server: 0.217
        move the old data aside: 0.027
        put the restored data in its place: 0.017
        start the unit redis-server, wait until it has loaded, and compare the counts: 0.162
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
      id: 20261121T162740Z-209690
      kind: rdb
      engine: redis
      state: verified
      started: '2026-11-21T16:27:40.955862Z'
      repository: local
      reason: the newest verified
      stored_bytes: 1032
      plain_bytes: 7485
    target: redis at 127.0.0.1:6379
    replaces: redis at 127.0.0.1:6379
    stops:
      - the unit redis-server
    moves: []
    steps:
      - look at 127.0.0.1:6379 once more
      - fetch and check the backup beside the old data in /var/lib/redis
      - save what 127.0.0.1:6379 holds now
      - stop the unit redis-server
      - move the old data in /var/lib/redis aside
      - put the restored data in its place
      - start the unit redis-server, wait until it has loaded, and compare the counts
    facts:
      target:
        address: 127.0.0.1:6379
        running: true
        flavour: redis
        version:
          - 7
          - 0
          - 15
        directory: /var/lib/redis
        append_only: false
        rdb_name: dump.rdb
        append_name: appendonly.aof
        append_folder: appendonlydir
        databases: 16
        save: ''
        run_id: 6e5c3103c5e9311c358707a45cdaa50a063af6d3
        process_id: 1114
        user: 107
        group: 107
        mode: 416
        maximum_memory: 0
        used_memory: 1090744
        modules: []
        keyspace:
          db0:
            keys: 3
            expires: 0
        configuration_file: /etc/redis/redis.conf
      backup: Redis 7.0.15
      keyspace:
        db0:
          keys: 300
          expires: 0
    needed_bytes: 1098229
    free_bytes: 52352524288
    versions: backup of Redis 7.0.15, server Redis 7.0.15
    forecast:
      seconds: 0.1
      fastest: 0.1
      slowest: 0.1
      smallest_bytes: 7485
      largest_bytes: 7485
      count: 1
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
  sample: "Look at the plan (--dry-run, check mode), then add --confirm \"redis at 127.0.0.1:6379\" (confirm: \"redis at
    127.0.0.1:6379\")."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample:
    replaces: redis at 127.0.0.1:6379
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import (
    recover_to_option,
    redis_connection_option,
    restore_options,
    service_control_option,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._restore_module import run_restore_module

KINDS = ("rdb", "aof")
# What is left out is the restorer's to decide: some options are for one way of restoring only.
OWN_OPTIONS = {
    **service_control_option(),
    "in_place": {"type": "bool"},
    "data_directory": {"type": "path"},
    "port": {"type": "int"},
    "start": {"type": "bool"},
    "user": {"type": "str"},
    "server_program": {"type": "path"},
    "modules": {"type": "list", "elements": "path"},
    "allow_replicas": {"type": "bool"},
    "configuration_file": {"type": "path"},
    "timeout": {"type": "float"},
    "start_timeout": {"type": "float"},
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **restore_options(),
            **recover_to_option(),
            **redis_connection_option(),
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
    run_restore_module(module, engine="redis", kinds=KINDS, own_options=tuple(OWN_OPTIONS))


if __name__ == "__main__":
    main()
