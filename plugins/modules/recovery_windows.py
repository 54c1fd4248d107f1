#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_windows
short_description: Say which moments a source can be recovered to
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Reads manifests and the records of streams (WAL, oplog, append-only file) in the repositories, and returns from when
    to when the source can be brought to any moment, with the gaps in between and their reasons.
  - No database server is asked, so it works when the server is gone.
options:
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
    choices: [mongodb, postgresql, redis]
    required: true
extends_documentation_fragment:
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
"""

EXAMPLES = r"""
- name: Where could we go back to?
  lifeboat.recovery.recovery_windows:
    service: adhd
    source: main
    engine: postgresql
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
  register: reachable

- name: Stop a migration when the last minutes can't be recovered
  ansible.builtin.assert:
    that:
      - reachable.windows | length > 0
      - (now(utc=true) - (reachable.windows[-1].ends[:19] | to_datetime('%Y-%m-%dT%H:%M:%S'))).total_seconds() < 300
"""

RETURN = r"""
windows:
  description: The unbroken spans, oldest first. Every moment between C(begins) and C(ends) can be recovered to.
  returned: success
  type: list
  elements: dict
  sample:
    - lineage: '7710662196918593409'
      begins: '2026-11-21T16:28:21Z'
      ends: '2026-11-21T18:03:12Z'
      first: 1/0/3000148
      last: 1/0/9000000
      bases:
        - 20261121T162818Z-22e3bd
      segments: 7
      stored_bytes: 3974679
gaps:
  description: Spans that can't be reached, and why.
  returned: success
  type: list
  elements: dict
  sample: []
warnings:
  description: What an operator should look at, and what could not be read.
  returned: success
  type: list
  elements: str
  sample: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: storage.all_failed
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: Look whether the mount is there.
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import repositories_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.recovery.plugins.module_utils._recovery_module import read_windows


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **repositories_option(),
            "service": {"type": "str", "required": True},
            "source": {"type": "str", "required": True},
            "engine": {"type": "str", "choices": ["mongodb", "postgresql", "redis"], "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, lambda host: {"changed": False, **read_windows(module.params, host=host)})


if __name__ == "__main__":
    main()
