# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other processes for tests: Python with the engine, spoken to by lines, ended for certain."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENGINE = "ansible_collections.lifeboat.recovery.plugins.module_utils._engine"


def environment(**extra: str) -> dict[str, str]:
    """The environment in which a child can import the engine and the tests' helpers."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / ".collections")])
    return {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **extra}


def python(code: str, *arguments: str) -> list[str]:
    """The command for a child that runs *code* with *arguments*."""
    return [sys.executable, "-c", code, *arguments]


@contextlib.contextmanager
def child(code: str, *arguments: str) -> t.Iterator[subprocess.Popen[str]]:
    """A Python process that runs *code* beside the test; it is dead when the block ends."""
    with subprocess.Popen(
        python(code, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that the child prints; fails the test when it ended instead."""
    if process.stdout is None:
        raise AssertionError("the child's output is not read")
    line = process.stdout.readline()
    if not line:
        raise AssertionError(f"the child ended with status {process.wait()} before it said anything")
    return line.rstrip("\n")
