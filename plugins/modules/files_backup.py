#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: files_backup
short_description: Back up files or an application into one or more repositories
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Stores files and folders of the target with owners, modes, access lists, extended attributes, links and holes as one
    reproducible tar, with a list of all entries and their hashes beside it.
  - GNU tar restores it; M(lifeboat.recovery.files_restore) restores it with a plan first and a way back.
  - A file that changes at every reading is named in the backup and in a warning; the tar is whole all the same.
  - Of an application each git repository is stored beside its files as a bundle with every ref; C(git clone) takes it.
options:
  kind:
    description:
      - V(config) is configuration, all of it each time.
      - V(app) is an application as it is deployed - the trees without caches, environments and C(.git), and a bundle of
        each repository.
      - V(static) is assets and logs, a whole backup now and then, and between them only files that are new or changed.
        Files that are the same are not read. The target remembers them in O(state_directory).
    type: str
    choices: [config, app, static]
    default: config
  git_bundle:
    description:
      - Only for O(kind=app). V(true) refuses to go without a git repository, V(false) stores none.
      - Left out, each repository is stored that lies in O(connection.paths).
    type: bool
  tree:
    description:
      - Only for O(kind=app). Whether to store the files as they lie in the folders.
      - Left out, they are.
    type: bool
  caches:
    description:
      - Only for O(kind=app). What is made anew and left out of the trees, as patterns of O(connection.exclude).
      - Left out, these are C(__pycache__), C(*.pyc), C(node_modules), C(.venv), C(venv), C(.tox), C(.nox),
        C(.mypy_cache), C(.pytest_cache) and C(.ruff_cache).
    type: list
    elements: str
  version_file:
    description:
      - Only for O(kind=app). A file below O(connection.paths) whose first line is the version.
      - Left out, C(git describe) tells it.
    type: path
  system_snapshot:
    description:
      - Whether to store a description of the target as well, as plain text - kernel, packages, running services,
        network, disks, cron and firewall. Only for O(kind=config).
      - A tool that the target does not have is noted there and stops nothing.
    type: bool
    default: false
  max_steps:
    description:
      - How many increments may follow a whole backup, V(30) when it is left out; V(0) makes every backup whole.
      - Only for O(kind=static).
    type: int
  max_age:
    description:
      - When a whole backup is too old for another increment, V(30d) when it is left out. Only for O(kind=static).
    type: str
  whole:
    description: Whether to make a whole backup now, whatever could be built on. Every backup of O(kind=config) is one.
    type: bool
    default: false
  trigger:
    description:
      - V(schedule) always makes a backup.
      - V(change) makes none when the newest backup in every repository holds what the files are now. Times of
        modification and the description of the target do not count.
      - With O(kind=static) only files that differ are read for that.
      - V(deployment) is the same, for plays that deploy.
    type: str
    choices: [schedule, change, deployment]
    default: schedule
extends_documentation_fragment:
  - lifeboat.recovery._files
  - lifeboat.recovery._backup
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
"""

EXAMPLES = r"""
- name: Keep the configuration of the web server
  lifeboat.recovery.files_backup:
    service: family
    source: configuration
    connection:
      paths:
        - /etc/nginx
        - /etc/systemd/system/*.service
      optional_paths: [/etc/grafana]
      exclude: ['*.dpkg-old']
    system_snapshot: true
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: Keep it after a deployment, where that has changed anything
  lifeboat.recovery.files_backup:
    service: family
    source: configuration
    trigger: change
    connection:
      paths: [/etc/nginx]
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: Keep what users uploaded, each hour what is new
  lifeboat.recovery.files_backup:
    service: family
    source: media
    kind: static
    max_steps: 168
    max_age: 7d
    connection:
      paths: [/srv/family/media]
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: Keep the application that was just deployed
  lifeboat.recovery.files_backup:
    kind: app
    service: family
    source: code
    trigger: deployment
    connection:
      paths: [/opt/second_brain_database]
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
"""

RETURN = r"""
backup:
  description: What was made. It exists in every repository whose state in RV(backup.repositories) is V(complete).
  returned: success, except in check mode; also when the task fails because the backup is partial
  type: dict
  contains:
    id:
      description: The backup's id.
      type: str
      sample: 20261121T095856Z-3de573
    state:
      description:
        - V(complete) when every repository has it, V(partial) when one has not.
        - V(unchanged) when O(trigger) is not V(schedule) and nothing was made; then all of this is about the newest
          backup.
      type: str
      sample: complete
    path:
      description: Its folder in every repository.
      type: str
      sample: family/configuration/config/20261121T095856Z-3de573/
    parent:
      description: The backup that this one is an increment of, with O(kind=static).
      type: str
      sample: null
    stored_bytes:
      description: Bytes in each repository.
      type: int
      sample: 43120
    plain_bytes:
      description: Bytes before compression.
      type: int
      sample: 231424
    seconds:
      description: How long it took.
      type: float
      sample: 0.652
    bytes_per_second:
      description: Bytes read from the source a second.
      type: int
      sample: 354944
    stages:
      description: Seconds spent in each stage.
      type: dict
      sample:
        starting: 0.0
        inspecting: 0.021
        checking repositories: 0.012
        reading files: 0.214
        looking at the host: 0.391
        finishing: 0.002
    repositories:
      description: Each repository with RV(ignore:name), RV(ignore:url), RV(ignore:state) and RV(ignore:error).
      type: list
      elements: dict
      sample:
        - name: local
          url: file:///var/backups/lifeboat
          state: complete
          error: null
        - name: offsite
          url: s3://acme-backups/prod
          state: complete
          error: null
    payloads:
      description: The stored files with size and SHA-256.
      type: list
      elements: dict
      sample:
        - name: files.tar.zst
          media: files in a tar
          size: 41873
          sha256: 758d6de2d8b5c153cb05a326b919e17c1ffc2b182feb6302c5d211542fc3fb57
          plain_size: 215040
          compression: zstd
          encryption: null
    content:
      description:
        - What the backup holds. RV(ignore:fingerprint) is the content hash of the tree.
        - With O(kind=static) RV(ignore:stored) says what is in its own tar, RV(ignore:kept) what is in those of earlier
          backups, RV(ignore:parent) what it builds on, or RV(ignore:whole_because) why it builds on nothing.
        - Of an application also RV(ignore:version) and RV(ignore:repositories), each with commit, branch, tags, refs
          and how many files differ from the commit; the hash is then of these, too.
      type: dict
      sample:
        roots: [/etc/nginx, /etc/redis/redis.conf]
        missing: [/etc/grafana]
        entries: 62
        counts:
          file: 48
          folder: 9
          link: 5
        bytes: 148211
        fingerprint: 2896f306f9e15759258ea27f860e13a8c7b12281a09b334c2dee26ac018fd73a
        excluded: 2
        sockets: 0
        doubts: []
        exclude: ['*.pyc']
        system:
          members: [kernel.txt, packages.txt, units.txt, network.txt, disks.txt, cron.txt, firewall.txt]
          missing_tools: [rpm, apk]
        warnings: []
    warnings:
      description: What an operator should look at.
      type: list
      elements: str
      sample: []
plan:
  description: What would be done, with the facts that were found and the state of each repository.
  returned: in check mode
  type: dict
  sample:
    job: family/configuration/config
    engine: files
    steps:
    - read 62 files, folders and links of /etc/nginx, /etc/redis/redis.conf
    facts:
      roots: [/etc/nginx, /etc/redis/redis.conf]
      missing: [/etc/grafana]
      exclude: ['*.pyc']
      entries: 62
      bytes: 148211
    expected_bytes: 148211
    repositories:
    - name: local
      url: file:///var/backups/lifeboat
      state: ready
      error: null
      free_bytes: 71623278592
    - name: offsite
      url: s3://acme-backups/prod
      state: ready
      error: null
      free_bytes: null
    compression:
      method: zstd
      level: 1
    encryption: null
    parent: null
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: lock.held
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "See how far it is: lifeboat status."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample: {}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import (
    backup_options,
    files_connection_option,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._backup_module import run_backup_module
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.parents import STATIC_PARENT_KINDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.producers.files import (
    app,
    config,
    static,
)

OWN_OPTIONS = {
    "system_snapshot": {"type": "bool", "default": False},
    "git_bundle": {"type": "bool"},
    "tree": {"type": "bool"},
    "caches": {"type": "list", "elements": "str"},
    "version_file": {"type": "path"},
    "max_steps": {"type": "int"},
    "max_age": {"type": "str"},
}
#: Of them, what each kind takes.
KIND_OPTIONS = {
    "config": ("system_snapshot",),
    "app": ("system_snapshot", "git_bundle", "tree", "caches", "version_file"),
    "static": ("max_steps", "max_age"),
}
FACTORIES = {"config": config, "app": app, "static": static}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **backup_options(),
            **files_connection_option(),
            **OWN_OPTIONS,
            "kind": {"type": "str", "choices": list(FACTORIES), "default": "config"},
            "whole": {"type": "bool", "default": False},
            "trigger": {"type": "str", "choices": ["schedule", "change", "deployment"], "default": "schedule"},
        },
        supports_check_mode=True,
    )
    kind = module.params["kind"]
    # One that is of another kind is refused by name, unless it says nothing.
    said = {name for name in OWN_OPTIONS if module.params[name] is not None and module.params[name] is not False}
    run_backup_module(
        module,
        engine="files",
        kind=kind,
        factory=FACTORIES[kind],
        own_options=tuple(said.union(KIND_OPTIONS[kind])),
        parent_kinds=STATIC_PARENT_KINDS if kind == "static" else (),
    )


if __name__ == "__main__":
    main()
