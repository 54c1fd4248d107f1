# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real git repositories for tests, made without whatever the account that runs the tests has set."""

from __future__ import annotations

import os
import pathlib
import subprocess
from dataclasses import dataclass

_ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    **{f"GIT_{who}_NAME": "Anna" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "anna@example.org" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "1600000000 +0000" for who in ("AUTHOR", "COMMITTER")},
}


@dataclass(frozen=True)
class Repository:
    """A working tree at *path*."""

    path: pathlib.Path

    @classmethod
    def make(cls, path: pathlib.Path) -> Repository:
        """A small application: two commits on main, a branch, a tag of each form, a stash."""
        path.mkdir(parents=True)
        made = cls(path)
        made.git("init", "-q", "-b", "main")
        (path / "app.py").write_text("print('one')\n")
        (path / ".gitignore").write_text("*.log\n")
        made.commit("one")
        made.git("tag", "v1.0")
        made.git("branch", "feature")
        (path / "app.py").write_text("print('put aside')\n")
        made.git("stash", "-q")
        (path / "app.py").write_text("print('two')\n")
        made.commit("two")
        made.git("tag", "-a", "-m", "the second", "v2.0")
        return made

    def commit(self, message: str) -> str:
        """All that is there; returns the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def git(self, *words: str) -> str:
        """Run git there; returns what it prints."""
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", "-C", str(self.path), *words],
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"git {words}: {done.stderr}"
        return done.stdout.strip()

    def refs(self) -> dict[str, str]:
        """Every ref, and HEAD, by name."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        found = dict(line.split() for line in lines)
        return {**found, "HEAD": self.git("rev-parse", "HEAD")}
