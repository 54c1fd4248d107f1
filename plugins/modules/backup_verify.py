#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_verify
short_description: Prove backups, up to restoring a copy and asking it
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Verifies backups in levels, each of which includes those below it, and writes the result beside every copy.
  - Levels 3 and 4 restore into a scratch instance on the target (a folder of its own, a socket or loopback only,
    limited memory, nothing that reaches outside), measure how long that takes, and remove it again.
  - Never deletes a backup, whatever comes of it.
options:
  service:
    description: Only backups of this service.
    type: str
  source:
    description: Only backups of this source.
    type: str
  engine:
    description: Only backups of this engine.
    type: str
    choices: [mongodb, postgresql, redis, files]
  kind:
    description: Only backups of this kind, for example V(full), V(logical), V(base), V(rdb).
    type: str
  id:
    description: The backup with this id, and no other.
    type: str
  which:
    description:
      - V(newest) takes the newest O(count) of each service, source and kind.
      - V(unverified) takes all without a passed verification at O(level) or above.
      - V(sample) takes O(count) of each at random.
      - V(due) takes those of the newest O(count) of each that have not passed at O(level) since O(since).
    type: str
    choices: [newest, unverified, sample, due]
    default: newest
  count:
    description: How many of each service, source and kind, for all values of O(which) but V(unverified).
    type: int
    default: 1
  since:
    description:
      - When the verification was last due; for O(which=due). Left out, one passed verification is enough for ever.
      - RFC 3339 with a zone, for example V(2026-11-21T06:00:00Z).
    type: str
  level:
    description:
      - V(0), every file is there with the size that the manifest says.
      - V(1), the stored bytes have the checksums of the manifest.
      - V(2), they decrypt, decompress, and can be read through to their end.
      - V(3), they restore into a scratch instance.
      - V(4), it holds what was noted when the backup was made, what is required, and the right answers to the
        questions.
    type: int
    choices: [0, 1, 2, 3, 4]
    default: 4
  require_collections:
    description: Collections that a restored MongoDB must have, as C(collection) or C(database.collection).
    type: list
    elements: str
  require_tables:
    description: Tables that a restored PostgreSQL must have, as C(table), C(schema.table) or C(database.schema.table).
    type: list
    elements: str
  require_paths:
    description: Absolute paths that a backup of files must have.
    type: list
    elements: str
  scratch_directory:
    description: Folder on the target for scratch instances. Made when missing; needs room for a restored copy.
    type: path
    default: /var/tmp/lifeboat
  scratch_memory_mib:
    description: How much memory a scratch instance may take, in MiB.
    type: int
    default: 1024
  keep_scratch:
    description: Whether to keep the restored files for a look at them; their server is ended all the same.
    type: bool
    default: false
  fail_on_failed:
    description:
      - Whether the task fails when a backup is not proved, or when nobody could tell.
      - The result is the same either way; RV(verifications) says of each what came of it.
    type: bool
    default: true
  mongodb:
    description: How MongoDB's backups are verified.
    type: dict
    suboptions:
      mongod:
        description: The server's program for scratch instances; C(mongod) on the path when left out.
        type: str
      cache_megabytes:
        description: The memory of its storage engine, at least 256; a third of O(scratch_memory_mib) when left out.
        type: int
      parallel:
        description: How many threads load; 4 when left out.
        type: int
  postgresql:
    description: How PostgreSQL's backups are verified.
    type: dict
    suboptions:
      bin_directory:
        description: Folder with the server's programs, when they are not where the distribution puts them.
        type: path
      superuser:
        description: The role that asks a restored base backup; found out when left out.
        type: str
      start_timeout:
        description: Seconds that the start with its recovery may take; 3600 when left out.
        type: float
      question_timeout:
        description: Seconds that one question may take; 300 when left out.
        type: float
      preload_libraries:
        description: Libraries of the cluster's own that it can't recover without.
        type: list
        elements: str
      amcheck:
        description: Whether to check tables and indexes of base backups by the extension C(amcheck); done unless
          V(false).
        type: bool
      page_checksums:
        description: Whether to check every page's checksum of base backups; done unless V(false).
        type: bool
      walg:
        description:
          - Where WAL-G is and its storage, for base backups that were made by it.
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
  redis:
    description: How Redis's backups are verified.
    type: dict
    suboptions:
      server_program:
        description: The server's program; C(redis-server), or C(valkey-server) for backups of one, on the path when
          left out.
        type: path
      modules:
        description: Paths of the server's modules that the data needs.
        type: list
        elements: path
      timeout:
        description: Seconds that loading may take; 3600 when left out.
        type: float
      user:
        description: Who runs the scratch server when the module runs as root.
        type: str
  files:
    description: For backups of files.
    type: dict
    suboptions:
      compare_times:
        description: Whether times of modification are compared at level 3, which is done unless this is V(false).
        type: bool
extends_documentation_fragment:
  - lifeboat.recovery._questions
  - lifeboat.recovery._recovery
  - lifeboat.recovery._decryption
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
notes:
  - RV(ignore:changed) is true when a verification was written down, passed or failed, since that changes what the
    backup is worth to restores and to retention. It is false when nothing was due, and when nobody could tell.
  - Check mode reads the catalog and nothing else, and writes nothing.
  - While a verification lasts, C(lifeboat status) on the target and the result
    RV(lifeboat.recovery.backup_info#module:running) show stage and bytes. Its job is C(verify SERVICE/SOURCE/KIND);
    M(lifeboat.recovery.backup_follow) takes that, too.
seealso:
  - module: lifeboat.recovery.backup_info
  - module: lifeboat.recovery.mongo_restore
  - module: lifeboat.recovery.pg_logical_restore
  - module: lifeboat.recovery.pg_base_restore
  - module: lifeboat.recovery.redis_restore
"""

EXAMPLES = r"""
- name: Prove the newest backup of each kind of the database, and ask it
  lifeboat.recovery.backup_verify:
    service: family
    source: main
    level: 4
    require_collections: [families, users, family_relationships]
    questions:
      - name: users
        count:
          database: second_brain_database
          collection: users
        within_percent_of:
          reference: previous
          percent: 10
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
    decryption:
      identity_file: /root/lifeboat.key

- name: Read two backups of each kind at random to their end, without restoring them
  lifeboat.recovery.backup_verify:
    which: sample
    count: 2
    level: 2
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

- name: Prove what was not proved since six in the morning, and go on whatever comes of it
  lifeboat.recovery.backup_verify:
    service: adhd
    which: due
    since: "{{ now(utc=true).strftime('%Y-%m-%dT06:00:00Z') }}"
    fail_on_failed: false
    postgresql:
      bin_directory: /usr/lib/postgresql/15/bin
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
  register: proved
"""

RETURN = r"""
verifications:
  description:
    - One entry for each backup that was chosen, with RV(ignore:state) V(passed), V(failed), or V(error) when nobody
      could tell, for example because a program is missing.
    - RV(ignore:verification) is the document that was written beside every copy, with every check; RV(ignore:error)
      says why there is none.
  returned: except in check mode; also when the task fails because a backup is not proved
  type: list
  elements: dict
  sample:
    - backup: 20261121T162740Z-209690
      job: family/cache/rdb
      engine: redis
      state: passed
      verification:
        format: lifeboat-verification
        format_version: 1
        id: 20261121T162913Z-d6d8fa
        backup: 20261121T162740Z-209690
        manifest_checksum: 03d6e7b34f245b46984d4319988f8244520cc2109c1a6f46365c742d198d176c
        state: passed
        level: 4
        reached: 4
        repository: local
        copies:
          local:
            reached: 4
            error: null
        checks:
          - level: 2
            name: snapshot
            state: passed
            message: 7485 bytes of RDB version 10, checksum 227d50614b5948ed
            expected: null
            found: null
          - level: 2
            name: version of the RDB
            state: passed
            message: 'version of the RDB: 10'
            expected: 10
            found: 10
          - level: 2
            name: size of the RDB
            state: passed
            message: 'size of the RDB: 7485'
            expected: 7485
            found: 7485
          - level: 2
            name: checksum of the RDB
            state: passed
            message: 'checksum of the RDB: 227d50614b5948ed'
            expected: 227d50614b5948ed
            found: 227d50614b5948ed
          - level: 2
            name: time of the snapshot
            state: passed
            message: 'time of the snapshot: 2026-11-21T16:27:41Z'
            expected: '2026-11-21T16:27:41Z'
            found: '2026-11-21T16:27:41Z'
          - level: 2
            name: age of the snapshot
            state: passed
            message: the snapshot was begun at 2026-11-21T16:27:41Z, and the backup ran from 2026-11-21T16:27:40.955862Z
              to 2026-11-21T16:27:41.290738Z
            expected:
              from: '2026-11-21T16:17:40.955862Z'
              to: '2026-11-21T16:37:41.290738Z'
            found: '2026-11-21T16:27:41Z'
          - level: 4
            name: keys in the RDB
            state: passed
            message: 'keys in the RDB: 300'
            expected:
              min: 300
              max: 300
            found: 300
          - level: 4
            name: keys in db0
            state: passed
            message: 'keys in db0: 300'
            expected:
              min: 300
              max: 300
            found: 300
          - level: 4
            name: evicted keys
            state: passed
            message: the scratch server evicted 0 keys
            expected: 0
            found: 0
          - level: 4
            name: sessions
            state: passed
            message: 'sessions: 300'
            expected:
              min: 100.0
            found: 300
        error: null
        started: '2026-11-21T16:29:13.273126Z'
        finished: '2026-11-21T16:29:13.667869Z'
        host: db1
        user: lifeboat
        lifeboat_version: 0.1.0
        versions:
          server: Redis 7.0.15
          keyspace:
            db0:
              keys: 300
              expires: 0
          keys_of_rdb: 300
          used_memory: 984128
        stages:
          starting: 0.109
          looking at local: 0.001
          reading local: 0.003
          reading through: 0.066
          fetching and loading: 0.027
          questioning: 0.19
        recovery_seconds: 0.132
        plain_bytes: 7485
        warnings: []
        checksum: 8bab29a65d6653a7a82cb42256e5db87f3b74ffb0ae14d1ce6be613636ea806b
      error: null
problems:
  description: Places of the catalog that could not be read; there may be more backups.
  returned: except in check mode
  type: list
  elements: dict
  sample: []
plan:
  description: Which backups would be verified, with the state that each has now, and how far.
  returned: in check mode
  type: list
  elements: dict
  sample:
    - backup: 20261121T162740Z-209690
      job: family/cache/rdb
      engine: redis
      state: complete
      level: 4
      level_name: questioned
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: verify.not_proved
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Keep the older verified ones, and look closer: lifeboat show 20261121T162740Z-209690"
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import questions_option, recovery_options
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify_values import (
    DEFAULT_SCRATCH_DIRECTORY,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._verify_module import run_verify_module

# What each engine's verifiers can be told; what is left out is theirs to decide.
ENGINE_OPTIONS = {
    "mongodb": {
        "mongod": {"type": "str"},
        "cache_megabytes": {"type": "int"},
        "parallel": {"type": "int"},
    },
    "postgresql": {
        "bin_directory": {"type": "path"},
        "superuser": {"type": "str"},
        "start_timeout": {"type": "float"},
        "question_timeout": {"type": "float"},
        "preload_libraries": {"type": "list", "elements": "str"},
        "amcheck": {"type": "bool"},
        "page_checksums": {"type": "bool"},
        "walg": {
            "type": "dict",
            "options": {
                "program": {"type": "str", "default": "wal-g"},
                "config": {"type": "path"},
                "environment": {"type": "dict"},
                "environment_file": {"type": "path"},
            },
        },
    },
    "redis": {
        "server_program": {"type": "path"},
        "modules": {"type": "list", "elements": "path"},
        "timeout": {"type": "float"},
        "user": {"type": "str"},
    },
    "files": {
        "compare_times": {"type": "bool"},
    },
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **recovery_options(),
            "service": {"type": "str"},
            "source": {"type": "str"},
            "engine": {"type": "str", "choices": list(ENGINE_OPTIONS)},
            "kind": {"type": "str"},
            "id": {"type": "str"},
            "which": {"type": "str", "choices": ["newest", "unverified", "sample", "due"], "default": "newest"},
            "count": {"type": "int", "default": 1},
            "since": {"type": "str"},
            "level": {"type": "int", "choices": [0, 1, 2, 3, 4], "default": 4},
            **questions_option(),
            "require_collections": {"type": "list", "elements": "str"},
            "require_tables": {"type": "list", "elements": "str"},
            "require_paths": {"type": "list", "elements": "str"},
            "scratch_directory": {"type": "path", "default": DEFAULT_SCRATCH_DIRECTORY},
            "scratch_memory_mib": {"type": "int", "default": 1024},
            "keep_scratch": {"type": "bool", "default": False},
            "fail_on_failed": {"type": "bool", "default": True},
            **{engine: {"type": "dict", "options": options} for engine, options in ENGINE_OPTIONS.items()},
        },
        supports_check_mode=True,
    )
    run_verify_module(module)


if __name__ == "__main__":
    main()
