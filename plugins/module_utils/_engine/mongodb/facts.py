# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server is and how much it holds, read before anything is decided. Changes nothing."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import MongoShardedCluster, MongoTooOld
from .faults import named_faults
from .namespaces import Scope, database_names
from .timestamps import Position, position_of
from .topology import Member, Topology, say_hello

if t.TYPE_CHECKING:
    from .connection import Client

OLDEST_VERSION = (4, 2)
# Snapshot reads outside of transactions came with 5.0.
SNAPSHOT_VERSION = (5, 0)


@dataclass(frozen=True)
class DatabaseFacts:
    """One database: *data_size* counts the documents' bytes (uncompressed, without indexes)."""

    name: str
    data_size: int
    documents: int


@dataclass(frozen=True)
class ServerFacts:
    """One server as it was when asked; positions are those of its own oplog, None on a standalone."""

    host: str
    is_primary: bool
    version: str
    feature_compatibility: str | None
    replica_set: str | None
    replica_set_id: str | None
    members: tuple[Member, ...]
    oplog_first: Position | None
    oplog_last: Position | None
    history_window: int | None  # seconds: minSnapshotHistoryWindowInSeconds
    databases: tuple[DatabaseFacts, ...]

    @property
    def version_numbers(self) -> tuple[int, ...]:
        """The version's numbers: (6, 0, 5)."""
        return version_numbers(self.version)

    @property
    def is_replica_set(self) -> bool:
        """Whether there is an oplog at all."""
        return self.replica_set is not None

    @property
    def oplog_hours(self) -> float | None:
        """How far back the oplog reaches, in hours."""
        if self.oplog_first is None or self.oplog_last is None:
            return None
        return round((self.oplog_last[0] - self.oplog_first[0]) / 3600, 2)

    @property
    def snapshot_reads(self) -> bool:
        """Whether the server can read all collections at one moment."""
        return self.is_replica_set and self.version_numbers >= SNAPSHOT_VERSION

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, for plans and manifests."""
        return {
            "host": self.host,
            "role": "standalone" if not self.is_replica_set else "primary" if self.is_primary else "secondary",
            "version": self.version,
            "feature_compatibility_version": self.feature_compatibility,
            "replica_set": self.replica_set,
            "replica_set_id": self.replica_set_id,
            "members": [member.as_dict() for member in self.members],
            "oplog_hours": self.oplog_hours,
            "snapshot_history_seconds": self.history_window,
            "databases": {database.name: database.data_size for database in self.databases},
        }


def version_numbers(version: str) -> tuple[int, ...]:
    """``6.0.5-rc1`` as (6, 0, 5)."""
    return tuple(int(part) for part in version.split("-", maxsplit=1)[0].split(".") if part.isdigit())


def read_facts(client: Client, *, topology: Topology) -> ServerFacts:
    """Read the facts of a client's one server; *topology* is that of the whole set.

    Raises MongoTooOld, MongoShardedCluster for a shard or config server, and MongoNotAuthorised.
    """
    with named_faults("Reading the server's version", role="clusterMonitor"):
        build = client.admin.command("buildInfo")
        version = str(build["version"])
        if version_numbers(version) < OLDEST_VERSION:
            raise MongoTooOld(
                f"The server is MongoDB {version}; today's tools dump and restore 4.2 and later.",
                hint="Upgrade the server, or dump it with the mongodump of its own release.",
                details={"version": version},
            )
        hello = say_hello(client)
        parameters = _parameters(client)
    with named_faults("Looking for the identity of a shard"):
        if client.admin["system.version"].find_one({"_id": "shardIdentity"}) is not None:
            raise MongoShardedCluster(
                "This replica set is one part of a sharded cluster: its databases alone are not whole.",
                hint="Back a sharded cluster up with Percona Backup for MongoDB, or with the provider's snapshots.",
            )
    first, last = (None, None) if topology.replica_set is None else _oplog_ends(client)
    return ServerFacts(
        host=str(hello.get("me") or topology.me),
        is_primary=bool(hello.get("isWritablePrimary", False)),
        version=version,
        feature_compatibility=parameters.get("featureCompatibilityVersion"),
        replica_set=topology.replica_set,
        replica_set_id=topology.replica_set_id,
        members=topology.members,
        oplog_first=first,
        oplog_last=last,
        history_window=parameters.get("minSnapshotHistoryWindowInSeconds"),
        databases=_databases(client),
    )


def _parameters(client: Client) -> dict[str, t.Any]:
    """The server parameters that matter, those that this version knows."""
    reply = client.admin.command({"getParameter": "*"})
    found: dict[str, t.Any] = {}
    compatibility = reply.get("featureCompatibilityVersion")
    if isinstance(compatibility, t.Mapping):
        found["featureCompatibilityVersion"] = str(compatibility.get("version", ""))
    window = reply.get("minSnapshotHistoryWindowInSeconds")
    if window is not None:
        found["minSnapshotHistoryWindowInSeconds"] = int(window)
    return found


def _oplog_ends(client: Client) -> tuple[Position | None, Position | None]:
    with named_faults("Reading the oplog"):
        oplog = client.local["oplog.rs"]
        ends = [oplog.find_one({}, {"ts": 1}, sort=[("$natural", direction)]) for direction in (1, -1)]
    first, last = (position_of(end["ts"]) if end else None for end in ends)
    return first, last


def _databases(client: Client) -> tuple[DatabaseFacts, ...]:
    """Every database but local and the server's internal ones, with its size, in order of name."""
    found: list[DatabaseFacts] = []
    for name in database_names(client, scope=Scope()):
        with named_faults(f"Measuring the database {name}", role="clusterMonitor"):
            statistics = client[name].command("dbStats")
        found.append(
            DatabaseFacts(
                name=name,
                data_size=int(statistics.get("dataSize", 0)),
                documents=int(statistics.get("objects", 0)),
            )
        )
    return tuple(found)
