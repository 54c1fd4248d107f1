#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_agreed
short_description: Wait until all name servers give the same answer
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Asks every server that knows the zone, and the given resolvers, until all say in one round what the record is to
    say, or the time is out.
  - Tells what each one says, for how long it remembers that, and after how many seconds it began to agree.
  - Ends at once when a server that knows the zone has the name with another type; waiting would change nothing.
  - Changes nothing.
options:
  nameservers:
    description:
      - The servers that know the zone, such as V(192.0.2.53) or V(192.0.2.53:5353). Left out, those of the zone.
    type: list
    elements: str
  resolvers:
    description:
      - Servers that clients ask. They remember old answers for the record's TTL. They also find O(nameservers) when
        these are left out; without them this host's do.
    type: list
    elements: str
  timeout:
    description: Seconds until they must agree; V(0) asks once.
    type: int
    default: 120
  answer_timeout:
    description: Seconds to wait for one answer.
    type: float
    default: 2.0
  must_agree:
    description:
      - V(all) fails when not all agree in time.
      - V(answering) fails when none of the servers that know the zone agrees, or one of them says something else. Those
        that don't answer are not waited for, and resolvers may lag.
      - V(none) never fails because of what they say.
    type: str
    choices: [all, answering, none]
    default: all
extends_documentation_fragment:
  - lifeboat.recovery._dns
  - lifeboat.recovery._attributes.info
notes:
  - Needs dnspython where it runs, mostly the controller.
seealso:
  - module: lifeboat.recovery.dns_record
"""

EXAMPLES = r"""
- name: Wait until everybody has it
  lifeboat.recovery.dns_agreed:
    name: api.example.org
    type: A
    zone: example.org
    values: [198.51.100.30]
    resolvers: [9.9.9.9, 1.1.1.1]
    timeout: 180
  delegate_to: localhost

- name: See who says what today
  lifeboat.recovery.dns_agreed:
    name: api.example.org
    type: A
    zone: example.org
    values: [192.0.2.30]
    timeout: 0
    must_agree: none
  delegate_to: localhost
"""

RETURN = r"""
agreed:
  description: Whether all say the same.
  returned: success
  type: bool
  sample: true
proven:
  description: Whether the servers that know the zone and answer all agree, and there is one.
  returned: success
  type: bool
  sample: true
lagging:
  description: Who does not agree, and what they say.
  returned: success
  type: list
  elements: str
  sample: []
name:
  description: The record's name.
  returned: success
  type: str
  sample: api.example.org
type:
  description: The record's type.
  returned: success
  type: str
  sample: A
wanted:
  description: What it is to say.
  returned: success
  type: list
  elements: str
  sample: [198.51.100.30]
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 3.102
rounds:
  description: How often all were asked.
  returned: success
  type: int
  sample: 4
answers:
  description: Each server's last answer. RV(ignore:answer) is none where it gave no answer.
  returned: success
  type: list
  elements: dict
  sample:
    - server: ns1.example.org
      role: authoritative
      answer: [198.51.100.30]
      ttl: 60
      agrees: true
      agreed_after: 0.012
      said: 198.51.100.30
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: dns.not_agreed
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Resolvers ask anew in 41 s at the latest; then run it again."
details:
  description: Facts about the error; who says what, when they don't agree.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import dns_options
from ansible_collections.lifeboat.recovery.plugins.module_utils._dns_module import ask_servers
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **dns_options(),
            "nameservers": {"type": "list", "elements": "str"},
            "resolvers": {"type": "list", "elements": "str"},
            "timeout": {"type": "int", "default": 120},
            "answer_timeout": {"type": "float", "default": 2.0},
            "must_agree": {"type": "str", "choices": ["all", "answering", "none"], "default": "all"},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: ask_servers(options, host=host))


if __name__ == "__main__":
    main()
