# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host sees of all that a failover needs: repositories, backups, slots, room, a command, names."""

from __future__ import annotations

import os
import shlex
import shutil
import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Selection, read_catalog
from ..core.errors import LifeboatError
from ..core.host import Host
from ..postgresql.connection import PostgresConnection
from ..storage.base import Storage
from .resolver import NoAnswer, ask_name, resolvers

Json = t.Mapping[str, t.Any]

_SLOTS = "SELECT slot_name, active, wal_status FROM pg_catalog.pg_replication_slots WHERE slot_type = 'physical'"
_SLOTS_BEFORE_13 = "SELECT slot_name, active, NULL FROM pg_catalog.pg_replication_slots WHERE slot_type = 'physical'"
_SIZE = "SELECT sum(pg_catalog.pg_database_size(oid)) FROM pg_catalog.pg_database WHERE datallowconn"
_WAL_STATUS_SINCE = 130000


@dataclass(frozen=True)
class Wishes:
    """What is looked at. *names* hold ``name`` and ``type``; *write* proves that repositories can be written."""

    service: str
    write: bool = False
    catalog: bool = False
    connection: Json | None = None
    paths: tuple[str, ...] = ()
    command: str | None = None
    names: tuple[Json, ...] = ()
    servers: tuple[str, ...] = field(default_factory=tuple)


def see(wishes: Wishes, *, storages: t.Mapping[str, Storage], host: Host) -> dict[str, t.Any]:
    """JSON values; what can't be seen says why."""
    repositories = [_repository(name, storage, wishes) for name, storage in storages.items()]
    readable = {one["name"] for one in repositories if one["readable"]}
    reached = {name: storage for name, storage in storages.items() if name in readable}
    return {
        "host": host.name,
        "repositories": repositories,
        "backups": _backups(wishes.service, reached) if wishes.catalog and reached else [],
        "database": None if wishes.connection is None else _database(wishes.connection, host=host),
        "disks": [_disk(path) for path in wishes.paths],
        "command": None if wishes.command is None else _command(wishes.command),
        "names": [_asked(one, wishes) for one in wishes.names],
    }


def _repository(name: str, storage: Storage, wishes: Wishes) -> dict[str, t.Any]:
    told: dict[str, t.Any] = {"name": name, "readable": False, "writable": None, "problem": None}
    try:
        next(iter(storage.list_folders("")), None)
        told["readable"] = True
        if wishes.write:
            told["writable"] = False
            storage.check()
            told["writable"] = True
    except LifeboatError as error:
        told["problem"] = error.message
    return told


def _backups(service: str, storages: t.Mapping[str, Storage]) -> list[dict[str, t.Any]]:
    reading = read_catalog(storages, selection=Selection(service=service))
    return [
        {
            "source": one.manifest.source,
            "kind": one.manifest.kind,
            "id": one.manifest.backup_id,
            "finished": one.as_dict()["finished"],
            "verified": one.state == "verified",
        }
        for one in reading.backups
    ]


def _database(connection: Json, *, host: Host) -> dict[str, t.Any]:
    try:
        with PostgresConnection.from_description(connection).connect(runner=host.runner) as session:
            slots = session.rows(_SLOTS if session.version >= _WAL_STATUS_SINCE else _SLOTS_BEFORE_13)
            size = session.value(_SIZE)
    except LifeboatError as error:
        return {"slots": None, "bytes": None, "problem": error.message}
    return {
        "slots": [{"name": name, "active": bool(active), "wal_status": status} for name, active, status in slots],
        "bytes": int(size),
        "problem": None,
    }


def _disk(path: str) -> dict[str, t.Any]:
    """Of the folder, or of the nearest one above it that is there."""
    there = os.path.abspath(path)
    while not os.path.isdir(there) and there != os.path.dirname(there):
        there = os.path.dirname(there)
    try:
        return {"path": path, "free_bytes": shutil.disk_usage(there).free, "problem": None}
    except OSError as error:
        return {"path": path, "free_bytes": None, "problem": str(error.strerror)}


def _command(command: str) -> dict[str, t.Any]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        return {"executable": False, "problem": f"{command}: {error}"}
    found = shutil.which(words[0]) if words else None
    return {"executable": found is not None, "problem": None if found else f"there is no program {words[:1]}"}


def _asked(wanted: Json, wishes: Wishes) -> dict[str, t.Any]:
    name, kind = str(wanted["name"]), str(wanted["type"])
    problem = "no resolver is known"
    for given in wishes.servers or tuple(resolvers()):
        server, _at, port = given.rpartition("#") if "#" in given else (given, "", "53")
        try:
            found = ask_name(name, kind, server=server, port=int(port))
        except NoAnswer as error:
            problem = str(error)
        else:
            return {"name": name, "type": kind, "answers": list(found.values), "ttl": found.ttl, "problem": None}
    return {"name": name, "type": kind, "answers": [], "ttl": None, "problem": problem}
