# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One tree of files, one repository, one description, and ``lifeboat`` as a person types it."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import typing as t
from dataclasses import dataclass

import pytest

from tests.support.command_line import CommandLine, describe
from tests.support.file_trees import make_tree

JOB = "shop/conf/config"
CONFIRM = f"files on {socket.gethostname()}"


@dataclass
class Site:
    """*tree* is what is backed up; nothing else of the machine is read or written."""

    directory: pathlib.Path
    tree: pathlib.Path
    lifeboat: CommandLine

    @property
    def repository(self) -> pathlib.Path:
        """The repository's folder."""
        return self.directory / "repository"

    def describe(self, *, verify: t.Mapping[str, t.Any] | None = None, **more: t.Any) -> None:
        """Write the description anew; *more* are keys of the connection, and ``kind``, ``keep``, ``options``,
        ``repositories`` and ``encryption`` of the job.
        """
        job = {key: more.pop(key) for key in ("kind", "keep", "options", "encryption") if key in more}
        repositories = more.pop("repositories", ["local"])
        self.lifeboat = describe(
            self.directory / "lifeboat.json",
            {
                "lifeboat_settings": {
                    "state_directory": str(self.directory / "state"),
                    "scratch_directory": str(self.directory / "scratch"),
                    "decryption": {"identity_file": str(self.directory / "key")},
                },
                "lifeboat_repositories": {
                    name: {"type": "file", "path": str(self.directory / "repository"), "create": True}
                    if name == "local"
                    else {"type": "file", "path": str(self.directory / name), "create": True}
                    for name in repositories
                },
                "lifeboat_services": [
                    {
                        "name": "shop",
                        "sources": [
                            {
                                "name": "conf",
                                "engine": "files",
                                "connection": {"paths": [str(self.tree)], **more},
                                "backups": [
                                    {
                                        "kind": "config",
                                        "triggers": ["change"],
                                        "repositories": list(repositories),
                                        "keep": {"within": "30d"},
                                        **job,
                                    }
                                ],
                                **({"verify": dict(verify)} if verify else {}),
                            }
                        ],
                    }
                ],
            },
        )

    def back_up(self) -> dict[str, t.Any]:
        """Make one; returns what came of it."""
        (result,) = self.lifeboat("backup --quiet --json").succeeded().document["results"]
        backup: dict[str, t.Any] = result["backup"]
        return backup

    def folder(self, backup: t.Mapping[str, t.Any]) -> pathlib.Path:
        """Where a backup lies."""
        return self.repository / str(backup["path"])

    def key(self) -> str:
        """Make a private key for the decryption; returns the public one."""
        subprocess.run(["age-keygen", "-o", str(self.directory / "key")], check=True, capture_output=True)
        done = subprocess.run(
            ["age-keygen", "-y", str(self.directory / "key")], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    tree = make_tree(tmp_path / "srv" / "app")
    made = Site(directory=tmp_path, tree=tree, lifeboat=CommandLine(tmp_path / "lifeboat.json"))
    made.describe()
    return made
