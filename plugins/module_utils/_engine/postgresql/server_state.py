# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a PostgreSQL server, read from what the postmaster itself notes; never from what a start returned."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ..core.clock import Clock
from ..core.errors import PostgresServerDied, PostgresStateNotReached

#: The states in which a start can end; *starting* is none of them.
READ_WRITE, PAUSED, STANDBY, DEAD, STARTING = "read-write", "paused", "standby", "dead", "starting"
_STATUS = {"ready": READ_WRITE, "standby": STANDBY}
_POLL_SECONDS = 0.05
_SEVERE = re.compile(r"\b(?:FATAL|PANIC):\s+(?P<what>.*)")
_NAMES = ("postgres", "postmaster", "edb-postgres")


def postmaster_pid(data_directory: str) -> int | None:
    """The process that has the data folder in use by its own account, None when there is no living one."""
    lines = read_pid_file(data_directory)
    try:
        pid = abs(int(lines[0]))  # negative for a single-user backend
    except (IndexError, ValueError):
        return None
    return pid if _is_postgres(pid) else None


def server_processes(data_directory: str) -> frozenset[int]:
    """Every living process of the server in the folder: backends outlive a postmaster that was killed.

    Those of others' accounts are seen by root only.
    """
    folder = os.path.realpath(data_directory)
    found = {postmaster_pid(folder)}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.readlink(f"/proc/{name}/cwd") == folder and _is_living(int(name)):
                found.add(int(name))
    return frozenset(pid for pid in found if pid is not None)


def postmaster_state(data_directory: str, *, pid: int | None = None) -> str:
    """read-write, standby, starting or dead, by the file that the postmaster keeps (*pid*: only by that one's).

    Line 1 is the process, line 8 the state: src/include/utils/pidfile.h of PostgreSQL.
    """
    living = postmaster_pid(data_directory)
    if pid is not None and living != pid:
        return STARTING  # it has not written its file yet; whether it lives is known better by its parent
    if living is None:
        return DEAD
    lines = read_pid_file(data_directory)
    return _STATUS.get(lines[7].strip(), STARTING) if len(lines) >= 8 else STARTING


def wait_until(
    wanted: t.Collection[str],
    *,
    state: t.Callable[[], str],
    is_paused: t.Callable[[], bool],
    said: t.Callable[[], list[str]],
    what: str,
    log: str,
    timeout: float,
    clock: Clock,
) -> str:
    """Look at *state* until it is one of *wanted*; the state. What a starting program returned is never asked.

    Raises PostgresServerDied when it is dead, PostgresStateNotReached when *timeout* seconds have passed.
    """
    deadline = clock.monotonic() + timeout
    while True:
        found = state()
        if found == STANDBY and PAUSED in wanted and is_paused():
            found = PAUSED
        if found in wanted:
            return found
        if found == DEAD:
            words = said()
            raise PostgresServerDied(
                f"{what} ended instead of becoming {' or '.join(wanted)}: {words[-1] if words else 'it said nothing'}",
                hint=f"Look at its log: tail -n 40 {log}",
                details={"log": log, "said": words},
            )
        if clock.monotonic() >= deadline:
            raise PostgresStateNotReached(
                f"{what} did not become {' or '.join(wanted)} within {timeout:g} seconds; it is {found}.",
                hint=f"See how far it is: tail -f {log}   and allow it more time with start_timeout.",
                details={"log": log, "state": found},
            )
        clock.sleep(_POLL_SECONDS)


def severe_lines(log: str, *, most: int = 10) -> list[str]:
    """The last FATAL and PANIC lines of a server's log, without dates; its last lines when there are none of these."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    found = [match["what"] for match in map(_SEVERE.search, lines) if match]
    return (found or [line.strip() for line in lines if line.strip()])[-most:]


def read_pid_file(data_directory: str) -> list[str]:
    """The lines of postmaster.pid: process, folder, start, port, socket folder, address, memory, state; [] without."""
    try:
        with open(os.path.join(data_directory, "postmaster.pid"), encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _is_postgres(pid: int) -> bool:
    """Whether the process is a PostgreSQL server and no zombie: numbers of processes are used again."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            name, _parenthesis, rest = file.read().partition("(")[2].rpartition(")")
    except OSError:
        return False
    return name in _NAMES and rest.split()[0] not in ("Z", "X")


def _is_living(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split(maxsplit=1)[0] not in ("Z", "X")
