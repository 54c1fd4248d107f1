#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_witness
short_description: Take the lease of an old primary and wait until it has ended
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - A primary with a witness renews a lease in a repository, and is stopped on its own host before the lease ends when
    that can't be done (C(lifeboat failover lease), by the role P(lifeboat.recovery.standby#role)).
  - This module puts the mark of a failover there, which ends all renewing, and waits for one lease and a little more by
    the clock of the target. After that the server takes no writes, whether it saw the mark or was cut off.
  - It is a proof only where that server has renewed the lease, does not go on doing so, and did not give it back; else
    the module fails and says what to do.
  - Doing it again finds the mark, and waits again.
options:
  service:
    description: The service.
    type: str
    required: true
  source:
    description: The source whose server is fenced.
    type: str
    required: true
  run:
    description: The failover, whose ledger must be in the repository and have the fencing of the source as begun.
    type: str
    required: true
  host:
    description: The host of the old primary, as the inventory calls it.
    type: str
    required: true
  lease:
    description: How long the lease is, in seconds. The one that the server says is waited for where it is longer.
    type: int
    default: 30
extends_documentation_fragment:
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
notes:
  - O(repositories) is the one that is the witness.
  - In check mode it is looked at whether the lease could be taken, and nothing is written.
seealso:
  - module: lifeboat.recovery.failover_ledger
"""

EXAMPLES = r"""
- name: Fence the old primary by its witness
  lifeboat.recovery.failover_witness:
    service: adhd
    source: main
    run: run-0001
    host: adhd-db
    lease: 30
    repositories:
      - name: third
        type: s3
        bucket: acme-witness
        region: eu-north-1
        credentials: {file: /etc/lifeboat/s3.env}
  register: fenced
"""

RETURN = r"""
taken:
  description:
    - The proof. C(state) is C(released) where the server said that it is stopped, C(ended) where that was waited for.
    - C(last_renewed) is by the clock of the old primary.
  returned: success, none in check mode
  type: dict
  sample:
    repository: third
    host: adhd-db
    run: run-0001
    state: ended
    session: 5f1c5f7a90a1b2c3
    renewals: 4711
    last_renewed: '2026-11-21T01:59:58Z'
    marked_at: '2026-11-21T02:03:10Z'
    waited_seconds: 32
    lease_seconds: 30
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: failover.witness_not_proven
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Fence it by another way of fencing.methods, or power its host off by hand."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import repositories_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._witness_module import take_described_lease


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **repositories_option(),
            "service": {"type": "str", "required": True},
            "source": {"type": "str", "required": True},
            "run": {"type": "str", "required": True},
            "host": {"type": "str", "required": True},
            "lease": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: take_described_lease(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
