# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short commands: run to the end, small output, a deadline. Long streams go through ``pipeline``."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import typing as t
from dataclasses import dataclass

from .errors import CommandFailed, CommandTimedOut, ToolMissing, ToolTooOld
from .signals import undisturbed

# Where to get a program that is missing. Debian's names; the hint says so.
_PACKAGES: t.Mapping[str, str] = {
    "age": "age",
    "zstd": "zstd",
    "tar": "tar",
    "setpriv": "util-linux",
    "ssh-keygen": "openssh-client",
    "pg_dump": "postgresql-client",
    "pg_dumpall": "postgresql-client",
    "pg_basebackup": "postgresql-client",
    "pg_restore": "postgresql-client",
    "mongodump": "mongodb-database-tools (the vendor's package; or use tool: native)",
    "wal-g": "wal-g (the vendor's binary)",
    "redis-cli": "redis-tools",
}


@dataclass(frozen=True)
class Completed:
    """How a command ended: exit status and everything that it printed."""

    status: int
    output: bytes
    error: bytes

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 are replaced."""
        return self.output.decode("utf-8", "replace")


class Runner(t.Protocol):
    """Runs short commands."""

    def run(
        self,
        argv: t.Sequence[str],
        *,
        environment: t.Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float = 60.0,
        check: bool = True,
    ) -> Completed:
        """Run *argv* without a shell and wait for its end.

        *environment* is added to the process's own (with ``LC_ALL=C``). Raises ToolMissing, CommandTimedOut after
        *timeout* seconds (the whole process group is killed) and, with *check*, CommandFailed for a non-zero status.
        """


class SubprocessRunner:
    """Runs real processes."""

    def run(
        self,
        argv: t.Sequence[str],
        *,
        environment: t.Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float = 60.0,
        check: bool = True,
    ) -> Completed:
        program = find_program(argv[0])
        process = None
        try:
            with undisturbed():
                process = subprocess.Popen(
                    [program, *argv[1:]],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=child_environment(environment),
                    start_new_session=True,
                )
            output, error = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise CommandTimedOut(
                f"{argv[0]} did not end within {timeout:g} seconds and was stopped.",
                details={"command": argv[0]},
            ) from None
        except BaseException:
            _kill(process)
            raise
        if check and process.returncode != 0:
            raise CommandFailed(
                f"{argv[0]} ended with status {process.returncode}: {last_lines(error)}",
                details={"command": argv[0], "status": process.returncode},
            )
        return Completed(status=process.returncode, output=output, error=error)


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    """End the process with all that it started."""
    if process is None:
        return
    with process, contextlib.suppress(ProcessLookupError):  # waits for its end; the group may have ended already
        os.killpg(process.pid, signal.SIGKILL)


def child_environment(extra: t.Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child: ours with plain messages (``LC_ALL=C``) and *extra*."""
    return {**os.environ, "LC_ALL": "C", **(extra or {})}


def find_program(name: str, *, directories: t.Sequence[str] = ()) -> str:
    """The absolute path of a program: in *directories* first, then on PATH. Raises ToolMissing with its package."""
    if os.path.isabs(name):
        if os.access(name, os.X_OK):
            return name
    else:
        search = os.pathsep.join(
            [*directories, os.environ.get("PATH", os.defpath), "/usr/local/bin", "/usr/bin", "/bin"]
        )
        found = shutil.which(name, path=search)
        if found:
            return found
    short = os.path.basename(name)
    package = _PACKAGES.get(short, short)
    raise ToolMissing(
        f"The program {name} is not on this host.",
        hint=f"Install it, on Debian: apt-get install {package}",
        details={"tool": short, "package": package},
    )


def last_lines(error: bytes, *, count: int = 8) -> str:
    """The end of what a program printed, for an error message."""
    lines = error.decode("utf-8", "replace").strip().splitlines()
    return "\n".join(lines[-count:]) if lines else "(it printed nothing)"


def program_version(name: str, *, runner: Runner, arguments: t.Sequence[str] = ("--version",)) -> tuple[int, ...]:
    """The first number that ``NAME --version`` prints as a word of its own, as a tuple: (15, 18). Empty without one.

    A ``v`` before it is allowed; "(64-bit)" and the like are no versions.
    """
    completed = runner.run([name, *arguments], timeout=20)
    printed = completed.text or completed.error.decode("utf-8", "replace")
    found = re.search(r"(?:^|[\s:=])v?([0-9]+(?:\.[0-9]+)*)", printed)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


def require_version(name: str, *, found: tuple[int, ...], at_least: tuple[int, ...], reason: str) -> None:
    """Raise ToolTooOld when *found* is below *at_least*; *reason* says what the old one can't do."""
    if found < at_least:
        dotted = ".".join(str(part) for part in at_least)
        raise ToolTooOld(
            f"{name} is version {'.'.join(str(part) for part in found) or 'unknown'}, but {dotted} is needed: {reason}",
            hint=f"Install {name} {dotted} or later.",
            details={"tool": name, "found": list(found), "needed": list(at_least)},
        )
