#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: degraded_mode
short_description: Take the measures of degraded mode, put them back, and keep the record of it
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - A measure is taken once. What was so before is noted on the host before anything is changed, and it is put back from
    that note, whoever does it and however often it was taken. Killed anywhere and run again, it ends in the same state.
  - The record in the repositories says who entered degraded mode, when, why and until when, and what was so before.
  - C(playbooks/degraded_mode.yml) makes the measures and criteria from the description.
options:
  service:
    description: The service.
    type: str
    required: true
  action:
    description:
      - V(show) reads the record in O(repositories), V(note) adds an event to it.
      - V(look), V(enter) and V(leave) are about one O(measure).
      - V(ask) asks one O(criterion).
    type: str
    choices: [show, note, look, enter, leave, ask]
    default: show
  event:
    description: What happened. Needed for O(action=note).
    type: str
    choices: [entering, entered, extended, leaving, left]
  after:
    description: The number of the last event that was read (C(last)); when there is another, nothing is noted.
    type: int
    default: -1
  data:
    description: What belongs to the event. C(reason), C(until) and C(before) are read again; no secrets.
    type: dict
    default: {}
  operator:
    description: Who does it, for others.
    type: str
    default: somebody
  operator_host:
    description: From where; the target's name when left out.
    type: str
  measure:
    description: One measure, with its C(name), C(kind) and C(options). Needed for the actions about a measure.
    type: dict
  mode:
    description: Who entered degraded mode, C(until) when, and its C(id); noted on the host with the first measure.
    type: dict
    default: {}
  criterion:
    description: One criterion, with its C(name), C(kind) and C(options). Needed for O(action=ask).
    type: dict
  force:
    description: With O(action=leave), put back what was before though somebody changed it meanwhile.
    type: bool
    default: false
  state_directory:
    description: Folder on the target for the notes. Made when missing.
    type: path
    default: /var/lib/lifeboat
  administrator:
    description: >-
      How to reach PostgreSQL as somebody who may change settings of roles and databases; what is left out is the
      server of the measure, by its socket, as superuser.
    type: dict
    default: {}
  account:
    description: The account of the target that the server's socket lets in as superuser.
    type: str
    default: postgres
extends_documentation_fragment:
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
"""

EXAMPLES = r"""
- name: Stop the background work
  lifeboat.recovery.degraded_mode:
    service: adhd
    action: enter
    repositories: "{{ repositories }}"
    mode:
      id: 5f1c5f7a90a1b2c3
      until: "2026-11-21T06:00:00Z"
    measure:
      name: background
      kind: unit
      options:
        unit: mcp-background
        state: stopped
"""

RETURN = r"""
mode:
  description: The degraded mode that the service is in; empty when it is in none.
  returned: action is show or note
  type: dict
  sample:
    id: 5f1c5f7a90a1b2c3
    state: entered
    at: '2026-11-21T02:00:00Z'
    by: ada on desk
    reason: The region is slow.
    until: '2026-11-21T06:00:00Z'
    before: {}
last:
  description: The number of the last event, -1 when there is none.
  returned: action is show or note
  type: int
  sample: 3
noted:
  description: What this host has noted.
  returned: action is show or note
  type: dict
  sample:
    mode: {}
    measures: {}
measure:
  description: What was so before, what is so now, and C(state), which is none where the measure is not in force.
  returned: action is about a measure
  type: dict
  sample:
    state: 'on'
    before:
      running: true
    now:
      running: false
answer:
  description: Whether the criterion is met, and what was found.
  returned: action is ask
  type: dict
  sample:
    name: load
    met: true
    said: the load is 0.20 for each processor
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: degraded.measure_failed
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Mend the measure in the description."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import repositories_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._degraded_module import work_on_mode
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **repositories_option(),
            "service": {"type": "str", "required": True},
            "action": {"type": "str", "choices": ["show", "note", "look", "enter", "leave", "ask"], "default": "show"},
            "event": {"type": "str", "choices": ["entering", "entered", "extended", "leaving", "left"]},
            "after": {"type": "int", "default": -1},
            "data": {"type": "dict", "default": {}},
            "operator": {"type": "str", "default": "somebody"},
            "operator_host": {"type": "str"},
            "measure": {"type": "dict"},
            "mode": {"type": "dict", "default": {}},
            "criterion": {"type": "dict"},
            "force": {"type": "bool", "default": False},
            "state_directory": {"type": "path", "default": "/var/lib/lifeboat"},
            "administrator": {"type": "dict", "default": {}},
            "account": {"type": "str", "default": "postgres"},
        },
        supports_check_mode=True,
    )
    # Measures and what is noted are as they are.
    kept = {name: module.params[name] for name in ("measure", "mode", "criterion", "data", "administrator")}
    options = {**without_none(module.params), **kept}
    run_module(module, lambda host: work_on_mode(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
