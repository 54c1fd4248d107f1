#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_fence
short_description: Stop an old PostgreSQL primary for good
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Runs on the host of the old primary. Writes C(standby.signal) into its data folder, so that it takes no writes
    should anybody start it again, masks its unit, stops it, and proves that it is stopped.
  - Counts the commits on its disk that a standby has not received.
  - A server that is fenced already is left as it is, so the task can be repeated.
options:
  data_directory:
    description: The data folder of the old primary on the target.
    type: path
    required: true
  system_identifier:
    description: The cluster's identifier; a folder of another one is refused, and so is one of a standby.
    type: str
    required: true
  timeline:
    description: The timeline that the old primary is on.
    type: int
    required: true
  received:
    description: The position up to which the standby has WAL; commits behind it are counted.
    type: str
  port:
    description: The port that must refuse connections, where the server does not say its own.
    type: int
    default: 5432
  bin_directory:
    description: The folder of the server's programs, where it is not the distribution's.
    type: path
  service_control:
    description:
      - How the server is stopped; C(pg_ctl) without it, and where it does not help.
      - Either O(service_control.unit), or both commands.
    type: dict
    suboptions:
      unit:
        description: A unit of systemd. It is masked as well.
        type: str
      stop_command:
        description: A command that stops the server and returns when it has ended. It is run without a shell.
        type: str
      start_command:
        description: A command that starts the server. It is not run.
        type: str
  timeout:
    description: Seconds that each way to stop it may take.
    type: int
    default: 60
extends_documentation_fragment:
  - lifeboat.recovery._attributes
notes:
  - The way back, as long as nothing else was promoted, is to remove C(standby.signal), to unmask the unit and to
    start it.
seealso:
  - module: lifeboat.recovery.pg_promote
"""

EXAMPLES = r"""
- name: Fence the old primary
  lifeboat.recovery.pg_fence:
    data_directory: /var/lib/postgresql/15/main
    system_identifier: "{{ standby.state.system_identifier }}"
    timeline: "{{ standby.state.timeline }}"
    received: "{{ standby.state.received }}"
    service_control:
      unit: postgresql@15-main
  become: true
"""

RETURN = r"""
fenced:
  description: The evidence. RV(ignore:at_rest) are the commits on its disk that the standby has not received;
    RV(ignore:ended_at) is where its WAL ended when it was stopped in order.
  returned: success
  type: dict
  sample:
    changed: true
    data_directory: /var/lib/postgresql/15/main
    was_running: true
    stopped_by: the unit postgresql@15-main
    stopped_in_order: true
    cluster_state: shut down
    ended_at: 0/50000F8
    signal_file: true
    masked: true
    refused:
      - 127.0.0.1:5432
    at_rest:
      received: 0/5000148
      count: 0
      ends: []
      first: null
      last: null
    warnings: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: postgresql.fence_not_proven
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Look at it on db1: ps -C postgres -f   and stop what runs there."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import service_control_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._standby_module import fence_old_primary


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **service_control_option(),
            "data_directory": {"type": "path", "required": True},
            "system_identifier": {"type": "str", "required": True},
            "timeline": {"type": "int", "required": True},
            "received": {"type": "str"},
            "port": {"type": "int", "default": 5432},
            "bin_directory": {"type": "path"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: fence_old_primary(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
