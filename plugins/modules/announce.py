#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: announce
short_description: Tell people that a service moves
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Tells each audience by its channels of the description, all at the same time.
  - Each is told once in a failover. What was told is noted in the repositories beside the ledger, so that whoever goes
    on with the failover tells nobody twice.
  - Never fails because of a channel. One that is down stands in RV(told), with the reason.
options:
  service:
    description: The service.
    type: str
    required: true
  run:
    description: The failover, such as V(run-0001). Without it nothing is noted, and everybody is told each time.
    type: str
  event:
    description: What happens.
    type: str
    required: true
    choices: [planned, began, done, failed]
  occasion:
    description:
      - Which of several times in one failover that this happens, such as the step that has failed.
      - Each is told once for each of them.
    type: str
    default: ""
  announcements:
    description: Who is told what, as the filter C(announcements) makes it of the description.
    type: list
    elements: dict
    required: true
    suboptions:
      audience:
        description: Who.
        type: str
        required: true
      title:
        description: One line.
        type: str
        required: true
      text:
        description: All of it.
        type: str
        required: true
      severity:
        description: How it is marked.
        type: str
        default: info
      channels:
        description: By which channels, each with C(name), C(kind) and C(options).
        type: list
        elements: dict
        required: true
  facts:
    description: What webhooks are given beside it as C(facts).
    type: dict
    default: {}
extends_documentation_fragment:
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
notes:
  - In check mode nobody is told.
  - Runs where the files with the channels' secrets are.
"""

EXAMPLES = r"""
- name: Tell users that it is over
  lifeboat.recovery.announce:
    service: adhd
    run: run-0001
    event: done
    announcements:
      - audience: users
        title: We are back
        text: Everything works again.
        channels:
          - name: mail
            kind: mail
            options:
              to: [users@example.org]
    repositories:
      - name: offsite
        type: s3
        bucket: acme-backups
"""

RETURN = r"""
told:
  description: Each audience and channel, with the hash of title and text. RV(ignore:state) is told, told before,
    failed, or not sent in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - audience: users
      channel: mail
      event: done
      title: We are back
      sha256: 0f2f5c5d5b2f0c1d1a3f2a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081
      state: told
      at: '2026-11-21T18:03:12Z'
      error: null
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: request.invalid
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Each has name, kind and options."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._announce_module import tell
from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import repositories_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none


def main() -> None:
    """Options, request, result."""
    announcement = {
        "audience": {"type": "str", "required": True},
        "title": {"type": "str", "required": True},
        "text": {"type": "str", "required": True},
        "severity": {"type": "str", "default": "info"},
        "channels": {"type": "list", "elements": "dict", "required": True},
    }
    events = ["planned", "began", "done", "failed"]
    module = AnsibleModule(
        argument_spec={
            **repositories_option(),
            "service": {"type": "str", "required": True},
            "run": {"type": "str"},
            "event": {"type": "str", "required": True, "choices": events},
            "occasion": {"type": "str", "default": ""},
            "announcements": {"type": "list", "elements": "dict", "required": True, "options": announcement},
            "facts": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: tell(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
