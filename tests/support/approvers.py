# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""People with real SSH keys, who approve plans by the command line."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import FailoverPlan
from tests.support.command_line import CommandLine, describe
from tests.unit.description.samples import description


def keygen(*words: str | pathlib.Path) -> None:
    """ssh-keygen, as a person uses it."""
    subprocess.run(["ssh-keygen", "-q", *map(str, words)], check=True, capture_output=True, timeout=60)


@dataclass(frozen=True)
class Person:
    """Somebody with a key pair."""

    name: str
    key: pathlib.Path

    @classmethod
    def new(cls, folder: pathlib.Path, name: str, *, kind: str = "ed25519", passphrase: str = "") -> Person:
        key = folder / f"{name}.key"
        keygen("-t", kind, "-N", passphrase, "-C", f"{name}@desk", "-f", key)
        return cls(name=name, key=key)

    @property
    def public(self) -> str:
        return pathlib.Path(f"{self.key}.pub").read_text(encoding="utf-8").strip()

    @property
    def signer(self) -> dict[str, str]:
        """As the description has them."""
        return {"name": self.name, "key": self.public}


@dataclass(frozen=True)
class Desk:
    """A description with approvals, two repositories on disk, and a plan that is a file."""

    folder: pathlib.Path
    plan: FailoverPlan
    lifeboat: CommandLine

    @classmethod
    def new(
        cls, folder: pathlib.Path, plan: FailoverPlan, signers: t.Sequence[t.Mapping[str, str]], **more: t.Any
    ) -> Desk:
        data = description()
        data["lifeboat_repositories"] |= {
            name: {"type": "file", "path": str(folder / name)} for name in ("local", "offsite")
        }
        for name in ("local", "offsite"):
            (folder / name).mkdir(exist_ok=True)
        data["lifeboat_services"][0]["approvals"] = {"needed": 2, "signers": list(signers), **more}
        desk = cls(folder=folder, plan=plan, lifeboat=describe(folder / "lifeboat.json", data))
        desk.plan_file.write_text(json.dumps(plan.as_dict()), encoding="utf-8")
        return desk

    @property
    def plan_file(self) -> pathlib.Path:
        return self.folder / "plan.json"

    def approvals(self, repository: str = "local") -> list[pathlib.Path]:
        """What lies in the repository about the plan."""
        folder = self.folder / repository / self.plan.service / ".failover/.approvals" / self.plan.fingerprint
        return sorted(folder.glob("*.json")) if folder.is_dir() else []

    def asked(self, *words: str) -> dict[str, t.Any]:
        """Who has approved, by ``lifeboat failover show``."""
        shown = self.lifeboat("failover show --json --plan", str(self.plan_file), *words).succeeded()
        found: dict[str, t.Any] = shown.document["approvals"]
        return found

    def approve(self, person: Person, *words: str) -> t.Any:
        return self.lifeboat("failover approve --yes --plan", str(self.plan_file), "--key", str(person.key), *words)
