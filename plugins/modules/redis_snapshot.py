#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_snapshot
short_description: Take a snapshot of a Redis or Valkey server into one or more repositories
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Takes an RDB with proof that it is new and whole, by C(BGSAVE) where the target has the server's files, else over
    the wire as a replica would get it; or the set of append-only files as of one moment.
  - Nothing is called complete before its checksum fits.
options:
  kind:
    description: V(rdb) is a snapshot; V(aof) is the append-only files, with their lengths frozen at one moment.
    type: str
    choices: [rdb, aof]
    default: rdb
  method:
    description:
      - For O(kind=rdb). V(bgsave) copies the server's own file, V(sync) asks for it over the wire.
      - V(auto) takes the file where the target has it.
    type: str
    choices: [auto, bgsave, sync]
  timeout:
    description: Seconds for everything that the server is waited for.
    type: float
    default: 3600.0
  allow_cluster_node:
    description: Whether to back up one node of a cluster, which holds some of the slots only.
    type: bool
    default: false
  record_digest:
    description:
      - Whether to note the server's own digest of all keys and values (C(DEBUG DIGEST)) where nobody changes them
        meanwhile. A verification of level 4 holds that of the restored copy against it.
      - The server serves nobody while it reckons, and needs C(enable-debug-command) since Redis 7.0.
    type: bool
    default: false
extends_documentation_fragment:
  - lifeboat.recovery._redis
  - lifeboat.recovery._backup
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
"""

EXAMPLES = r"""
- name: Take a snapshot of the cache
  lifeboat.recovery.redis_snapshot:
    service: family
    source: cache
    connection:
      username: lifeboat
      password_file: /etc/lifeboat/redis.password
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: Keep the append-only files as well
  lifeboat.recovery.redis_snapshot:
    service: family
    source: cache
    kind: aof
    connection:
      username: lifeboat
      password_file: /etc/lifeboat/redis.password
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
      sample: 20261121T095856Z-3de573
    state:
      description: V(complete) when every repository has it, V(partial) when one has not.
      type: str
      sample: complete
    path:
      description: Its folder in every repository.
      type: str
      sample: family/cache/rdb/20261121T095856Z-3de573/
    parent:
      description: The backup that this one is an increment of.
      type: str
      sample: null
    stored_bytes:
      description: Bytes in each repository.
      type: int
      sample: 6828060
    plain_bytes:
      description: Bytes before compression.
      type: int
      sample: 9854656
    seconds:
      description: How long it took.
      type: float
      sample: 1.548
    bytes_per_second:
      description: Bytes read from the source a second.
      type: int
      sample: 6192506
    stages:
      description: Seconds spent in each stage.
      type: dict
      sample:
        starting: 0.0
        inspecting: 0.027
        checking repositories: 0.575
        backing up: 0.034
        waiting for other saves: 0.01
        saving: 0.442
        checking the snapshot: 0.127
        copying the snapshot: 0.331
        finishing: 0.002
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
        - name: dump.rdb.zst
          media: redis rdb
          size: 6828060
          sha256: 758d6de2d8b5c153cb05a326b919e17c1ffc2b182feb6302c5d211542fc3fb57
          plain_size: 9854656
          compression: zstd
          encryption: null
    content:
      description: What the backup holds, in the engine's own words.
      type: dict
      sample:
        flavour: redis
        version: 7.0.15
        run_id: 5a9fab3d9f25d1d7c904dc7de58a341d30935339
        role: primary
        cluster_node: false
        modules: []
        append_only: true
        used_memory: 18542880
        last_save: '2026-11-21T09:56:27Z'
        warnings: []
        method: bgsave
        rdb_version: 10
        rdb_magic: REDIS
        rdb_size: 9854656
        crc64: 2c707ec00267be66
        snapshot_time: '2026-11-21T09:58:57Z'
        auxiliary:
          redis-ver: 7.0.15
          redis-bits: '64'
          ctime: '1795255137'
          used-mem: '18541088'
          aof-base: '0'
        keyspace:
          db0:
            keys: 14861
            expires: 3666
          db1:
            keys: 7100
            expires: 3500
        keyspace_exact: true
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
    job: family/cache/rdb
    engine: redis
    steps:
    - BGSAVE on 127.0.0.1:6379, and wait for the proof that a new file was written
    - check that file and copy it as dump.rdb
    facts:
      flavour: redis
      version: 7.0.15
      run_id: 5a9fab3d9f25d1d7c904dc7de58a341d30935339
      role: primary
      primary_link: null
      replicas: 0
      cluster: false
      modules: []
      keyspace:
        db0:
          keys: 14861
          expires: 3666
        db1:
          keys: 7100
          expires: 3500
      used_memory: 18493504
      maximum_memory: 0
      append_only: true
      last_save: 1795254987
      last_save_status: ok
    expected_bytes: 9854176
    repositories:
    - name: local
      url: file:///var/backups/lifeboat
      state: ready
      error: null
      free_bytes: 71623278592
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
    redis_connection_option,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._backup_module import run_backup_module
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.producers.redis import aof, rdb
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.asking import asking

OWN_OPTIONS = {
    "method": {"type": "str", "choices": ["auto", "bgsave", "sync"]},
    "timeout": {"type": "float", "default": 3600.0},
    "allow_cluster_node": {"type": "bool", "default": False},
    "record_digest": {"type": "bool", "default": False},
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **backup_options(),
            **redis_connection_option(),
            **OWN_OPTIONS,
            "kind": {"type": "str", "choices": ["rdb", "aof"], "default": "rdb"},
        },
        supports_check_mode=True,
    )
    kind = module.params["kind"]
    run_backup_module(
        module,
        engine="redis",
        kind=kind,
        factory=aof if kind == "aof" else rdb,
        asking=asking,
        own_options=tuple(OWN_OPTIONS),
    )


if __name__ == "__main__":
    main()
