#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongo_restore
short_description: Restore a MongoDB dump, whole or in part, beside what is there or in its place
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Brings databases and collections back from a dump, with their options, indexes, views and validators.
  - Everything is loaded under other names first and compared with what was noted at backup time. Only then do
    collections change their names, one rename each, and what had the names is kept. When anything fails, the renames
    are taken back.
  - Beside production, give the databases other names (O(suffix) or O(rename)); or replace what is there
    (O(in_place=true)).
options:
  databases:
    description: Only these databases of the backup. All of it when this and O(collections) are left out.
    type: list
    elements: str
  collections:
    description: Only these collections, as C(database.collection).
    type: list
    elements: str
  rename:
    description: Other names for databases, for example V({shop: shop_recovery}).
    type: dict
  suffix:
    description: Is put behind the names of all databases that O(rename) does not name, for example V(_recovery).
    type: str
  users_and_roles:
    description: Whether to restore the users and roles of the backup. It needs the databases' own names.
    type: bool
  in_place:
    description: Whether to replace collections that are there. Needs O(confirm).
    type: bool
  others:
    description:
      - What becomes of collections that the target's databases hold and the backup does not; for O(in_place=true).
      - V(keep) leaves them, which is done when this is left out; V(aside) moves them aside, too.
    type: str
    choices: [keep, aside]
  parallel:
    description: How many inserters work at a time, 1 to 64; 4 when left out.
    type: int
  tool:
    description:
      - V(native) reads the archive itself, which is done when this is left out.
      - V(mongorestore) and V(vendor) run the vendor's tool.
    type: str
    choices: [native, mongorestore, vendor]
  tool_directory:
    description: Folder with C(mongorestore), when it is not on the path.
    type: path
extends_documentation_fragment:
  - lifeboat.recovery._mongodb
  - lifeboat.recovery._restore
  - lifeboat.recovery._recovery
  - lifeboat.recovery._decryption
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
"""

EXAMPLES = r"""
- name: Restore one database beside production, as second_brain_database_recovery
  lifeboat.recovery.mongo_restore:
    service: family
    source: main
    databases: [second_brain_database]
    suffix: _recovery
    connection:
      uri_file: /etc/lifeboat/family.uri
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: Put one collection back as it was before the accident
  lifeboat.recovery.mongo_restore:
    service: family
    source: main
    before: 2026-11-21T09:00:00Z
    collections: [second_brain_database.families]
    in_place: true
    confirm: "second_brain_database.families at db1:27017"
    connection:
      uri_file: /etc/lifeboat/family.uri
    repositories:
      - name: offsite
        type: s3
        bucket: acme-backups
        prefix: prod
        region: eu-west-1
        credentials:
          file: /etc/lifeboat/s3.env
    decryption:
      identity_file: /root/lifeboat.key
"""

RETURN = r"""
restore:
  description: What was restored.
  returned: success, except in check mode
  type: dict
  contains:
    id:
      description: The restore's id; M(lifeboat.recovery.restore_finish) takes it.
      type: str
    target:
      description: The name of what was restored into.
      type: str
    state:
      description: V(finished).
      type: str
    backup:
      description: The backup that was taken, with the copy that was read and the reason.
      type: dict
    where:
      description: Where the data is now.
      type: str
    connect:
      description: A command that opens it.
      type: str
    content:
      description: What was restored, in the engine's own words.
      type: dict
    aside:
      description: What was replaced, and where it lies now.
      type: list
      elements: str
    removed:
      description: Nothing; M(lifeboat.recovery.restore_finish) removes what was moved aside.
      type: list
      elements: str
    seconds:
      description: How long it took.
      type: float
    stages:
      description: Seconds spent in each stage.
      type: dict
    warnings:
      description: What an operator should look at.
      type: list
      elements: str
plan:
  description: What would be done, from which backup and why, and what would be replaced.
  returned: in check mode
  type: dict
  sample: {}
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: restore.confirmation_missing
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: ''
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import (
    mongodb_connection_option,
    restore_options,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._restore_module import run_restore_module

KINDS = ("full",)
# What is left out is the restorer's to decide.
OWN_OPTIONS = {
    "databases": {"type": "list", "elements": "str"},
    "collections": {"type": "list", "elements": "str"},
    "rename": {"type": "dict"},
    "suffix": {"type": "str"},
    "users_and_roles": {"type": "bool"},
    "in_place": {"type": "bool"},
    "others": {"type": "str", "choices": ["keep", "aside"]},
    "parallel": {"type": "int"},
    "tool": {"type": "str", "choices": ["native", "mongorestore", "vendor"]},
    "tool_directory": {"type": "path"},
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={**restore_options(), **mongodb_connection_option(), **OWN_OPTIONS},
        mutually_exclusive=[["id", "before"], ["id", "point"]],
        supports_check_mode=True,
    )
    run_restore_module(module, engine="mongodb", kinds=KINDS, own_options=tuple(OWN_OPTIONS))


if __name__ == "__main__":
    main()
