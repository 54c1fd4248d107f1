# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server whose data is replaced: what it is and where its files lie, noted before anything is touched."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t
from dataclasses import asdict, dataclass

from ..core.errors import LifeboatError, RedisFilesUnreachable, RedisUnreachable, RestoreTargetInvalid
from ..core.runner import Runner
from .configuration_file import read_configuration
from .connection import RedisConnection
from .facts import ServerFacts, read_facts
from .info import read_info
from .loadable import ServerVersion
from .local_files import data_folder
from .resp import RespClient
from .same_host import server_process
from .server_program import server_of
from .staging import Persistence

_ELSEWHERE = (
    "Run the restore as root on the server's own host. Where its files can't be had (a container, a managed service), "
    "restore beside (data_directory) and copy the keys over, or use the service's own import."
)
_DEFAULT_MODE = 0o640


@dataclass(frozen=True)
class Target:
    """A server with files on this host. ``running`` is False for one that is known by its configuration only.

    *user* and *group* own its files, *mode* is that of its RDB. *maximum_memory* is 0 without a limit.
    """

    address: str
    running: bool
    flavour: str
    version: tuple[int, ...]
    directory: str
    append_only: bool
    rdb_name: str
    append_name: str
    append_folder: str | None
    databases: int
    save: str
    run_id: str
    process_id: int | None
    user: int
    group: int
    mode: int
    maximum_memory: int
    used_memory: int
    modules: tuple[str, ...]
    keyspace: t.Mapping[str, t.Mapping[str, int]]
    configuration_file: str

    @property
    def server(self) -> ServerVersion:
        """Flavour and version."""
        return ServerVersion(flavour=self.flavour, version=self.version)

    @property
    def persistence(self) -> Persistence:
        """Where it looks for its data."""
        return Persistence(
            append_only=self.append_only,
            rdb_name=self.rdb_name,
            append_name=self.append_name,
            append_folder=self.append_folder,
        )

    @property
    def keys(self) -> int:
        """Keys in all databases."""
        return sum(counts["keys"] for counts in self.keyspace.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Whatever in its data folder it may load, by name; each is moved aside."""
        return tuple(
            dict.fromkeys(name for name in (self.rdb_name, self.append_folder, self.append_name) if name is not None)
        )

    def path(self, name: str) -> str:
        """A path in its data folder."""
        return os.path.join(self.directory, name)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, for the ledger."""
        return {**asdict(self), "version": list(self.version), "modules": list(self.modules)}

    @classmethod
    def from_dict(cls, document: t.Mapping[str, t.Any]) -> Target:
        """From :meth:`as_dict`."""
        return cls(**{**document, "version": tuple(document["version"]), "modules": tuple(document["modules"])})


def read_target(client: RespClient) -> tuple[Target, ServerFacts]:
    """The running server at the other end. Raises RedisFilesUnreachable when its files are not certainly here."""
    facts = read_facts(client)
    try:
        folder = data_folder(client, facts)
    except RedisFilesUnreachable as error:
        raise RedisFilesUnreachable(error.message, hint=_ELSEWHERE, details=error.details) from error
    process = server_process(client.stream, claimed=facts.process_id)
    if not folder.proven or process is None:
        raise RedisFilesUnreachable(
            f"It is not certain that {folder.path!r} on this host is the folder of {client.peer}, and files that may "
            "be another server's are not replaced.",
            hint=_ELSEWHERE,
            details={"path": folder.path},
        )
    settings = facts.settings or {}
    info = read_info(client, "server")
    user, group = _owner_of(process)
    rdb_name = settings.get("dbfilename", "dump.rdb")
    target = Target(
        address=client.peer,
        running=True,
        flavour=facts.flavour,
        version=_numbers(facts.version),
        directory=folder.path,
        append_only=facts.append_only,
        rdb_name=rdb_name,
        append_name=settings.get("appendfilename", "appendonly.aof"),
        append_folder=settings.get("appenddirname"),
        databases=_databases(client),
        save=settings.get("save", ""),
        run_id=facts.run_id,
        process_id=process,
        user=user,
        group=group,
        mode=_mode(folder.join(rdb_name)),
        maximum_memory=facts.maximum_memory,
        used_memory=facts.used_memory,
        modules=facts.modules,
        keyspace=facts.keyspace,
        configuration_file=info.get("config_file", ""),
    )
    return target, facts


def read_stopped_target(
    connection: RedisConnection, *, configuration_file: str, program: str, runner: Runner
) -> Target:
    """A server that does not run, from its configuration file. Raises RestoreTargetInvalid."""
    try:
        settings = read_configuration(configuration_file)
    except OSError as error:
        raise RestoreTargetInvalid(
            f"The configuration file {configuration_file} can't be read: {error.strerror}.",
            hint="Run the restore as root, or name another configuration_file.",
        ) from error
    directory = settings.get("dir", "")
    if not os.path.isabs(directory) or not os.path.isdir(directory):
        raise RestoreTargetInvalid(
            f"{configuration_file} names no folder of data that is there (dir is {directory!r}).",
            hint="Give dir an absolute path in it.",
        )
    server = server_of(program, runner=runner).version
    owner = os.stat(directory)
    rdb_name = settings.get("dbfilename", "dump.rdb")
    return Target(
        address=connection.address,
        running=False,
        flavour=server.flavour,
        version=server.version,
        directory=directory,
        append_only=settings.get("appendonly", "no") == "yes",
        rdb_name=rdb_name,
        append_name=settings.get("appendfilename", "appendonly.aof"),
        append_folder=settings.get("appenddirname", "appendonlydir") if server.is_multi_part else None,
        databases=_whole(settings.get("databases"), 16),
        save=settings.get("save", ""),
        run_id="",
        process_id=None,
        user=owner.st_uid,
        group=owner.st_gid,
        mode=_mode(os.path.join(directory, rdb_name)),
        maximum_memory=0,
        used_memory=0,
        modules=(),
        keyspace={},
        configuration_file=configuration_file,
    )


def contradictions(target: Target) -> list[str]:
    """What the configuration file says otherwise than the running server: after its restart it would look elsewhere."""
    if not target.running or not target.configuration_file:
        return []
    try:
        settings = read_configuration(target.configuration_file)
    except OSError:
        return []
    now = {
        "appendonly": "yes" if target.append_only else "no",
        "dir": target.directory,
        "dbfilename": target.rdb_name,
        "appendfilename": target.append_name,
        "appenddirname": target.append_folder or "",
    }
    return [
        f"{name} is {value}, and the file says {settings[name]}"
        for name, value in now.items()
        if value and name in settings and _differs(name, settings[name], value)
    ]


def is_stopped_here(connection: RedisConnection, *, runner: Runner) -> bool:
    """Whether nothing at all listens there. Raises RedisUnreachable when that can't be told."""
    try:
        with contextlib.closing(connection.open(runner=runner)):
            return False
    except RedisUnreachable as error:
        if isinstance(error.__cause__, (ConnectionError, FileNotFoundError)):
            return True
        raise
    except LifeboatError:
        return False


def _differs(name: str, written: str, value: str) -> bool:
    if name != "dir":
        return written != value
    return os.path.isabs(written) and os.path.realpath(written) != os.path.realpath(value)


def _owner_of(process: int) -> tuple[int, int]:
    status = os.stat(f"/proc/{process}")
    return status.st_uid, status.st_gid


def _mode(path: str) -> int:
    try:
        return stat.S_IMODE(os.stat(path).st_mode) & 0o660
    except OSError:
        return _DEFAULT_MODE


def _databases(client: RespClient) -> int:
    reply = client.command("CONFIG", "GET", "databases")
    if isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], bytes):
        return _whole(reply[1].decode("ascii", "replace"), 16)
    return 16


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdigit() else default


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
