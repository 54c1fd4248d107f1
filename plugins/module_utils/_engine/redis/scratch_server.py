# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup brought to life in a scratch folder: a server that nobody else can reach, and that keeps nothing."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import typing as t
from dataclasses import replace

from ..core.errors import LifeboatError, ScratchFailed
from ..core.host import Host
from ..core.runner import find_program
from ..recovery.questions import FAILED, PASSED, SKIPPED, Answer, Check, Question
from ..recovery.scratch import Scratch
from .asking import ask
from .comparing import LoadFigures, compare_counts
from .connection import RedisConnection
from .digest import compare_digest, digest_settings
from .info import Info
from .loadable import ServerVersion
from .noted import Noted
from .own_server import own_settings, socket_in, wait_until_loaded, write_configuration
from .server_program import ServerProgram, is_open_to_all
from .staging import Persistence
from .verifier_options import RedisVerifierOptions

_LOG = "redis.log"
_DATA = "redis"
_PATIENCE = 60.0
_STOP_SECONDS = 20.0
# What an allocator reserves beyond what it gives out; a limit of address space must leave room for it.
_SLACK = 1024 * 1024 * 1024
# Since then titles can be switched off; before, a server writes one over the first 255 bytes and no further.
_TITLES = (6, 2)
_ACCOUNTS = ("redis", "valkey", "nobody")


class ScratchServer:
    """A running instance; see :class:`recovery.verifier.Instance`."""

    def __init__(
        self,
        *,
        noted: Noted,
        kind: str,
        version: ServerVersion,
        connection: RedisConnection,
        timeout: float,
        host: Host,
        figures: LoadFigures,
        info: Info,
    ) -> None:
        self._noted = noted
        self._version = version
        self._timeout = timeout
        self._kind = kind
        self._connection = connection
        self._host = host
        self._figures = figures
        self._info = info

    @property
    def facts(self) -> dict[str, t.Any]:
        """Version and counts of the server as it was right after loading."""
        name = "valkey" if "valkey_version" in self._info else "redis"
        return {
            "server": f"{name.capitalize()} {self._info.get(f'{name}_version', '')}",
            "keyspace": {name: dict(counts) for name, counts in self._figures.keyspace.items()},
            "keys_of_rdb": self._figures.from_rdb,
            "used_memory": self._info.number("used_memory"),
        }

    def compare(self) -> t.Iterator[Check]:
        """Keys of each database as they were right after loading, and the digest where one was noted."""
        yield from compare_counts(self._noted, self._figures, kind=self._kind)
        evicted = self._info.number("evicted_keys")
        yield Check(
            name="evicted keys",
            state=FAILED if evicted else PASSED,
            message=f"the scratch server evicted {evicted} keys",
            expected=0,
            found=evicted,
        )
        if self._noted.digest is not None:
            patient = replace(self._connection, timeout=self._timeout)
            yield compare_digest(self._noted, self._version, patient, runner=self._host.runner)

    def require(self, names: t.Sequence[str]) -> t.Iterator[Check]:
        """Redis has no collections or tables: each name is skipped, and says so."""
        for name in names:
            message = f"{name}: Redis has no collections or tables; ask a question such as redis: [EXISTS, {name}]"
            yield Check(name=f"required: {name}", state=SKIPPED, message=message)

    def ask(self, question: Question) -> Answer:
        """See :func:`redis.asking.ask`."""
        with contextlib.closing(self._connection.open(runner=self._host.runner)) as client:
            return ask(client, question)


def data_folder_of(scratch: Scratch) -> str:
    """Where the scratch server's data belongs; below it everything may be handed to the server's user."""
    return scratch.path(_DATA)


def account_for(scratch: Scratch, options: RedisVerifierOptions) -> str | None:
    """Who runs the scratch server: nobody special, where we are root and such a user can reach the folder."""
    if options.user is not None:
        return options.user
    if os.geteuid() != 0 or not is_open_to_all(scratch.folder):
        return None
    for name in _ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


@contextlib.contextmanager
def running(
    *,
    program: ServerProgram,
    noted: Noted,
    kind: str,
    persistence: Persistence,
    scratch: Scratch,
    account: str | None,
    options: RedisVerifierOptions,
    host: Host,
) -> t.Iterator[ScratchServer]:
    """Start the server on data that lies in its folder already; entered, it has loaded all of it.

    Raises ScratchFailed with the server's own words when it doesn't come up.
    """
    folder = data_folder_of(scratch)
    path = os.path.join(folder, "redis.conf")
    settings = own_settings(folder, persistence, databases=noted.databases)
    settings.update({"maxmemory": str(scratch.memory_limit), "maxmemory-policy": "noeviction"})
    settings.update(digest_settings(program.version))
    if program.version.version >= _TITLES or program.version.flavour == "valkey":
        # A title of its own would be written over the environment by which the next run finds what we leave behind.
        settings["set-proc-title"] = "no"
    write_configuration(path, settings, comment="A scratch server of Lifeboat.", modules=options.modules)
    if account is not None:
        user = pwd.getpwnam(account)
        for owned in (folder, path):
            os.chown(owned, user.pw_uid, user.pw_gid)
    # The server's own limit does not hold while it loads: the kernel's does.
    limit = 2 * scratch.memory_limit + _SLACK
    argv = [find_program("prlimit"), f"--as={limit}", "--core=0", program.path, path]
    process = scratch.spawn(argv, log=_LOG, user=account)
    try:
        with socket_in(folder) as socket_path:
            connection = RedisConnection(unix_socket=socket_path)
            figures, info = _wait(connection, process, scratch, options=options, host=host)
            yield ScratchServer(
                noted=noted,
                kind=kind,
                version=program.version,
                connection=connection,
                timeout=options.timeout,
                host=host,
                figures=figures,
                info=info,
            )
    finally:
        _end(process)
        scratch.stop()


def _wait(
    connection: RedisConnection,
    process: subprocess.Popen[bytes],
    scratch: Scratch,
    *,
    options: RedisVerifierOptions,
    host: Host,
) -> tuple[LoadFigures, Info]:
    def gone() -> LifeboatError | None:
        if process.poll() is None:
            return None
        said = _last_words(scratch.path(_LOG))
        return ScratchFailed(
            f"The scratch server did not load the backup: {said}",
            hint="Is the memory too small for it, raise memory_limit; else keep older backups and look at this one.",
            details={"status": process.returncode, "log": said},
        )

    try:
        return wait_until_loaded(
            connection,
            runner=host.runner,
            clock=host.clock,
            timeout=options.timeout,
            patience=_PATIENCE,
            gone=gone,
        )
    except ScratchFailed:
        raise
    except LifeboatError as error:
        raise gone() or ScratchFailed(
            f"The scratch server did not become ready: {error.message} {_last_words(scratch.path(_LOG))}",
            hint="Raise the verification's timeout for a large data set.",
        ) from error


def _end(process: subprocess.Popen[bytes]) -> None:
    for stop in (process.terminate, process.kill):
        stop()
        try:
            process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


def _last_words(path: str, *, lines: int = 4) -> str:
    """The end of the server's log, without what a crash report adds."""
    try:
        with open(path, "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - 16384, 0))
            found = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "(it printed nothing)"
    told = [line.strip() for line in found if " # " in line or " * " in line or "rror" in line]
    return " | ".join(told[-lines:]) or "(it printed nothing)"
