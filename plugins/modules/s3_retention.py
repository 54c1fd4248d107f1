#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_retention
short_description: Remove the backups that no policy keeps, from S3 and from local repositories
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Plans first which backups and which segments of streams (WAL, oplog, append-only files) go, each with its reasons,
    and removes them then. Check mode and diff show the plan, grouped by source, with sizes and money.
  - The newest backups that were proved to restore stay whatever their age, and so does everything that one of the kept
    backups needs. Backups that were never proved, or failed, don't count.
  - Nothing is removed where something is wrong, such as when the newest backup failed its verification or is overdue,
    when an entry of the catalog can't be read, when clocks differ, when too much would go. Each refusal has a code and
    a word for O(allow).
  - Dying at any moment leaves nothing that looks like a backup and is none; the next run finishes what this one began.
options:
  policies:
    description: What to keep. Backups that no entry is about are not touched.
    type: list
    elements: dict
    required: true
    suboptions:
      repository:
        description: The name of one of O(repositories).
        type: str
        required: true
      service:
        description: The service.
        type: str
        required: true
      source:
        description: The source.
        type: str
        required: true
      engine:
        description: The source's engine.
        type: str
        required: true
        choices: [mongodb, postgresql, redis, files]
      kind:
        description: The kind of backups, or of stream.
        type: str
        required: true
      job:
        description:
          - The job that makes them, where two jobs of a source make the same kind; C(service/source/kind) if left out.
        type: str
      keep:
        description: >-
          Which to keep, those that any of the rules names; C(within), C(count), C(hourly), C(daily), C(weekly),
          C(monthly), C(yearly), C(forever), C(minimum_verified) (2 when left out). Streams know C(within) and
          C(forever).
        type: dict
        required: true
      timezone:
        description: Where days, weeks and months begin, and what O(policies[].schedule) means.
        type: str
        default: UTC
      schedule:
        description: When the job runs, as in cron; nothing is removed while its newest backup is overdue.
        type: str
      window:
        description:
          - How far back any moment of a stream must be recoverable from this repository, such as V(14d).
          - A plan that would take some of that away is refused. Left out, it is what O(policies[].keep) says.
        type: str
      walg:
        description:
          - Where WAL-G is and its storage, for backups that were made by it; WAL-G itself removes their data there.
          - Left out, WAL-G from C(PATH) reads the configuration that the backup's manifest names.
        type: dict
        suboptions:
          program:
            description: WAL-G, by its name on C(PATH) or its absolute path.
            type: str
          config:
            description: A JSON file with WAL-G's settings.
            type: path
          environment:
            description: Settings of WAL-G beside the file. No secrets.
            type: dict
          environment_file:
            description: A file with lines C(NAME=value) for settings that are secret.
            type: path
  prune:
    description: The names of the repositories to remove from; all that a policy is about when empty.
    type: list
    elements: str
    default: []
  plan_hash:
    description: The RV(plan_hash) of a plan that was reviewed. When another plan would be made now, nothing is removed.
    type: str
  allow:
    description: The words that override guards, as their refusals name them.
    type: list
    elements: str
    default: []
  limits:
    description: How much one run may remove.
    type: dict
    suboptions:
      share:
        description: The share of the backups of a series, from 0 to 1; V(0.5) when left out.
        type: float
      share_from:
        description: The number of backups from which on the share counts; V(10) when left out.
        type: int
      number:
        description: The number of backups in a repository; V(1000) when left out.
        type: int
  versions:
    description:
      - In a bucket with versions, V(current) hides what goes behind delete markers and leaves the rest to the bucket's
        lifecycle rules; V(all) removes the versions and their markers, which frees the space.
    type: str
    choices: [current, all]
    default: current
  sweep_age:
    description: >-
      What belongs to nothing (unfinished uploads, leftovers, segments that no record names) and is older goes too.
      V(7d) when left out, V(2d) at least, since what is younger may belong to a run that goes on.
    type: str
  price_table:
    description:
      - Prices by storage class, for the money in the plan; C(currency), and C(classes), each with C(gib_month) and
        C(minimum_days).
    type: dict
  state_directory:
    description: Folder on the target with locks, progress and records.
    type: path
    default: /var/lib/lifeboat
extends_documentation_fragment:
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
seealso:
  - module: lifeboat.recovery.backup_info
  - module: lifeboat.recovery.backup_verify
"""

EXAMPLES = r"""
- name: Show what would go, and what that saves
  lifeboat.recovery.s3_retention: &retention
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
      - name: offsite
        type: s3
        bucket: acme-backups
        region: eu-west-1
        credentials:
          file: /etc/lifeboat/pruner.env
    policies:
      - repository: local
        service: family
        source: main
        engine: mongodb
        kind: full
        keep:
          within: 30d
        schedule: "0 2 * * *"
      - repository: offsite
        service: family
        source: main
        engine: mongodb
        kind: full
        keep:
          daily: 30
          monthly: 12
        schedule: "0 2 * * *"
  check_mode: true
  diff: true
  register: plan

- name: Remove exactly that
  lifeboat.recovery.s3_retention:
    <<: *retention
    plan_hash: "{{ plan.plan_hash }}"
"""

RETURN = r"""
plan_hash:
  description: Stands for the decisions and what they rest on. Give it as O(plan_hash) to have exactly this done.
  returned: success
  type: str
  sample: 20261121T235348Z-729293392af6c20cc9e69847d61bb001
plans:
  description:
    - One for each repository, with every decision and its reasons, refusals, and the recoverable windows before and
      after.
  returned: success
  type: list
  elements: dict
  sample: []
vendors:
  description: Whose data lies in a storage of WAL-G's, and which of it WAL-G itself removes.
  returned: success
  type: list
  elements: dict
  sample: []
leftovers:
  description:
    - In check mode, what belongs to nothing in each repository and would be swept as well; else RV(results) say it.
  returned: success
  type: dict
  sample: {}
results:
  description:
    - What was done in each repository; what was removed, deferred (still locked, until when), refused by the storage.
  returned: success, except in check mode
  type: list
  elements: dict
  sample: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: retention.plan_changed
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Look at the plan again: lifeboat prune --plan"
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import repositories_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._retention_module import run_retention_module

WALG = {
    "program": {"type": "str"},
    "config": {"type": "path"},
    "environment": {"type": "dict"},
    "environment_file": {"type": "path"},
}


def main() -> None:
    """Options, request, result."""
    policy = {
        "repository": {"type": "str", "required": True},
        "service": {"type": "str", "required": True},
        "source": {"type": "str", "required": True},
        "engine": {"type": "str", "choices": ["mongodb", "postgresql", "redis", "files"], "required": True},
        "kind": {"type": "str", "required": True},
        "job": {"type": "str"},
        "keep": {"type": "dict", "required": True},
        "timezone": {"type": "str", "default": "UTC"},
        "schedule": {"type": "str"},
        "window": {"type": "str"},
        "walg": {"type": "dict", "options": WALG},
    }
    limits = {"share": {"type": "float"}, "share_from": {"type": "int"}, "number": {"type": "int"}}
    run_retention_module(
        AnsibleModule(
            argument_spec={
                **repositories_option(),
                "policies": {"type": "list", "elements": "dict", "required": True, "options": policy},
                "prune": {"type": "list", "elements": "str", "default": []},
                "plan_hash": {"type": "str", "no_log": False},
                "allow": {"type": "list", "elements": "str", "default": []},
                "limits": {"type": "dict", "options": limits},
                "versions": {"type": "str", "choices": ["current", "all"], "default": "current"},
                "sweep_age": {"type": "str"},
                "price_table": {"type": "dict"},
                "state_directory": {"type": "path", "default": "/var/lib/lifeboat"},
            },
            supports_check_mode=True,
        )
    )


if __name__ == "__main__":
    main()
