# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server that is restored into: whether it may be written to, and what it holds. Changes nothing."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.errors import MongoShardedCluster, MongoTooOld, RestoreTargetInvalid
from .facts import OLDEST_VERSION, version_numbers
from .faults import named_faults
from .namespace_map import BUCKETS
from .namespaces import COLLECTION, TIME_SERIES, VIEW, faithful_codec
from .topology import say_hello

if t.TYPE_CHECKING:
    import pymongo.database

    from .connection import Client

_ANY = "anyAction"
_HIDDEN = ("system.views", "system.profile")


@dataclass(frozen=True)
class Existing:
    """One collection, view or time series. *uuid* (hex) is None for views; a time series has that of its buckets."""

    database: str
    name: str
    type: str
    uuid: str | None
    options: t.Mapping[str, t.Any] = field(repr=False, default_factory=dict)

    @property
    def full_name(self) -> str:
        """``database.name``."""
        return f"{self.database}.{self.name}"

    @property
    def can_be_renamed(self) -> bool:
        """Whether it can be moved aside."""
        return self.type == COLLECTION and "encryptedFields" not in self.options


@dataclass(frozen=True)
class TargetFacts:
    """*account* is who is logged in ("admin.lifeboat", as users' ids are), None where nobody has to. Bytes are those of
    the server's file system, None where it does not tell.
    """

    host: str
    version: str
    feature_compatibility: str | None
    replica_set: str | None
    account: str | None
    free_bytes: int | None

    @property
    def version_numbers(self) -> tuple[int, ...]:
        """(6, 0, 5)."""
        return version_numbers(self.version)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "host": self.host,
            "version": self.version,
            "feature_compatibility_version": self.feature_compatibility,
            "replica_set": self.replica_set,
        }


def require_writable(client: Client) -> t.Mapping[str, t.Any]:
    """The server's own account of itself. Raises MongoShardedCluster, and RestoreTargetInvalid unless it is primary."""
    with named_faults("Asking the server what it is"):
        hello = say_hello(client)
    if hello.get("msg") == "isdbgrid":
        raise MongoShardedCluster(
            "This is mongos, the router of a sharded cluster; collections are not exchanged through it.",
            hint="Restore into a replica set of its own, and copy from there by mongodump and mongorestore.",
        )
    if not hello.get("isWritablePrimary", False):
        primary = hello.get("primary")
        raise RestoreTargetInvalid(
            f"{hello.get('me', 'The server')} is not the primary, so nothing can be written there.",
            hint=f"The primary is {primary}: name it, or the whole set with replicaSet={hello.get('setName', 'NAME')}."
            if primary
            else "Its replica set has no primary now; in mongosh: rs.status()",
            details={"primary": primary},
        )
    return hello


def read_target(client: Client) -> TargetFacts:
    """Raises MongoTooOld, MongoShardedCluster, RestoreTargetInvalid and MongoNotAuthorised."""
    hello = require_writable(client)
    with named_faults("Reading the server's version", role="clusterMonitor"):
        version = str(client.admin.command("buildInfo")["version"])
        reply = client.admin.command({"getParameter": 1, "featureCompatibilityVersion": 1})
        users = client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"]
        statistics = client.admin.command("dbStats")
    if version_numbers(version) < OLDEST_VERSION:
        raise MongoTooOld(
            f"The server is MongoDB {version}; dumps are restored into 4.2 and later.",
            hint="Upgrade the server, or restore into another one.",
            details={"version": version},
        )
    with named_faults("Looking for the identity of a shard", role="clusterMonitor, restore"):
        if client.admin["system.version"].find_one({"_id": "shardIdentity"}) is not None:
            raise MongoShardedCluster(
                "This replica set is one part of a sharded cluster; its collections may not be exchanged behind it.",
                hint="Restore into a replica set of its own, and copy from there by mongodump and mongorestore.",
            )
    total, used = statistics.get("fsTotalSize"), statistics.get("fsUsedSize")
    address = client.address
    return TargetFacts(
        host=str(hello.get("me") or (f"{address[0]}:{address[1]}" if address else "")),
        version=version,
        feature_compatibility=reply.get("featureCompatibilityVersion", {}).get("version"),
        replica_set=hello.get("setName"),
        account=next((f"{user['db']}.{user['user']}" for user in users), None),
        free_bytes=int(total - used) if total and used is not None else None,
    )


def on_primary(client: Client, database: str) -> pymongo.database.Database[dict[str, t.Any]]:
    """A database whose reads go to the primary, whatever the URI says, and whose documents are kept as they are."""
    from pymongo import ReadPreference

    return client.get_database(database, codec_options=faithful_codec(), read_preference=ReadPreference.PRIMARY)


def existing_in(client: Client, database: str) -> dict[str, Existing]:
    """What a database holds now, by name; nothing when it does not exist. Raises MongoNotAuthorised."""
    with named_faults(f"Listing the collections of {database}", role="restore"):
        listed = list(on_primary(client, database).list_collections())
    uuids = {str(one["name"]): one.get("info", {}).get("uuid") for one in listed}
    found: dict[str, Existing] = {}
    for one in listed:
        name, kind = str(one["name"]), str(one.get("type", COLLECTION))
        if name in _HIDDEN or name.startswith(BUCKETS):
            continue
        uuid = uuids.get(name)
        if kind == TIME_SERIES and uuid is None:
            uuid = uuids.get(BUCKETS + name)
        found[name] = Existing(
            database=database,
            name=name,
            type=kind,
            uuid=None if uuid is None or kind == VIEW else bytes(uuid).hex(),
            options=one.get("options", {}),
        )
    return found


def all_databases(client: Client) -> tuple[str, ...]:
    """Every database that a restore may have touched. Raises MongoNotAuthorised."""
    with named_faults("Listing the databases", role="clusterMonitor"):
        reply = client.admin.command({"listDatabases": 1, "nameOnly": True})
    return tuple(sorted(str(one["name"]) for one in reply["databases"] if one["name"] not in ("local", "config")))


def missing_actions(client: Client, databases: t.Sequence[str], *, wanted: t.Collection[str]) -> dict[str, list[str]]:
    """The actions on all collections of *databases* that whoever is logged in may not do, by database; empty is good.

    Without access control everybody may do everything.
    """
    privileges = _privileges(client)
    if privileges is None:
        return {}
    found: dict[str, list[str]] = {}
    for database in databases:
        allowed = _allowed(privileges, database, "")
        if _ANY not in allowed and not set(wanted) <= allowed:
            found[database] = sorted(set(wanted) - allowed)
    return found


def may_read_people(client: Client) -> bool:
    """Whether whoever is logged in may read users and roles with all that the server keeps of them."""
    privileges = _privileges(client)
    return privileges is None or all(
        {"find", _ANY} & _allowed(privileges, "admin", name) for name in ("system.users", "system.roles")
    )


def _privileges(client: Client) -> t.Sequence[t.Mapping[str, t.Any]] | None:
    """None without access control. Raises MongoNotAuthorised."""
    with named_faults("Asking for the rights"):
        status = client.admin.command({"connectionStatus": 1, "showPrivileges": True})["authInfo"]
    return status["authenticatedUserPrivileges"] if status["authenticatedUsers"] else None


def _allowed(privileges: t.Sequence[t.Mapping[str, t.Any]], database: str, collection: str) -> set[str]:
    """The actions on a collection; "" means all collections that are not the system's."""
    allowed: set[str] = set()
    for privilege in privileges:
        resource, actions = privilege["resource"], set(privilege["actions"])
        named = resource.get("db") in ("", database) and resource.get("collection") == collection
        if resource.get("anyResource") or named:
            allowed |= actions
    return allowed
