# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One application in git, one repository for its backups, and ``lifeboat`` as a person types it."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, Series
from tests.support.command_line import CommandLine, describe
from tests.support.git_repositories import Repository

JOB = "shop/code/app"


@dataclass
class AppSite:
    """*app* is what is backed up; nothing else of the machine is read or written."""

    directory: pathlib.Path
    app: Repository
    lifeboat: CommandLine

    @classmethod
    def make(cls, directory: pathlib.Path) -> AppSite:
        """A deployed application with what runs leave behind in it."""
        app = Repository.make(directory / "srv" / "shop")
        app.git("remote", "add", "origin", "https://deploy:tok3n-of-git@git.example.org/shop.git")
        (app.path / "app.py").write_text("print('mended in production')\n")
        (app.path / ".env").write_text("MODE=production\n")
        (app.path / "run.log").write_text("started\n")
        for cache in ("__pycache__", "node_modules/left-pad", ".venv/bin"):
            (app.path / cache).mkdir(parents=True)
            (app.path / cache / "made-anew.pyc").write_text("cache\n")
        made = cls(directory=directory, app=app, lifeboat=CommandLine(directory / "lifeboat.json"))
        made.describe()
        return made

    @property
    def repository(self) -> pathlib.Path:
        """The repository's folder."""
        return self.directory / "repository"

    def describe(
        self, *, job: t.Mapping[str, t.Any] | None = None, source: t.Mapping[str, t.Any] | None = None
    ) -> None:
        """Write the description anew; *job* and *source* have more keys of these."""
        backup = {
            "kind": "app",
            "triggers": ["deployment"],
            "repositories": ["local"],
            "keep": {"forever": True},
            **(job or {}),
        }
        code = {
            "name": "code",
            "engine": "files",
            "connection": {"paths": [str(self.app.path)]},
            "backups": [backup],
            **(source or {}),
        }
        self.lifeboat = describe(
            self.directory / "lifeboat.json",
            {
                "lifeboat_settings": {
                    "state_directory": str(self.directory / "state"),
                    "scratch_directory": str(self.directory / "scratch"),
                    "decryption": {"identity_file": str(self.directory / "key")},
                },
                "lifeboat_repositories": {"local": {"type": "file", "path": str(self.repository), "create": True}},
                "lifeboat_services": [{"name": "shop", "sources": [code]}],
            },
        )

    def back_up(self, *words: str) -> dict[str, t.Any]:
        """Make one; returns what came of it."""
        (result,) = self.lifeboat("backup --quiet --json", *words).succeeded().document["results"]
        backup: dict[str, t.Any] = result["backup"]
        return backup

    def deploy(self) -> dict[str, t.Any]:
        """Make one as a deployment does."""
        return self.back_up("--trigger", "deployment")

    def folder(self, backup: t.Mapping[str, t.Any]) -> pathlib.Path:
        """Where a backup lies."""
        return self.repository / str(backup["path"])

    def place(self, backup: t.Mapping[str, t.Any]) -> BackupFolder:
        """The same for :mod:`tests.support.resealing`."""
        return Series(service="shop", source="code", kind="app").backup(str(backup["id"]))

    def prove(self, level: int) -> dict[str, t.Any]:
        """Verify the only backup; returns the verification."""
        (result,) = self.lifeboat(f"verify {JOB} --level {level} --json --quiet").document["results"]
        verification: dict[str, t.Any] = result["verification"]
        return verification

    def restored(self, folder: pathlib.Path) -> pathlib.Path:
        """Where the application lies in a folder that it was restored into."""
        return pathlib.Path(f"{folder}{self.app.path}")

    def key(self) -> str:
        """Make a private key for the decryption; returns the public one."""
        key = str(self.directory / "key")
        subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
        return subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True, text=True).stdout.strip()
