#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: List backups as the repositories' manifests describe them
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Reads the manifests in one or more repositories and returns the backups that match, oldest first.
  - A backup exists if and only if its manifest exists; there is no other database that could disagree.
  - The same backup in several repositories is one entry, which says where it is and where it is missing.
  - Returns what runs on the target just now as well, with stage, bytes and rate, and the restores that somebody is not
    done with.
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
    description: Only the backup with this id.
    type: str
  state:
    description:
      - Only backups in this state. V(complete) ones were not restored yet, V(verified) ones were, by a verification,
        and V(failed) ones failed theirs.
      - V(partial) are those that a repository of their job lacks.
    type: str
    choices: [complete, verified, failed, partial]
  before:
    description:
      - Only backups that were started before this time.
      - RFC 3339 with a zone, for example V(2026-11-21T02:00:00Z).
    type: str
  newest:
    description: At most this many of each service, source and kind, the newest.
    type: int
  manifests:
    description: Whether to return the whole manifest of each backup as C(manifest) in RV(backups).
    type: bool
    default: false
  objectives:
    description:
      - The longest that a recovery may take, for example V(1h), by C(service/source) or C(service/source/kind).
        RV(forecasts) are held against it.
    type: dict
    default: {}
  state_directory:
    description: Folder on the target with locks, progress and the notes of restores, for RV(running) and RV(restores).
    type: path
    default: /var/lib/lifeboat
extends_documentation_fragment:
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes.info
seealso:
  - module: lifeboat.recovery.mongo_dump
  - module: lifeboat.recovery.pg_logical_dump
  - module: lifeboat.recovery.pg_basebackup_walg
  - module: lifeboat.recovery.redis_snapshot
  - module: lifeboat.recovery.backup_verify
  - module: lifeboat.recovery.restore_finish
"""

EXAMPLES = r"""
- name: Find the newest backup of each kind of a service
  lifeboat.recovery.backup_info:
    repositories:
      - name: offsite
        type: s3
        bucket: acme-backups
        prefix: prod
        region: eu-west-1
        credentials:
          file: /etc/lifeboat/s3.env
    service: family
    newest: 1
  register: newest

- name: Read the full backups
  lifeboat.recovery.backup_info:
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
    kind: full
  register: full

- name: Stop a deployment when there is no full backup of today
  ansible.builtin.assert:
    that:
      - full.backups | selectattr('started', 'ge', now(utc=true).strftime('%Y-%m-%d')) | length > 0
    fail_msg: There is no full backup of today; run ansible-playbook lifeboat.recovery.backup first.
"""

RETURN = r"""
backups:
  description: The backups that match, oldest first.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 20261121T095817Z-af0737
      service: family
      source: main
      engine: mongodb
      kind: full
      parent: null
      labels: {}
      started: '2026-11-21T09:58:17.010390Z'
      finished: '2026-11-21T09:58:19.480036Z'
      host: db1
      warnings:
      - 'Read outside the snapshot, so from slightly different moments: second_brain_database.audit_log.'
      state: complete
      partial: false
      repositories:
        local: complete
        offsite: complete
      missing: []
      seconds: 2.47
      stored_bytes: 19781903
      plain_bytes: 57493031
      compression:
        level: 1
        method: zstd
      encryption: null
problems:
  description: Repositories and manifests that could not be read; what they hold is not in RV(backups).
  returned: success
  type: list
  elements: dict
  sample: []
running:
  description: What runs on the target just now.
  returned: success
  type: list
  elements: dict
  sample: []
forecasts:
  description:
    - How long the recovery of the newest listed backup of each service, source and kind will take, from recoveries that
      were measured by verifications at level 3 and above and by restores on the target.
    - RV(ignore:forecast) is null where none was measured, else it has the seconds expected, the range that was seen,
      the sizes that it was seen on, and how often.
    - RV(ignore:verdict) is V(met), V(missed) or V(unknown) where O(objectives) name an objective, else null.
  returned: success
  type: list
  elements: dict
  sample:
    - job: family/main/full
      engine: mongodb
      backup: 20261121T095817Z-af0737
      plain_bytes: 57493031
      forecast:
        seconds: 4.2
        fastest: 3.9
        slowest: 6.1
        smallest_bytes: 55120014
        largest_bytes: 57493031
        count: 5
      objective_seconds: 3600.0
      verdict: met
restores:
  description:
    - The restores on the target that somebody is not done with, for M(lifeboat.recovery.restore_finish).
    - RV(ignore:state) is V(died) or V(running), or V(finished) where old data lies in RV(ignore:aside) still.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 20261121T163028Z-287209
      target: mcp_adhd
      state: finished
      started: '2026-11-21T16:30:29.171233Z'
      job: adhd/main/logical
      backup: 20261121T162805Z-c1a99a
      step: take the name
      aside:
        - database mcp_adhd_before_20261121t163028z_287209
    - id: 20261121T163137Z-b5b03c
      target: redis at 127.0.0.1:6379
      state: finished
      started: '2026-11-21T16:31:38.084398Z'
      job: family/cache/rdb
      backup: 20261121T162740Z-209690
      step: start
      aside:
        - /var/lib/redis/dump.rdb.before-20261121T163137Z-b5b03c
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import repositories_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.information import (
    InformationRequest,
    read_information,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **repositories_option(),
            "service": {"type": "str"},
            "source": {"type": "str"},
            "engine": {"type": "str", "choices": ["mongodb", "postgresql", "redis", "files"]},
            "kind": {"type": "str"},
            "id": {"type": "str"},
            "state": {"type": "str", "choices": ["complete", "verified", "failed", "partial"]},
            "before": {"type": "str"},
            "newest": {"type": "int"},
            "manifests": {"type": "bool", "default": False},
            "objectives": {"type": "dict", "default": {}},
            "state_directory": {"type": "path", "default": "/var/lib/lifeboat"},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(
        module,
        lambda host: {
            "changed": False,
            **read_information(InformationRequest.from_options(options), host=host).as_dict(),
        },
    )


if __name__ == "__main__":
    main()
