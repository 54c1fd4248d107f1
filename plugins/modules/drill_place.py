#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_place
short_description: Have a place for a drill on a host, or be rid of it
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Makes a folder that bears a drill's mark, and finds ports that nobody listens on and that production does not have.
  - Removes it again, after all processes that work inside it were ended. What bears no mark is never removed.
options:
  path:
    description: The folder, for this drill alone.
    type: path
    required: true
  state:
    description: Whether it is to be there.
    type: str
    choices: [present, absent]
    default: present
  ports:
    description: How many free ports are wanted.
    type: int
    default: 0
  first_port:
    description: The first port that is tried; from 20000 on without it. One of O(avoid) is refused.
    type: int
  avoid:
    description: Ports that production has.
    type: list
    elements: int
    default: []
  keep_away:
    description: Folders that production has. A place inside or around one of them is refused.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - lifeboat.recovery._attributes
notes:
  - Processes are found by their working directory in C(/proc).
"""

EXAMPLES = r"""
- name: Have a place with two free ports
  lifeboat.recovery.drill_place:
    path: /var/lib/lifeboat-drill/adhd
    ports: 2
    avoid: [5432, 6379]
    keep_away: [/var/lib/postgresql/15/main]

- name: Be rid of all that the drill has left
  lifeboat.recovery.drill_place:
    path: /var/lib/lifeboat-drill/adhd
    state: absent
"""

RETURN = r"""
place:
  description: The place. C(ended) are the processes that worked there when it was removed.
  returned: success
  type: dict
  sample:
    path: /var/lib/lifeboat-drill/adhd
    ports: [20000, 20001]
    removed: false
    ended: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: drill.refused
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Leave lifeboat_drill_directory out, or name a folder that nothing else uses."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._drill_module import have_place
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "ports": {"type": "int", "default": 0},
            "first_port": {"type": "int"},
            "avoid": {"type": "list", "elements": "int", "default": []},
            "keep_away": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: have_place(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
