#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_follow
short_description: Follow a backup, verification or restore in the background and show how far it is
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Waits for a task that was started with C(async) and C(poll=0), and shows stage, bytes and rate while it runs.
  - Returns what the task itself would have returned, its failure included.
options:
  jid:
    description: The RV(ignore:ansible_job_id) that the background task returned.
    type: str
    required: true
  job:
    description:
      - The job of a backup, as C(service/source/kind); of a verification, as C(verify service/source/kind).
      - Of a restore, as C(restore into TARGET) with the name that the plan shows in check mode.
    type: str
    required: true
  state_directory:
    description: Folder on the target with locks and progress.
    type: path
    default: /var/lib/lifeboat
  interval:
    description: Seconds between two looks. The first looks come sooner, so that a short backup isn't waited for.
    type: int
    default: 10
extends_documentation_fragment:
  - lifeboat.recovery._attributes.info
notes:
  - Each look is two short tasks on the target.
"""

EXAMPLES = r"""
- name: Start a long dump in the background
  lifeboat.recovery.mongo_dump:
    service: family
    source: main
    connection:
      uri_file: /etc/lifeboat/family.uri
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
  async: 86400
  poll: 0
  register: started

- name: Show how far it is until it has ended
  lifeboat.recovery.backup_follow:
    jid: "{{ started.ansible_job_id }}"
    job: family/main/full
  register: dumped
"""

RETURN = r"""
running:
  description: The progress when it was last looked at.
  returned: while it runs; the result of the background task takes its place
  type: list
  elements: dict
  sample:
    - job: family/main/full
      id: 20261121T020000Z-4f2c91
      pid: 4711
      host: db1
      since: "2026-11-21T02:00:00.104283Z"
      progress:
        stage: backing up
        bytes_done: 4831838208
        bytes_expected: 21474836480
        bytes_per_second: 231211008
        bytes_stored: 1207959552
        percent: 22
        seconds: 20.9
        updated: "2026-11-21T02:00:21.002184Z"
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory, running_jobs
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module


def main() -> None:
    """One look at what runs; the action plugin of the same name looks again and again."""
    module = AnsibleModule(
        argument_spec={
            "jid": {"type": "str", "required": True},
            "job": {"type": "str", "required": True},
            "state_directory": {"type": "path", "default": "/var/lib/lifeboat"},
            "interval": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    state = StateDirectory(path=module.params["state_directory"])
    job = module.params["job"]
    run_module(
        module,
        lambda _host: {
            "changed": False,
            "running": [document for document in running_jobs(state) if document.get("job") == job],
        },
    )


if __name__ == "__main__":
    main()
