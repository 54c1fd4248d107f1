# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real S3 server (SeaweedFS) whose users have policies, those of docs/iam or others. It decides them itself."""

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
    """``users`` are by the name of their policy; without *policies* those of docs/iam, with their bucket, locked."""

    def __init__(
        self,
        policies: t.Mapping[str, str] | None = None,
        *,
        buckets: t.Sequence[str] = (),
        locked_buckets: t.Sequence[str] = (BUCKET,),
    ) -> None:
        documented = {name: (FOLDER / f"{name}.json").read_text(encoding="utf-8") for name in NAMES}
        self.policies = documented if policies is None else dict(policies)
        self.users = {name: _PolicyIdentity(name=name, actions=()) for name in self.policies}
        super().__init__(buckets=buckets, locked_buckets=locked_buckets, identities=tuple(self.users.values()))

    def _prepare(self) -> None:
        super()._prepare()
        path = self.directory / "identities.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        policies = [{"name": name, "content": policy} for name, policy in self.policies.items()]
        path.write_text(json.dumps({**content, "policies": policies}), encoding="utf-8")
