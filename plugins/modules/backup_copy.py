#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_copy
short_description: Bring repositories up to the others
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Copies what one repository lacks from those that have it; backups that a repository missed because it was down,
    segments of streams (WAL, oplog, append-only files), verifications, pins and labels.
  - Every payload and segment is hashed on its way. Of a backup the manifest comes last, so no list ever shows one whose
    bytes are not all there.
  - A copy that died is gone on with by the next one; objects that are there with the right size and hash stay. Two
    copies at the same time do no harm.
  - A copy that failed its verification is not read while another one is good. What is being removed by retention
    meanwhile is left alone.
options:
  to:
    description: The names of the repositories to bring up. Left out, all of them.
    type: list
    elements: str
    default: []
  service:
    description: Only what belongs to this service.
    type: str
  source:
    description: Only what belongs to this source.
    type: str
  kind:
    description: Only this kind of backups or stream.
    type: str
  id:
    description: Only the backup with this id, and what it builds on.
    type: str
  policies:
    description:
      - What jobs store in which repository, and for how long it is kept there. What the retention of a repository would
        not keep is not copied to it.
      - Left out for a repository, the manifests say which backups their jobs wanted there, and streams come where their
        series is already.
    type: list
    elements: dict
    default: []
    suboptions:
      repository:
        description: The name of the repository.
        type: str
        required: true
      service:
        description: The service of the series.
        type: str
        required: true
      source:
        description: The source of the series.
        type: str
        required: true
      kind:
        description: The kind of the series.
        type: str
        required: true
      engine:
        description: The engine of the source.
        type: str
        choices: [mongodb, postgresql, redis, files]
        required: true
      job:
        description: The name of the job that makes the backups; V(service/source/kind) when left out.
        type: str
      keep:
        description: What is kept, as C(keep) of a description says it; C(within), C(daily), C(monthly) and so on.
        type: dict
        required: true
      timezone:
        description: Where the days of the policy begin.
        type: str
        default: UTC
  everything:
    description: Whether O(to) gets also what no job stores there; for a new repository.
    type: bool
    default: false
  repair:
    description:
      - Whether what a repository has already is held against its manifests and records, and what is missing or damaged
        there is replaced. Prove it afterwards with M(lifeboat.recovery.backup_verify).
    type: bool
    default: false
  parallel:
    description: How many objects are on their way at the same time.
    type: int
    default: 4
  fail_on_incomplete:
    description: Whether the task fails when a repository still lacks something that it should have.
    type: bool
    default: true
  lock_timeout:
    description: How many seconds to wait for another copy to the same repository on the target.
    type: int
    default: 0
  state_directory:
    description: Folder on the target with locks and progress.
    type: path
    default: /var/lib/lifeboat
extends_documentation_fragment:
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
notes:
  - Takes credentials that may list and read every repository, and write those that are brought up. Nothing is deleted.
seealso:
  - module: lifeboat.recovery.backup_info
  - module: lifeboat.recovery.backup_verify
"""

EXAMPLES = r"""
- name: Bring the second region up after it was down
  lifeboat.recovery.backup_copy:
    repositories: "{{ lifeboat_repositories }}"
    to:
      - second_region
  vars:
    lifeboat_repositories:
      - name: offsite
        type: s3
        bucket: acme-backups
        region: eu-west-1
      - name: second_region
        type: s3
        bucket: acme-backups-dr
        region: eu-central-1

- name: Fill a new repository with all that there is of one service, as long as it is kept there
  lifeboat.recovery.backup_copy:
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
      - name: archive
        type: s3
        bucket: acme-archive
        storage_class: GLACIER_IR
    to:
      - archive
    service: family
    policies:
      - repository: archive
        service: family
        source: main
        kind: full
        engine: mongodb
        keep:
          monthly: 12

- name: Replace what a check found damaged
  lifeboat.recovery.backup_copy:
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
      - name: offsite
        type: s3
        bucket: acme-backups
    to:
      - local
    repair: true
"""

RETURN = r"""
plan:
  description: What would be copied, with reasons.
  returned: in check mode
  type: dict
  sample:
    targets:
      - offsite
    stored_bytes: 19781903
    backups:
      - id: 20261121T095817Z-af0737
        job: family/main/full
        to: offsite
        from:
          - local
        action: copy
        reason: its job stores there
        stored_bytes: 19781903
    left_out: []
    documents: []
    streams: []
    problems: []
backups:
  description:
    - What became of each backup. RV(ignore:state) is V(copied), V(repaired), V(present) (another copy was faster),
      V(gone) (its other copies were removed meanwhile), V(removed) (by retention, there), V(waiting) or V(failed).
  returned: success, except in check mode
  type: list
  elements: dict
  sample:
    - id: 20261121T095817Z-af0737
      job: family/main/full
      to: offsite
      state: copied
      from: local
      objects: 4
      kept: 0
      copied_bytes: 19781903
      note: ''
      error: null
streams:
  description: What became of each lineage of a stream.
  returned: success, except in check mode
  type: list
  elements: dict
  sample:
    - stream: family/main/oplog/rs0-6512bd43
      to: offsite
      state: copied
      segments: 96
      kept: 0
      copied_bytes: 1843200
      events: 0
      gone: 0
      lacking: 0
      error: null
documents:
  description: Verifications, pins and labels that were copied to where their backups and services are already.
  returned: success, except in check mode
  type: list
  elements: dict
  sample: []
left_out:
  description: Backups that a repository lacks and does not get, with the reason.
  returned: success, except in check mode
  type: list
  elements: dict
  sample: []
copied_bytes:
  description: Stored bytes that were moved.
  returned: success, except in check mode
  type: int
  sample: 21625103
seconds:
  description: How long it took.
  returned: success, except in check mode
  type: float
  sample: 4.117
errors:
  description: Repositories that could not be brought up at all, with the error.
  returned: success, except in check mode
  type: dict
  sample: {}
problems:
  description: What could not be read; what it holds was not copied.
  returned: success, except in check mode
  type: list
  elements: dict
  sample: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: copy.incomplete
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "See what else is: lifeboat repo check --repository local --read-data"
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample:
    reasons:
      - "offsite: The repository does not answer."
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import repositories_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._copy_module import run_copy_module


def main() -> None:
    """Options, request, result."""
    policy = {
        **{name: {"type": "str", "required": True} for name in ("repository", "service", "source", "kind")},
        "engine": {"type": "str", "choices": ["mongodb", "postgresql", "redis", "files"], "required": True},
        "job": {"type": "str"},
        "keep": {"type": "dict", "required": True},
        "timezone": {"type": "str", "default": "UTC"},
    }
    run_copy_module(
        AnsibleModule(
            argument_spec={
                **repositories_option(),
                "to": {"type": "list", "elements": "str", "default": []},
                "service": {"type": "str"},
                "source": {"type": "str"},
                "kind": {"type": "str"},
                "id": {"type": "str"},
                "policies": {"type": "list", "elements": "dict", "default": [], "options": policy},
                "everything": {"type": "bool", "default": False},
                "repair": {"type": "bool", "default": False},
                "parallel": {"type": "int", "default": 4},
                "fail_on_incomplete": {"type": "bool", "default": True},
                "lock_timeout": {"type": "int", "default": 0},
                "state_directory": {"type": "path", "default": "/var/lib/lifeboat"},
            },
            supports_check_mode=True,
        )
    )


if __name__ == "__main__":
    main()
