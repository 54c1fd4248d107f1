#!/usr/bin/python
# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: files_restore
short_description: Restore a backup of files beside what is there or in its place
version_added: 0.1.0
author:
  - Lifeboat contributors (@lifeboat-contributors)
description:
  - Brings files back with owners (by number), modes, access lists, attributes, links and times, all of a backup or some
    paths of it.
  - In place, every file is compared with the backup first, and only what differs is replaced, each by a rename. What
    was there is kept beside it; when anything fails, or the host dies in between, it is put back.
  - In check mode it says which files would be added, changed and left, with the lines that differ in small text files
    that everybody may read.
options:
  kind:
    description:
      - V(config) is configuration; it is what is meant when this is left out.
      - V(app) is an application. In place its files are brought back; the repository on the target stays as it is.
      - V(static) is assets and logs; of increments only the tars that hold a wanted file are read.
    type: str
    choices: [config, app, static]
  in_place:
    description:
      - Whether to put the files where they were. Needs O(confirm) when anything that exists is replaced.
      - Left out, they go below O(data_directory).
    type: bool
  data_directory:
    description: An empty or new folder for the restored files. Required unless O(in_place=true).
    type: path
  paths:
    description: Only these absolute paths and what is below them. V(*), V(?) and V(**) stand for others.
    type: list
    elements: str
  exact:
    description:
      - Whether to move aside what the backup does not have. Only for O(in_place=true).
      - Left out, such files stay, and are told in the plan.
    type: bool
  show_private:
    description: Whether to show the lines of files in check mode that not everybody may read, too. They may be secrets.
    type: bool
  take:
    description:
      - Only for O(kind=app). V(tree) brings back the files alone, V(repositories) the git repositories with the files
        of their commits, V(all) the files and in their folders the repositories.
      - Left out, it is V(all). With O(paths), or in place, repositories are not restored.
    type: str
    choices: [all, tree, repositories]
  redeploy:
    description:
      - A command, word by word and without a shell, that is run once a restore in place went well.
      - When it fails the task fails, and the files stay restored; M(lifeboat.recovery.restore_finish) takes them back.
    type: list
    elements: str
extends_documentation_fragment:
  - lifeboat.recovery._files
  - lifeboat.recovery._restore
  - lifeboat.recovery._choice
  - lifeboat.recovery._recovery
  - lifeboat.recovery._decryption
  - lifeboat.recovery._repositories
  - lifeboat.recovery._attributes
"""

EXAMPLES = r"""
- name: Look into the newest verified configuration
  lifeboat.recovery.files_restore:
    service: family
    source: configuration
    data_directory: /root/restored
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: Put one file back as it was yesterday
  lifeboat.recovery.files_restore:
    service: family
    source: configuration
    before: 2026-11-21T00:00:00Z
    in_place: true
    paths: [/etc/nginx/nginx.conf]
    confirm: files on web1
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat

- name: Go back to the application that was deployed before
  lifeboat.recovery.files_restore:
    kind: app
    service: family
    source: code
    before: 2026-11-21T00:00:00Z
    in_place: true
    exact: true
    redeploy: [systemctl, restart, sbd-api]
    confirm: files on web1
    repositories:
      - name: local
        type: file
        path: /var/backups/lifeboat
"""

RETURN = r"""
restore:
  description: What was restored.
  returned: success, except in check mode; also when the task fails because O(redeploy) failed
  type: dict
  contains:
    id:
      description: The restore's id; M(lifeboat.recovery.restore_finish) takes it.
      type: str
      sample: 20261121T163137Z-b5b03c
    target:
      description: The name of what was restored into.
      type: str
      sample: files on web1
    state:
      description: V(finished).
      type: str
      sample: finished
    backup:
      description: The backup that was taken, with the copy that was read and the reason.
      type: dict
      sample:
        id: 20261121T162740Z-209690
        kind: config
        engine: files
        state: verified
        started: '2026-11-21T16:27:40.955862Z'
        repository: local
        reason: the newest verified
        stored_bytes: 1032
        plain_bytes: 7485
    where:
      description: Where the data is now.
      type: str
      sample: files on web1
    connect:
      description: A command that opens it.
      type: str
      sample: cd /root/restored
    content:
      description: What was restored, in the engine's own words.
      type: dict
      sample:
        counts:
          added: 1
          changed: 2
          extra: 1
          same: 58
        actions: 3
    aside:
      description: What was replaced, and where it lies now.
      type: list
      elements: str
      sample:
        - /etc/.lifeboat-restore-20261121T163137Z-b5b03c
    removed:
      description: Nothing; M(lifeboat.recovery.restore_finish) removes what was moved aside.
      type: list
      elements: str
      sample: []
    seconds:
      description: How long it took.
      type: float
      sample: 0.668
    stages:
      description: Seconds spent in each stage.
      type: dict
      sample:
        starting: 0.0
        looking at the target: 0.105
        restoring: 0.002
        compare every file with the backup's list: 0.107
        fetch and check beside them what differs: 0.06
        move the old ones aside, one by one, and the backup's into their places: 0.089
        tidy up: 0.002
    warnings:
      description: What an operator should look at.
      type: list
      elements: str
      sample: []
plan:
  description: What would be done, from which backup and why, and what would be replaced.
  returned: in check mode
  type: dict
  sample:
    backup:
      id: 20261121T162740Z-209690
      kind: config
      engine: files
      state: verified
      started: '2026-11-21T16:27:40.955862Z'
      repository: local
      reason: the newest verified
      stored_bytes: 1032
      plain_bytes: 7485
    target: files on web1
    replaces: files on web1
    stops: []
    moves:
      - '/etc/nginx/nginx.conf: replaced (content)'
      - '/etc/nginx/conf.d/new.conf: left as it is'
    steps:
      - compare every file with the backup's list
      - fetch and check beside them what differs
      - move the old ones aside, one by one, and the backup's into their places
      - tidy up
    facts:
      counts:
        added: 0
        changed: 1
        extra: 1
        same: 60
      changes:
        - path: /etc/nginx/nginx.conf
          change: changed
          what: [content]
        - path: /etc/nginx/conf.d/new.conf
          change: extra
          what: []
      diff: |-
        --- /etc/nginx/nginx.conf (now)
        +++ /etc/nginx/nginx.conf (backup)
        @@ -1,2 +1,2 @@
         user www-data;
        -worker_processes 1;
        +worker_processes auto;
    needed_bytes: 1098229
    free_bytes: 52352524288
    versions: ''
    forecast:
      seconds: 0.1
      fastest: 0.1
      slowest: 0.1
      smallest_bytes: 7485
      largest_bytes: 7485
      count: 1
    unfinished: []
    warnings: []
code:
  description: The error's stable code, see C(docs/error-codes.md).
  returned: failure
  type: str
  sample: restore.confirmation_missing
hint:
  description: What to type or to change next.
  returned: failure
  type: str
  sample: "Look at the plan (--dry-run, check mode), then add --confirm \"files on web1\" (confirm: \"files on
    web1\")."
details:
  description: Facts about the error.
  returned: failure
  type: dict
  sample:
    replaces: files on web1
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.recovery.plugins.module_utils._argspec import (
    files_connection_option,
    restore_options,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._restore_module import run_restore_module

KINDS = ("config", "app", "static")
# What is left out is the restorer's to decide: some options are for one way of restoring only.
OWN_OPTIONS = {
    "in_place": {"type": "bool"},
    "data_directory": {"type": "path"},
    "paths": {"type": "list", "elements": "str"},
    "exact": {"type": "bool"},
    "show_private": {"type": "bool"},
    "take": {"type": "str", "choices": ["all", "tree", "repositories"]},
    "redeploy": {"type": "list", "elements": "str"},
}


def main() -> None:
    """Options, request, result."""
    module = AnsibleModule(
        argument_spec={
            **restore_options(),
            **files_connection_option(),
            **OWN_OPTIONS,
            "kind": {"type": "str", "choices": list(KINDS)},
        },
        mutually_exclusive=[["id", "before"], ["id", "point"]],
        supports_check_mode=True,
    )
    run_restore_module(module, engine="files", kinds=KINDS, own_options=tuple(OWN_OPTIONS))


if __name__ == "__main__":
    main()
