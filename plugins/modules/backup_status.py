#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_status
short_description: Say how every backup job of a host is doing, against its objectives
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Returns for every job its newest backup, size and change, what was proved and when, what runs next and whether it is
    overdue by its own schedule; for every source what would be lost now, how long bringing it back takes, and its last
    verifications; for streams what waits; and what somebody must look at.
  - Reads the repositories and what the target noted of its runs. No database is asked, and nothing is changed.
  - This is what C(lifeboat status --json) prints on the target.
requirements:
  - jsonschema and cronsim on the target
options:
  config:
    description:
      - The file on the target that describes what to protect.
      - A job that never ran is overdue only when a run was due since this file was written.
    type: path
  description:
    description:
      - What to protect, as the inventory has it, with the keys C(lifeboat_repositories), C(lifeboat_services) and
        C(lifeboat_settings).
      - Nothing is connected to, so the passwords of databases may be left out.
    type: dict
  jobs:
    description: Only these jobs, V(service/source/kind), or all below a beginning of it.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - lifeboat.recovery._attributes.info
seealso:
  - module: lifeboat.recovery.backup_info
  - module: lifeboat.recovery.recovery_windows
"""

EXAMPLES = r"""
- name: How are the backups of this host?
  lifeboat.recovery.backup_status:
    config: /etc/lifeboat/config.yml
  register: backups

- name: Look at one service, as the inventory describes it
  lifeboat.recovery.backup_status:
    description:
      lifeboat_repositories: "{{ lifeboat_repositories }}"
      lifeboat_services: "{{ lifeboat_services }}"
    jobs: [family]
  register: family

- name: Stop a deployment when something critical needs attention
  ansible.builtin.assert:
    that: family.status.attention | selectattr('severity', 'equalto', 'critical') | length == 0
    fail_msg: "{{ family.status.attention | map(attribute='message') | join(' ') }}"
"""

RETURN = r"""
status:
  description:
    - The status document; its JSON Schema is C(docs/schema/status-1.schema.json).
    - RV(ignore:attention) says what somebody must look at, critical things first.
  returned: success
  type: dict
  sample:
    format: lifeboat-status
    format_version: 1
    host: db1.example.org
    at: '2026-11-22T08:20:17.472387Z'
    lifeboat_version: 0.1.0
    well: false
    attention:
    - name: partial
      severity: warning
      what: family/main/full
      message: The newest backup is not in offsite.
      hint: lifeboat copy
    jobs:
    - job: family/main/full
      state: partial
      newest:
        id: 20261122T072007Z-011b78
        service: family
        source: main
        engine: mongodb
        kind: full
        parent: null
        labels: {}
        started: '2026-11-22T07:20:07Z'
        finished: '2026-11-22T07:20:50.800000Z'
        host: db1.example.org
        warnings:
        - the oplog is short
        state: verified
        partial: true
        repositories:
          local: verified
        missing:
        - offsite
        removed: []
        pins: []
        verification:
          id: 20261122T075007Z-001000
          state: passed
          level: 4
          reached: 4
          finished: '2026-11-22T07:56:47.725333Z'
          host: db1.example.org
          recovery_seconds: 212.4
        seconds: 43.8
        stored_bytes: 79420118
        plain_bytes: 238260354
        compression:
          level: 1
          method: zstd
        encryption: null
      backups: 2
      last_run: null
      running: null
      wanted: null
      schedule: daily at 02:00
      next_run: '2026-11-23T02:00:00Z'
      due:
        due: '2026-11-23T02:00:00Z'
        grace_seconds: 3643.8
        deadline: '2026-11-23T03:00:43.800000Z'
        overdue: false
      overdue: false
      keep: all of the last 30 days; the newest 2 that were proved to restore
      repositories:
      - local
      - offsite
      service: family
      source: main
      kind: full
      engine: mongodb
      last_success: '2026-11-22T07:20:50.800000Z'
      age_seconds: 3610.5
      stored_bytes: 79420118
      seconds: 43.8
      change:
        bytes: 1308114
        percent: 1.7
        against: 20261121T072007Z-a37cc6
      verified:
        level: 4
        level_name: questioned
        finished: '2026-11-22T07:56:47.725333Z'
        age_seconds: 1409.7
        backup: 20261122T072007Z-011b78
        is_newest: true
      history:
      - id: 20261121T072007Z-a37cc6
        started: '2026-11-21T07:20:07Z'
        stored_bytes: 78112004
        seconds: 41.2
        state: complete
      - id: 20261122T072007Z-011b78
        started: '2026-11-22T07:20:07Z'
        stored_bytes: 79420118
        seconds: 43.8
        state: verified
      recovery:
        job: family/main/full
        engine: mongodb
        backup: 20261122T072007Z-011b78
        plain_bytes: 238260354
        forecast:
          seconds: 212.4
          fastest: 212.4
          slowest: 212.4
          smallest_bytes: 238260354
          largest_bytes: 238260354
          count: 1
        objective_seconds: 3600.0
        verdict: met
      rpo: null
      rto: null
    streams: []
    sources:
    - source: family/main
      engine: mongodb
      rpo:
        objective_seconds: 86400.0
        seconds: 3610.5
        point: '2026-11-22T07:20:07Z'
        by: family/main/full
        verdict: met
      rto:
        objective_seconds: 3600.0
        seconds: 212.4
        by: full
        measured: 1
        verdict: met
      window:
        objective_seconds: null
        seconds: null
        begins: null
        ends: null
        windows: 0
        verdict: null
      verifications:
      - kind: full
        id: 20261122T075007Z-001000
        backup: 20261122T072007Z-011b78
        state: passed
        level: 4
        reached: 4
        finished: '2026-11-22T07:56:47.725333Z'
        host: db1.example.org
        recovery_seconds: 212.4
        reason: null
    windows: {}
    repositories:
    - name: local
      url: file:///var/backups/local
      reachable: true
      error: null
    - name: offsite
      url: file:///var/backups/offsite
      reachable: true
      error: null
    left_out: []
    problems: []
well:
  description: Whether nothing needs attention.
  returned: success
  type: bool
  sample: true
unmet_objectives:
  description: Objectives of the description that its schedules can't meet, each with what to change.
  returned: success
  type: list
  elements: dict
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.status_requests import (
    read_status_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "path"},
            "description": {"type": "dict"},
            "jobs": {"type": "list", "elements": "str", "default": []},
        },
        required_one_of=[["config", "description"]],
        mutually_exclusive=[["config", "description"]],
        supports_check_mode=True,
    )
    options = dict(module.params)
    run_module(module, lambda host: {"changed": False, **read_status_from(options, host=host)})


if __name__ == "__main__":
    main()
