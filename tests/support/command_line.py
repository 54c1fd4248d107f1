# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat`` as a person types it: in this process for speed, or in one of its own that may be killed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import shlex
import subprocess
import sys
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.cli import main
from tests.support.children import ENGINE, environment


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    command: str
    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, t.Any]:
        """The one document of --json."""
        found: dict[str, t.Any] = json.loads(self.out)
        return found

    def succeeded(self) -> Said:
        """Itself; fails the test when the exit status is not 0."""
        return self.ended(0)

    def ended(self, status: int) -> Said:
        """Itself; fails the test when the exit status is another."""
        assert self.status == status, f"$ {self.command}\n{self.out}{self.err}=> {self.status}, not {status}"
        return self

    def refused(self, code: str, *, status: int = 2, hint: str = "") -> Said:
        """Itself; fails the test unless it is a named error with a hint that holds *hint*."""
        self.ended(status)
        assert f"[{code}]" in self.err, self.err
        _before, found, told = self.err.partition("\n  hint: ")
        assert found, f"an error without a next step: {self.err}"
        assert hint in told, told
        assert "Traceback" not in self.err
        return self


@dataclass(frozen=True)
class CommandLine:
    """``lifeboat`` with one description."""

    configuration: pathlib.Path

    def __call__(self, command: str, *more: str) -> Said:
        """Run ``lifeboat`` with the words of *command* (as a shell splits them) and *more*."""
        words = [*shlex.split(command), *more]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(["--config", str(self.configuration), *words])
            except SystemExit as end:  # argparse
                status = int(end.code or 0)
        return Said(command=f"lifeboat {shlex.join(words)}", status=status, out=out.getvalue(), err=err.getvalue())

    def process(self, command: str, *more: str, **variables: str) -> Said:
        """The same in a process of its own; the status of a killed one is negative."""
        words = [*shlex.split(command), *more]
        done = subprocess.run(
            [sys.executable, "-m", ENGINE, "--config", str(self.configuration), *words],
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Said(command=f"lifeboat {shlex.join(words)}", status=done.returncode, out=done.stdout, err=done.stderr)


def describe(path: pathlib.Path, description: t.Mapping[str, t.Any]) -> CommandLine:
    """Write a description, and the command line that reads it."""
    path.write_text(json.dumps(description, indent=1), encoding="utf-8")
    os.chmod(path, 0o600)
    return CommandLine(configuration=path)
