#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_approval
short_description: See who has approved the plan of a failover
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Approvals are signatures of C(ssh-keygen) on the SHA-256 of a plan, its service and the time until which they hold.
    They lie in the repositories, or are given as files.
  - Each person counts once, and so does each key. What has expired, is about another plan, was withdrawn or signed by
    somebody else counts for nothing, and the result says why.
  - While approvals are missing, the plan is kept in the repositories, so that C(lifeboat failover approve) finds it.
requirements:
  - ssh-keygen of OpenSSH 8.1 or later
options:
  service:
    description: The service. Needed with O(plan_sha256).
    type: str
  plan:
    description: The plan. This, or O(plan_sha256).
    type: dict
  plan_sha256:
    description: The whole SHA-256 of a plan that lies in the repositories.
    type: str
  policy:
    description: Who must approve, as C(approvals) of the service in the description; nobody without it.
    type: dict
    suboptions:
      needed:
        description: How many of them must approve.
        type: int
        required: true
      signers:
        description: Who may approve.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: Who it is.
            type: str
            required: true
          key:
            description: The public key that they sign with; the line of its C(.pub) file.
            type: str
          allowed_signers:
            description: Instead of it a file on this host, as ssh-keygen reads it.
            type: path
          principal:
            description: Under which principal they are in that file; by default their name.
            type: str
          description:
            description: A note for people.
            type: str
      valid_for:
        description: How long an approval holds.
        type: str
        default: 4h
      drill:
        description: What a drill needs.
        type: str
        choices: [none, same]
        default: none
      revoked_keys:
        description: A file on this host with revoked public keys, or a KRL.
        type: path
  given:
    description: Approvals that were handed over as files, as their documents.
    type: list
    elements: dict
    default: []
  run:
    description:
      - An open failover. Then it is asked whether it was opened with enough approvals of this plan; what has expired or
        was withdrawn since does not stop it.
    type: str
  drill:
    description: It is a drill, which touches nothing of production.
    type: bool
    default: false
  required:
    description: Fail while approvals are missing.
    type: bool
    default: false
extends_documentation_fragment:
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
notes:
  - In check mode it is read, and nothing is written.
"""

EXAMPLES = r"""
- name: Go on with enough approvals only
  lifeboat.recovery.failover_approval:
    plan: "{{ planned.plan }}"
    policy:
      needed: 2
      signers:
        - name: ada
          key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHiLicWNgQe3q40AYeWHyqmzUwkh8xPPkbASfi7Yaohe
        - name: grace
          allowed_signers: /etc/lifeboat/allowed_signers
    required: true
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
  register: approved
"""

RETURN = r"""
plan:
  description: The plan, also when it was named by its hash.
  returned: success
  type: dict
  sample: {}
plan_sha256:
  description: Its SHA-256.
  returned: success
  type: str
  sample: 0f2f5c5d5b2f0c1d1a3f2a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081
approvals:
  description: Who has approved, how many are missing, who may still approve, and what does not count and why.
  returned: success
  type: dict
  sample:
    plan_sha256: 0f2f5c5d5b2f0c1d1a3f2a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081
    needed: 2
    missing: 1
    approved:
      - signer: ada
        made: "2026-11-21T02:00:00Z"
        until: "2026-11-21T06:00:00Z"
        key: SHA256:Qy/AJAlCVwT2xJoglxeMwHhrFPcxn4rsIKnLlHKNFbs
    refused: []
    waiting:
      - grace
    until:
record:
  description: What belongs into the first entry of the ledger as C(approval); it holds the signatures.
  returned: success
  type: dict
  sample:
    plan_sha256: 0f2f5c5d5b2f0c1d1a3f2a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081
    needed: 2
    statements: []
text:
  description: The plan and its approvals in words, line by line.
  returned: success
  type: list
  elements: str
  sample:
    - "adhd: promote-standby, planned at 2026-11-21T02:00:00Z"
command:
  description: What an approver types; empty when there are enough.
  returned: success
  type: str
  sample: lifeboat failover approve --plan 0f2f5c5d5b2f0c1d1a3f2a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081 --key KEY
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: failover.not_approved
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Each of them: lifeboat failover approve --plan 0f2f --key KEY"
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._approval_module import approvals
from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import approvals_option, repositories_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **repositories_option(),
            **approvals_option(),
            "service": {"type": "str"},
            "plan": {"type": "dict"},
            "plan_sha256": {"type": "str"},
            "given": {"type": "list", "elements": "dict", "default": []},
            "run": {"type": "str"},
            "drill": {"type": "bool", "default": False},
            "required": {"type": "bool", "default": False},
        },
        required_one_of=[("plan", "plan_sha256")],
        mutually_exclusive=[("plan", "plan_sha256")],
        required_by={"plan_sha256": ("service",)},
        supports_check_mode=True,
    )
    # The plan is as it is: what is null in it belongs to its hash.
    options = {**without_none(module.params), "plan": module.params["plan"]}
    run_module(module, lambda host: approvals(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
