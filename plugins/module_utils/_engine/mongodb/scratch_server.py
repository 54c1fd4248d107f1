# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mongod for one verification: a standalone in a scratch folder that listens on a socket of its own and nowhere else.

It has no access control, so that users that are restored into it lock nobody out; instead nobody but its own account
can open the socket. It belongs to no replica set, and what it does by itself is switched off: expiring documents (TTL)
above all, which would be gone before they are counted.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import typing as t
from urllib.parse import quote

from ..core.clock import Clock
from ..core.errors import LibraryMissing, ScratchFailed, ScratchUnusable, ToolMissing, ToolTooOld
from ..core.runner import Runner, find_program, last_lines, program_version
from ..recovery.scratch import Scratch
from .facts import OLDEST_VERSION, version_numbers

if t.TYPE_CHECKING:
    from .connection import Client

_SOCKET = "mongod.sock"
_LOG = "mongod.log"
_DATA = "data"
_READY_SECONDS = 120.0
# sun_path of Linux has 108 bytes with the zero byte at its end, see unix(7).
_LONGEST_SOCKET = 107
# Building indexes takes 200 MB by default.
_INDEX_MEGABYTES = 100
# Parameters that every supported release knows, and what later ones brought.
_PARAMETERS: t.Sequence[tuple[tuple[int, ...], str, str]] = (
    ((0,), "ttlMonitorEnabled", "false"),
    ((0,), "diagnosticDataCollectionEnabled", "false"),
    ((0,), "disableLogicalSessionCacheRefresh", "true"),
    ((0,), "maxIndexBuildMemoryUsageMegabytes", str(_INDEX_MEGABYTES)),
)
# Reporting to the vendor's free monitoring came with 4.0 and went with 7.0; it is off there unless someone turns it on.
_NO_MONITORING_SINCE = (7, 0)


def require_pymongo() -> None:
    """Raise LibraryMissing where pymongo is not installed."""
    try:
        import pymongo
    except ImportError as error:
        raise LibraryMissing(
            "The Python library pymongo is not installed.",
            hint="Run: pip install pymongo",
            details={"library": "pymongo"},
        ) from error
    del pymongo


def require_mongod(program: str, *, runner: Runner, compatibility: str | None, server_version: str) -> str:
    """The version of the mongod to use. Changes nothing.

    *compatibility* is the feature compatibility version of the server that was dumped: an older mongod does not know
    all that may be in its data. Raises ToolMissing and ToolTooOld.
    """
    try:
        path = find_program(program)
    except ToolMissing as error:
        error.hint = (
            "Install mongodb-org-server on the host that verifies, or name the program: LIFEBOAT_MONGOD, or the option "
            "mongod of the verification. Levels 0 to 2 need no server."
        )
        raise
    found = program_version(path, runner=runner)
    needed = max(OLDEST_VERSION, version_numbers(compatibility or "") or version_numbers(server_version)[:2])
    if found[: len(needed)] < needed:
        dotted = ".".join(str(part) for part in needed)
        raise ToolTooOld(
            f"{path} is MongoDB {'.'.join(map(str, found)) or 'unknown'}, and the backup's data is that of {dotted}: "
            "an older server does not know all of it.",
            hint=f"Install mongod {dotted} or later beside it and name it with LIFEBOAT_MONGOD, or verify on a host "
            "that has it.",
            details={"tool": "mongod", "found": list(found), "needed": list(needed)},
        )
    return ".".join(map(str, found))


def mongod_argv(
    *, program: str, version: tuple[int, ...], data: str, socket: str, cache_megabytes: int
) -> tuple[str, ...]:
    """The command line. Pure."""
    argv = [
        program,
        "--dbpath",
        data,
        # Nothing but this socket: a path is an address, too, and with no other one no port is opened.
        "--bind_ip",
        socket,
        "--nounixsocket",  # the usual one in /tmp
        "--wiredTigerCacheSizeGB",
        f"{cache_megabytes / 1024:.4g}",
        "--networkMessageCompressors",
        "disabled",
    ]
    if version < _NO_MONITORING_SINCE:
        argv += ["--enableFreeMonitoring", "off"]
    for since, name, value in _PARAMETERS:
        if version >= since:
            argv += ["--setParameter", f"{name}={value}"]
    return tuple(argv)


@contextlib.contextmanager
def scratch_server(
    scratch: Scratch, *, program: str, version: str, cache_megabytes: int, clock: Clock
) -> t.Iterator[Client]:
    """Start a mongod in the scratch folder; the client answers. At the end of the block both have ended.

    Raises ScratchUnusable, ScratchFailed and ToolMissing.
    """
    import pymongo

    socket, data = scratch.path(_SOCKET), scratch.path(_DATA)
    if len(os.fsencode(socket)) > _LONGEST_SOCKET:
        raise ScratchUnusable(
            f"The path of the scratch folder is too long for a socket in it: {scratch.folder}.",
            hint=f"Name a scratch_directory with fewer than {_LONGEST_SOCKET - len(_SOCKET) - 30} bytes.",
            details={"path": socket},
        )
    os.mkdir(data, mode=0o700)
    argv = mongod_argv(
        program=program, version=version_numbers(version), data=data, socket=socket, cache_megabytes=cache_megabytes
    )
    client: Client | None = None
    process: subprocess.Popen[bytes] | None = None
    try:
        bounded = scratch.within_memory(argv, needed=cache_megabytes * 1024 * 1024)
        process = scratch.spawn(bounded, log=_LOG)
        client = pymongo.MongoClient(
            f"mongodb://{quote(socket, safe='')}/?directConnection=true",
            serverSelectionTimeoutMS=10_000,
            appname="lifeboat",
        )
        _wait_until_ready(client, process, scratch=scratch, clock=clock)
        yield client
    finally:
        if client is not None:
            client.close()
        scratch.stop()
        if process is not None:
            process.wait()  # it has ended; its status is fetched, so that nothing of it stays


def require_alive(client: Client, *, scratch: Scratch) -> None:
    """Raise ScratchFailed with the server's last words when it no longer answers."""
    import pymongo.errors

    try:
        client.admin.command("ping")
    except pymongo.errors.PyMongoError as error:
        raise _failed("The scratch mongod ended or hangs", scratch) from error


def _wait_until_ready(client: Client, process: subprocess.Popen[bytes], *, scratch: Scratch, clock: Clock) -> None:
    import pymongo.errors

    deadline = clock.monotonic() + _READY_SECONDS
    while True:
        if process.poll() is not None:
            raise _failed(f"The scratch mongod ended with status {process.returncode} while it started", scratch)
        if os.path.exists(scratch.path(_SOCKET)):
            with contextlib.suppress(pymongo.errors.ConnectionFailure):
                client.admin.command("ping")
                return
        if clock.monotonic() >= deadline:
            raise _failed(f"The scratch mongod was not ready after {_READY_SECONDS:g} seconds", scratch)
        clock.sleep(0.05)


def _failed(what: str, scratch: Scratch) -> ScratchFailed:
    try:
        with open(scratch.path(_LOG), "rb") as file:
            file.seek(max(0, os.path.getsize(file.name) - 65536))
            said = last_lines(file.read())
    except OSError:
        said = "(it left no log)"
    return ScratchFailed(
        f"{what}. It said:\n{said}",
        hint="See that memory, space and open files (ulimit -n) suffice; keep the scratch copy to see its whole log.",
        details={"log": scratch.path(_LOG)},
    )
