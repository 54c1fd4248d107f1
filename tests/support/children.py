# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other processes for tests: Python with the engine, spoken to by lines, ended for certain."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t

from tests.support.waiting import wait_for

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


def kill_when(
    reached: t.Callable[[], bool],
    arguments: t.Sequence[str | pathlib.Path],
    *,
    environment: t.Mapping[str, str],
    log: pathlib.Path,
    delay: float = 0,
    seconds: float = 900,
) -> None:
    """Run a command in the checkout, and ``kill -9`` it with its forks *delay* seconds after *reached*.

    What it says goes to *log*. Fails the test when it ends before that, or takes more than *seconds*.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in arguments],
            cwd=ROOT,
            env=dict(environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

        def far_enough() -> bool:
            ended = process.poll() is not None
            if reached():
                return True
            assert not ended, log.read_text()
            return False

        try:
            wait_for(far_enough, what=log.read_text, seconds=seconds)
            time.sleep(delay)
        finally:
            _kill_with_forks(process.pid, _command_of(process.pid))
            process.wait()


def command_lines() -> list[str]:
    """What everybody on this machine can read of processes, other than the dead."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


def processes_that_name(folder: str) -> list[str]:
    """The command lines in which a folder stands."""
    return [line for line in command_lines() if folder in line]


def _kill_with_forks(pid: int, command: bytes) -> None:
    """A process and those it has started by the same *command*; what works on a host goes on.

    Ansible's workers have sessions of their own.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)  # it starts nobody while the others are looked for
    for child in _children(pid):
        if _command_of(child) == command:
            _kill_with_forks(child, command)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _command_of(pid: int) -> bytes:
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def _children(pid: int) -> list[int]:
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                _name, _end, facts = (entry / "stat").read_text(encoding="utf-8").rpartition(")")
                if int(facts.split()[1]) == pid:
                    found.append(int(entry.name))
    return found
