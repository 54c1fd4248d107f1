# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real S3 server (SeaweedFS) whose users have the policies of docs/iam. It decides them itself."""

from __future__ import annotations

import json
import pathlib
import typing as t

from sandbox.s3 import S3Identity, S3Server

FOLDER = pathlib.Path(__file__).parents[2] / "docs/iam"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))
#: Those that the policies speak of.
BUCKET, PREFIX = "acme-backups", "production"


class _PolicyIdentity(S3Identity):
    def as_document(self) -> dict[str, t.Any]:
        # Without actions of its own: what the policy does not allow is denied.
        return {**super().as_document(), "policyNames": [self.name]}


class PolicyServer(S3Server):
    """The bucket of the policies, with object lock; ``users`` by the name of their policy."""

    def __init__(self) -> None:
        self.users = {name: _PolicyIdentity(name=name, actions=()) for name in NAMES}
        super().__init__(buckets=(), locked_buckets=(BUCKET,), identities=tuple(self.users.values()))

    def _prepare(self) -> None:
        super()._prepare()
        path = self.directory / "identities.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        policies = [{"name": name, "content": (FOLDER / f"{name}.json").read_text(encoding="utf-8")} for name in NAMES]
        path.write_text(json.dumps({**content, "policies": policies}), encoding="utf-8")
