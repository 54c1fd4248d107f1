# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh host for all tests, and a bucket of backups for each."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.breakglass.fresh_host import FreshHost, fresh_host
from tests.support.command_line import describe


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> FreshHost:
    made = fresh_host(tmp_path_factory.mktemp("fresh"))
    empty = tmp_path_factory.mktemp("nothing")
    found = made.run(
        "find / -xdev -iname '*lifeboat*' -not -path '/proc/*'; command -v lifeboat || echo none", bucket=empty
    )
    assert found == "none\n", f"the fresh host knows Lifeboat: {found}"
    return made


@dataclass
class Bucket:
    """A folder that a job backs up to; *key* is the private key, in a folder of its own."""

    folder: Path
    key: Path | None = None

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    def back_up(self, source: t.Mapping[str, t.Any], kind: str, *, name: str = "main") -> str:
        """Make one backup of *source* by the command line, which calls it *name*; its folder in the bucket."""
        settings: dict[str, t.Any] = {"state_directory": str(self.folder / "state")}
        if self.key is not None:
            done = subprocess.run(["age-keygen", "-y", self.key], check=True, capture_output=True, text=True)
            settings["encryption"] = {"recipients": [done.stdout.strip()]}
        job = {
            "kind": kind,
            "schedule": "0 2 * * *",
            "repositories": ["bucket"],
            "keep": {"count": 7},
        }
        lifeboat = describe(
            self.folder / "config.yml",
            {
                "lifeboat_settings": settings,
                "lifeboat_repositories": {"bucket": {"type": "file", "path": str(self.repository), "create": True}},
                "lifeboat_services": [
                    {
                        "name": "shop",
                        "objectives": {"rpo": "1d", "rto": "2h"},
                        "sources": [{**source, "name": name, "backups": [job]}],
                    }
                ],
            },
        )
        lifeboat("backup --quiet").succeeded()
        newest = lifeboat(f"list --json --source {name}").succeeded().document["backups"][-1]
        return f"shop/{name}/{kind}/{newest['id']}"

    def guide(self, folder: str) -> str:
        """RESTORE.md of that backup."""
        return (self.repository / folder / "RESTORE.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bucket() -> t.Iterator[Bucket]:
    folder = Path(tempfile.mkdtemp(prefix="lb-"))
    yield Bucket(folder=folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def encrypted() -> t.Iterator[Bucket]:
    """The same with a key; the host that restores gets the key as a file beside the backups, by other hands."""
    folder = Path(tempfile.mkdtemp(prefix="lb-"))
    (folder / "repository").mkdir()
    key = folder / "repository" / "identity.txt"
    subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
    key.chmod(0o644)
    yield Bucket(folder=folder, key=key)
    shutil.rmtree(folder)
