#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_ledger
short_description: Keep the ledger of a failover in the repositories
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Each step of a failover is noted before and after, in every repository that answers and at least in one. Each entry
    has the hash of the one before it and is never replaced.
  - One failover of a service is open at a time. Whoever begins a second one is told who has it open.
options:
  service:
    description: The service.
    type: str
    required: true
  action:
    description:
      - V(show) reads a failover, the newest without O(run).
      - V(begin) opens one with O(plan).
      - V(resume) goes on with an open one; whoever was at it can't write any more.
      - V(note) adds an entry.
    type: str
    choices: [show, begin, resume, note]
    default: show
  run:
    description: The failover, such as V(run-0001). Needed for O(action=resume) and O(action=note).
    type: str
  drill:
    description:
      - Whether V(show) without O(run) reads the newest drill, and no failover.
      - Drills are called V(drill-0001) and so on. One that was left open keeps nobody from a failover.
    type: bool
    default: false
  session:
    description: What O(action=begin) or O(action=resume) gave as C(session). Needed for O(action=note).
    type: str
  plan:
    description: The plan. Needed for O(action=begin).
    type: dict
  event:
    description: What happened. Needed for O(action=note).
    type: str
    choices: [intended, done, failed, closed, abandoned]
  step:
    description: To which step of the plan it happened.
    type: str
  begins:
    description:
      - The step of the plan that follows at once. Its intent is noted in the same call, which saves one.
      - With O(action=begin) and O(action=resume) the first one that is taken.
    type: str
  data:
    description: What belongs to the entry; no secrets.
    type: dict
    default: {}
  operator:
    description: Who does it, for others.
    type: str
    default: somebody
  operator_host:
    description: From where; the target's name when left out.
    type: str
extends_documentation_fragment:
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
notes:
  - In check mode it is read, and nothing is written.
"""

EXAMPLES = r"""
- name: See whether a failover is open
  lifeboat.recovery.failover_ledger:
    service: adhd
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
  register: failover
"""

RETURN = r"""
ledger:
  description: The failover with its plan, its entries, and what each finished step has given; none when there is none.
  returned: success
  type: dict
  sample:
    service: adhd
    run: run-0001
    open: true
    session: 5f1c5f7a90a1b2c3
    operator: ada on desk
    plan: {}
    finished:
      fence:
        proven: true
    intended:
      - promote
    entries: []
    last_sha256: 0f2f5c5d5b2f0c1d1a3f2a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081
    repositories:
      - local
    problems: {}
evidence:
  description: Its steps with their times, what was lost, and the objectives; none when there is none.
  returned: success
  type: dict
  sample:
    format: lifeboat-failover-evidence
    state: complete
    promoted: hot-standby
    recovery_seconds: 11.2
silent:
  description: The repositories that can't be read now, each with the reason.
  returned: with O(action=show), and in check mode
  type: dict
  sample: {}
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: failover.running
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Ask them. When nobody is at it any more, go on with it."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import repositories_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._failover_module import write_ledger
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **repositories_option(),
            "service": {"type": "str", "required": True},
            "action": {"type": "str", "choices": ["show", "begin", "resume", "note"], "default": "show"},
            "run": {"type": "str"},
            "drill": {"type": "bool", "default": False},
            "session": {"type": "str"},
            "plan": {"type": "dict"},
            "event": {"type": "str", "choices": ["intended", "done", "failed", "closed", "abandoned"]},
            "step": {"type": "str"},
            "begins": {"type": "str"},
            "data": {"type": "dict", "default": {}},
            "operator": {"type": "str", "default": "somebody"},
            "operator_host": {"type": "str"},
        },
        supports_check_mode=True,
    )
    # The plan and the data are as they are: what is null in them belongs to their hash.
    options = {**without_none(module.params), "plan": module.params["plan"], "data": module.params["data"]}
    run_module(module, lambda host: write_ledger(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
