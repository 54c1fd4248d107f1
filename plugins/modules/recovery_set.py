#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_set
short_description: Say which backups a set consists of, and what this host has restored of it
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Chooses a set (a backup of the kind C(system)) and looks for each of its members in the repositories.
  - Reads only. The members are restored one by one, each by the module of its own kind; C(playbooks/restore.yml) does
    that in their order.
options:
  state_directory:
    description: Where this host keeps the notes of its restores.
    type: path
    default: /var/lib/lifeboat
extends_documentation_fragment:
  - lifeboat.recovery._choice
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
seealso:
  - module: lifeboat.recovery.backup_info
  - module: lifeboat.recovery.restore_finish
"""

EXAMPLES = r"""
- name: What would the newest verified set bring back?
  lifeboat.recovery.recovery_set:
    service: shop
    source: system
    repositories:
      - name: cloud
        type: s3
        bucket: acme-backups
        credentials:
          file: /etc/lifeboat/s3.env
  register: found

- name: Refuse to begin while a member is gone
  ansible.builtin.assert:
    that: found.whole
"""

RETURN = r"""
name:
  description: The name of the set, with its place; what is repeated to confirm a restore in place.
  returned: success
  type: str
  sample: shop/system/system/20261121T010000Z-658640
backup:
  description: The set that was chosen, and why, as the modules that restore return it.
  returned: success
  type: dict
  sample:
    id: 20261121T010000Z-658640
    kind: system
    engine: files
    state: verified
    started: '2026-11-21T01:00:00.118214Z'
    repository: cloud
    reason: the newest verified
    stored_bytes: 61030
    plain_bytes: 184320
members:
  description:
    - The members in the order in which they come back.
    - RV(ignore:problem) says why one can't, RV(ignore:instead) which other one holds the same data in another form.
    - RV(ignore:restores) are the restores of this very backup that this host made, oldest first, with their options.
  returned: success
  type: list
  elements: dict
  sample:
    - source: cache
      kind: rdb
      id: 20261121T010412Z-10f3aa
      engine: redis
      repository: cloud
      state: verified
      instead: null
      problem: null
      restores: []
left_out:
  description: What of the service is not in the set, and why.
  returned: success
  type: list
  elements: str
  sample: []
span:
  description: From when to when the members were made.
  returned: success
  type: dict
  sample:
    begins: '2026-11-21T01:00:01Z'
    ends: '2026-11-21T01:04:12Z'
    seconds: 251.2
whole:
  description: Whether every member is there.
  returned: success
  type: bool
  sample: true
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: catalog.backup_not_found
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: See what there is with lifeboat list.
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import choice_options, repositories_option
from ansible_collections.lifeboat.recovery.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.recovery.plugins.module_utils._set_module import read_set


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **repositories_option(),
            **choice_options(),
            "state_directory": {"type": "path", "default": "/var/lib/lifeboat"},
        },
        supports_check_mode=True,
    )
    run_module(module, lambda host: {"changed": False, **read_set(module.params, host=host)})


if __name__ == "__main__":
    main()
