#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_record
short_description: Move a name to other addresses
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Has one record say what it is to say, in Route 53 or at a server that takes dynamic updates (RFC 2136).
  - What it said before is in the result. A dynamic update is made only if the record says that still.
  - In check mode the right to change it is tried without changing anything.
  - Refuses a record that does not exist, one of another type, and in Route 53 an alias or one with a routing policy.
options:
  ttl:
    description: For how many seconds it is remembered.
    type: int
    required: true
  provider:
    description: Who serves the zone.
    type: str
    required: true
    choices: [route53, rfc2136]
  create:
    description: Make the record when it does not exist.
    type: bool
    default: false
  server:
    description:
      - For O(provider=rfc2136), the primary server of the zone, such as V(192.0.2.53) or V(192.0.2.53:5353).
    type: str
  key_file:
    description: A file with the TSIG key that signs the change, as C(tsig-keygen) writes it.
    type: path
  zone_id:
    description: For O(provider=route53), the hosted zone's id; found by O(zone) without it.
    type: str
  endpoint_url:
    description: For O(provider=route53), an address that is not Amazon's.
    type: str
  credentials:
    description: Where the access key comes from. Left out, boto3's own chain (environment, profile, instance role).
    type: dict
    suboptions:
      file:
        description: A file with the lines C(AWS_ACCESS_KEY_ID=...) and C(AWS_SECRET_ACCESS_KEY=...).
        type: path
      command:
        description: A command that prints such lines; it is run without a shell.
        type: str
      profile:
        description: A profile of the user's AWS configuration.
        type: str
      env:
        description: The beginning of the names of environment variables, V(X) for C(X_ACCESS_KEY_ID) and so on.
        type: str
  timeout:
    description: Seconds to wait until all servers of Route 53 have the change; longer is a warning.
    type: int
    default: 60
extends_documentation_fragment:
  - lifeboat.recovery._dns
  - lifeboat.recovery._attributes
notes:
  - Runs where the credentials are, mostly the controller. Needs dnspython for O(provider=rfc2136), boto3 for
    O(provider=route53).
seealso:
  - module: lifeboat.recovery.dns_agreed
"""

EXAMPLES = r"""
- name: See whether the name could be moved
  lifeboat.recovery.dns_record:
    name: api.example.org
    type: A
    zone: example.org
    values: [198.51.100.30]
    ttl: 60
    provider: rfc2136
    server: 192.0.2.53
    key_file: /etc/lifeboat/dns.key
  delegate_to: localhost
  check_mode: true

- name: Move it in Route 53
  lifeboat.recovery.dns_record:
    name: api.example.org
    type: A
    zone: example.org
    values: [198.51.100.30]
    ttl: 60
    provider: route53
    credentials:
      file: /etc/lifeboat/route53.env
  delegate_to: localhost
"""

RETURN = r"""
record:
  description: The record. RV(ignore:before) is what it said, none when there was none.
  returned: success
  type: dict
  sample:
    name: api.example.org
    type: A
    zone: example.org
    by: 192.0.2.53
    before:
      values: [192.0.2.30]
      ttl: 60
    after:
      values: [198.51.100.30]
      ttl: 60
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: dns.refused
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Name the key that may change it: key_file."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import credentials_option, dns_options
from ansible_collections.lifeboat.recovery.plugins.module_utils._dns_module import move_record
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **dns_options(),
            **credentials_option(),
            "ttl": {"type": "int", "required": True},
            "provider": {"type": "str", "required": True, "choices": ["route53", "rfc2136"]},
            "create": {"type": "bool", "default": False},
            "server": {"type": "str"},
            "key_file": {"type": "path", "no_log": False},
            "zone_id": {"type": "str"},
            "endpoint_url": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: move_record(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
