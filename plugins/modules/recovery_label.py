#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_label
short_description: Give one instant of a service a name that all its databases know
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Marks the same instant in every database of a service, and stores the positions under one name in the repositories.
  - PostgreSQL gets a restore point in its WAL (and a new segment, so that it is archived at once), MongoDB a note in
    its oplog, of Redis the second is taken. Of files the newest whole backup becomes a part of the label.
  - C(lifeboat recover SERVICE --to-label NAME) recovers all of them to it. How far apart the points can be is stated.
  - Databases on several hosts are marked there (O(store=false)), and then one label of all their O(points) is stored.
    C(playbooks/label.yml) does that.
options:
  service:
    description: The service.
    type: str
    required: true
  name:
    description: What the label is called; lower-case letters, digits, dot, dash and underscore.
    type: str
    required: true
  sources:
    description: The databases, and sources of files. Exactly one of O(sources) and O(points) is needed.
    type: list
    elements: dict
    suboptions:
      name:
        description: The source's name.
        type: str
        required: true
      engine:
        description: Its engine.
        type: str
        choices: [mongodb, postgresql, redis, files]
        required: true
      connection:
        description: How to reach it, as the modules that make its backups take it.
        type: dict
        required: true
  store:
    description: With V(false) the O(sources) are marked, and RV(points) is what this module is to be given afterwards.
    type: bool
    default: true
  points:
    description: What was marked on all hosts (RV(points)). Nothing more is marked; the label of all of them is stored.
    type: list
    elements: dict
  files:
    description: With O(points), which files belong to the label (RV(files) of all hosts).
    type: list
    elements: dict
  skew_seconds:
    description: How long marking took on all hosts together, by one clock. Needed for O(points) of several hosts.
    type: float
extends_documentation_fragment:
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
notes:
  - A label of that name which is there already is an error, because a name means one instant.
"""

EXAMPLES = r"""
- name: Before the upgrade
  lifeboat.recovery.recovery_label:
    service: adhd
    name: before-upgrade-7
    sources:
      - name: main
        engine: postgresql
        connection:
          host: /var/run/postgresql
          user: postgres
      - name: cache
        engine: redis
        connection:
          port: 6379
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: The databases of this host only, as a part of a label
  lifeboat.recovery.recovery_label:
    service: adhd
    name: before-upgrade-7
    store: false
    sources:
      - name: main
        engine: postgresql
        connection:
          host: /var/run/postgresql
          user: postgres
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
  register: marked
"""

RETURN = r"""
label:
  description: The label with the point of each source. RV(ignore:skew_seconds) says how far apart they can be.
  returned: success, except in check mode and with O(store=false)
  type: dict
  sample:
    format: lifeboat-label
    format_version: 1
    name: before-upgrade-7
    service: adhd
    host: db1
    made: '2026-11-21T18:03:12.118240Z'
    skew_seconds: 0.011204
    points:
      - source: main
        engine: postgresql
        kind: lsn
        value: 0/9000090
        inclusive: false
        asked: '2026-11-21T18:03:12.118240Z'
        answered: '2026-11-21T18:03:12.129444Z'
        facts:
          restore_point: before-upgrade-7
          timeline: 1
        host: db1
    checksum: 0f2f5c5d5b2f0c1d1a3f2a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081
points:
  description: The point of each source.
  returned: success with O(store=false), except in check mode
  type: list
  elements: dict
  sample:
    - source: main
      engine: postgresql
      kind: lsn
      value: 0/9000090
      inclusive: false
      asked: '2026-11-21T18:03:12.118240Z'
      answered: '2026-11-21T18:03:12.129444Z'
      facts:
        restore_point: before-upgrade-7
        timeline: 1
      host: db1
files:
  description: The newest whole backup of each source of files.
  returned: success with O(store=false), except in check mode
  type: list
  elements: dict
  sample:
    - source: configuration
      kind: config
      backup: 20261121T020000Z-4f2c91
      finished: '2026-11-21T02:00:03Z'
      manifest_checksum: 5d5b2f0c1d1a3f2a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70810f2f5c
repositories:
  description: The repositories that have it.
  returned: success, except in check mode and with O(store=false)
  type: list
  elements: str
  sample:
    - local
errors:
  description: The repositories that did not take it, with the reason.
  returned: success, except in check mode and with O(store=false)
  type: dict
  sample: {}
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: recovery.label_exists
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Take another name: lifeboat label SERVICE NAME"
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample:
    repository: local
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import repositories_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._recovery_module import make_one_label


def main() -> None:
    """Options, request, result."""
    source = {
        "name": {"type": "str", "required": True},
        "engine": {"type": "str", "choices": ["mongodb", "postgresql", "redis", "files"], "required": True},
        "connection": {"type": "dict", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            **repositories_option(),
            "service": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "sources": {"type": "list", "elements": "dict", "options": source},
            "store": {"type": "bool", "default": True},
            "points": {"type": "list", "elements": "dict"},
            "files": {"type": "list", "elements": "dict"},
            "skew_seconds": {"type": "float"},
        },
        mutually_exclusive=[["sources", "points"]],
        required_one_of=[["sources", "points"]],
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: make_one_label(options, check_mode=module.check_mode, host=host))


if __name__ == "__main__":
    main()
