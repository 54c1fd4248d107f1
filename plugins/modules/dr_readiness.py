#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dr_readiness
short_description: See from one host what a failover would need
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Looks from the target, with the credentials that are there, whether repositories can be read and written, which
    proved backups they have, how much room there is, whether a command is there, and what names are answered with.
    With O(connection), which replication slots a server of PostgreSQL has, and how large its databases are.
  - Says what was seen; what can't be seen says why, and is no error. C(playbooks/dr_readiness.yml) makes a score of it.
  - Leaves nothing behind. That a repository can be written is proved by an object that is removed at once; where
    nothing may be removed, C(.lifeboat-check) stays, as with every backup.
options:
  service:
    description: The service.
    type: str
    required: true
  write:
    description: Prove that the repositories can be written.
    type: bool
    default: false
  catalog:
    description: Read which backups of the service can be read here.
    type: bool
    default: false
  paths:
    description: Folders of whose disks the free space is told.
    type: list
    elements: path
    default: []
  command:
    description: A command of which the program must be there; it is not run.
    type: str
  names:
    description: Names that are asked for.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name.
        type: str
        required: true
      type:
        description: The type of its record.
        type: str
        choices: [A, AAAA, CNAME]
        default: A
  resolvers:
    description: >-
      Addresses of the resolvers that are asked, with C(#PORT) where it is another than 53. Those of the target without
      it.
    type: list
    elements: str
    default: []
  leases:
    description: Leases of primaries (a C(witness) of C(fencing.methods)), of which is told when they were renewed last.
    type: list
    elements: dict
    default: []
    suboptions:
      source:
        description: The source.
        type: str
        required: true
      host:
        description: The host of its primary, as the inventory calls it.
        type: str
        required: true
      repository:
        description: The one of O(repositories) that is the witness.
        type: str
        required: true
      lease:
        description: How long the lease is, in seconds.
        type: int
        required: true
extends_documentation_fragment:
  - lifeboat.recovery._postgresql
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes.info
seealso:
  - module: lifeboat.recovery.failover_ledger
"""

EXAMPLES = r"""
- name: See what the host in the other region can read
  lifeboat.recovery.dr_readiness:
    service: adhd
    catalog: true
    write: true
    paths: [/var/lib/postgresql]
    repositories:
      - name: dr
        type: s3
        bucket: acme-backups
        region: eu-central-1
        credentials: {file: /etc/lifeboat/s3.env}
  register: there
"""

RETURN = r"""
seen:
  description: What was seen; C(problem) says why something could not be.
  returned: success
  type: dict
  sample:
    host: adhd-dr
    repositories:
      - name: dr
        readable: true
        writable: true
        problem: null
    backups:
      - source: main
        kind: base
        id: 20261121T010000Z-0a65c0
        finished: '2026-11-21T01:04:11Z'
        verified: true
    database: null
    disks:
      - path: /var/lib/postgresql
        free_bytes: 104857600000
        problem: null
    command: null
    names: []
    leases: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: request.invalid
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Mend the description."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import (
    postgresql_connection_option,
    repositories_option,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module, without_none
from ansible_collections.lifeboat.recovery.plugins.module_utils._readiness_module import look_around


def main() -> None:
    """Options, request, result."""
    name = {"name": {"type": "str", "required": True}}
    kind = {"type": {"type": "str", "choices": ["A", "AAAA", "CNAME"], "default": "A"}}
    text = {"type": "str", "required": True}
    lease = {"source": text, "host": text, "repository": text, "lease": {"type": "int", "required": True}}
    module = AnsibleModule(
        argument_spec={
            **repositories_option(),
            **postgresql_connection_option(),
            "service": {"type": "str", "required": True},
            "write": {"type": "bool", "default": False},
            "catalog": {"type": "bool", "default": False},
            "paths": {"type": "list", "elements": "path", "default": []},
            "command": {"type": "str"},
            "names": {"type": "list", "elements": "dict", "default": [], "options": {**name, **kind}},
            "resolvers": {"type": "list", "elements": "str", "default": []},
            "leases": {"type": "list", "elements": "dict", "default": [], "options": lease},
        },
        supports_check_mode=True,
    )
    options = without_none(module.params)
    run_module(module, lambda host: look_around(options, check=module.check_mode, host=host))


if __name__ == "__main__":
    main()
