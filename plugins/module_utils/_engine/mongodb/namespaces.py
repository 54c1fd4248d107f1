# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which collections there are, which of them belong into a dump, and whether they are still the same ones later."""

from __future__ import annotations

import fnmatch
import typing as t
from dataclasses import dataclass, field

from ..core.errors import MongoDatabaseMissing
from .archive import ArchiveCollection
from .faults import named_faults
from .metadata import metadata_text

if t.TYPE_CHECKING:
    import bson.codec_options

    from .connection import Client

VIEW = "view"
TIME_SERIES = "timeseries"
COLLECTION = "collection"
_BUCKETS = "system.buckets."
# What mongodump takes of the database config, and mongorestore replays: common/dumprestore/config.go of mongo-tools.
_KEPT_CONFIG = frozenset(("chunks", "collections", "databases", "settings", "shards", "tags", "version"))
_USERS_AND_ROLES = ("system.users", "system.roles", "system.version")
_INTERNAL_PREFIX = "__mdb_internal"


@dataclass(frozen=True)
class Scope:
    """What to dump: the whole instance, or one *database*.

    *include* and *exclude* are shell patterns of collections: their names for one database, ``database.collection`` for
    the whole instance. Nothing in *include* means every collection.
    """

    database: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    users_and_roles: bool = True

    @property
    def is_everything(self) -> bool:
        """Whether the whole instance is meant, with no collection left out."""
        return self.database is None and not self.include and not self.exclude

    def takes(self, database: str, name: str) -> bool:
        """Whether a collection, view or time series of that name belongs into the dump."""
        if self.database is not None and database != self.database:
            return False
        if not _is_backed_up(database, name, whole=self.database is None, users_and_roles=self.users_and_roles):
            return False
        full = name if self.database is not None else f"{database}.{name}"
        if self.include and not any(fnmatch.fnmatchcase(full, pattern) for pattern in self.include):
            return False
        return not any(fnmatch.fnmatchcase(full, pattern) for pattern in self.exclude)


def is_backed_up_database(name: str) -> bool:
    """Whether anything of a database is dumped; config in parts only."""
    return name != "local" and not name.startswith(_INTERNAL_PREFIX)


def _is_backed_up(database: str, name: str, *, whole: bool, users_and_roles: bool) -> bool:
    """Whether mongodump would take it: not what the server keeps for itself."""
    if not is_backed_up_database(database) or "$" in name:
        return False
    if database == "admin":
        return name != "system.keys" and (users_and_roles or not name.startswith("system."))
    if database == "config":
        return not whole or name in _KEPT_CONFIG
    return name == "system.js" or not name.startswith("system.")


@dataclass(frozen=True)
class Namespace:
    """One entry of the archive and where its documents come from.

    *source_database* and *source_name* are read with *query*; they differ from the archive's names for a time series
    (buckets) and for one database's users and roles. *size* (bytes) and *count* are the server's estimates.
    """

    database: str
    name: str
    type: str
    uuid: str | None
    options: t.Mapping[str, t.Any] = field(repr=False, default_factory=dict)
    indexes: tuple[t.Mapping[str, t.Any], ...] = field(repr=False, default=())
    source_database: str = ""
    source_name: str = ""
    query: t.Mapping[str, t.Any] | None = None
    size: int = 0
    count: int = 0
    has_metadata: bool = True

    @property
    def full_name(self) -> str:
        """``database.name``."""
        return f"{self.database}.{self.name}"

    @property
    def is_capped(self) -> bool:
        """Whether it is a capped collection."""
        return bool(self.options.get("capped", False))

    @property
    def is_about_users(self) -> bool:
        """Whether it holds users, roles or the version of their schema: mongorestore wants these before all others."""
        return self.source_database == "admin" and self.source_name in _USERS_AND_ROLES

    @property
    def has_documents(self) -> bool:
        """Whether there is anything to read: a view has none of its own."""
        return self.type != VIEW

    def archive_collection(self) -> ArchiveCollection:
        """Its entry in the archive's prelude."""
        return ArchiveCollection(
            database=self.database,
            name=self.name,
            data_name=_BUCKETS + self.name if self.type == TIME_SERIES else self.name,
            metadata=metadata_text(
                options=self.options, indexes=self.indexes, uuid=self.uuid, name=self.name, type_name=self.type
            )
            if self.has_metadata
            else "",
            type=self.type if self.has_metadata else "",
        )


def database_names(client: Client, *, scope: Scope) -> tuple[str, ...]:
    """The databases of the scope that are there now, in order. Raises MongoNotAuthorised."""
    with named_faults("Listing the databases"):
        names = client.list_database_names()
    return tuple(sorted(name for name in names if scope.database in (None, name) and is_backed_up_database(name)))


def list_namespaces(client: Client, *, scope: Scope) -> tuple[Namespace, ...]:
    """The collections of the scope that are there now, without indexes and sizes, in order of name; cheap.

    Raises MongoNotAuthorised.
    """
    found: list[Namespace] = []
    for database in database_names(client, scope=scope):
        with named_faults(f"Listing the collections of {database}"):
            listed = list(client.get_database(database, codec_options=faithful_codec()).list_collections())
        buckets = {entry["name"]: entry.get("info", {}).get("uuid") for entry in listed}
        found += [
            _namespace(database, entry, buckets=buckets)
            for entry in sorted(listed, key=lambda one: str(one["name"]))
            if scope.takes(database, entry["name"])
        ]
    return tuple(found)


def _namespace(database: str, entry: t.Mapping[str, t.Any], *, buckets: t.Mapping[str, t.Any]) -> Namespace:
    name, kind = str(entry["name"]), str(entry.get("type", COLLECTION))
    source = _BUCKETS + name if kind == TIME_SERIES else name
    # mongodump writes no uuid for a time series; ours identifies its buckets, so that a new one is noticed.
    own = entry.get("info", {}).get("uuid")
    uuid = own if own is not None else buckets.get(source)
    return Namespace(
        database=database,
        name=name,
        type=kind,
        uuid=bytes(uuid).hex() if uuid is not None else None,
        options=entry.get("options", {}),
        source_database=database,
        source_name=source,
    )


def require_found(found: t.Sequence[Namespace], *, scope: Scope) -> None:
    """Raise MongoDatabaseMissing when the scope's database has no collections or a named collection isn't there."""
    if not found:
        what = f"The database {scope.database}" if scope.database is not None else "What is to be dumped"
        chosen = " (with these include and exclude lists)" if scope.include or scope.exclude else ""
        raise MongoDatabaseMissing(
            f"{what} has no collections{chosen}: there is nothing to back up.",
            hint="Check the spelling; in mongosh: show dbs",
            details={"database": scope.database},
        )
    for pattern in scope.include:
        names = (one.name if scope.database is not None else one.full_name for one in found)
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise MongoDatabaseMissing(
                f"No collection matches {pattern!r}, which the include list names.",
                hint="Check the spelling; in mongosh: show collections",
                details={"pattern": pattern},
            )


def users_and_roles_of(database: str) -> tuple[Namespace, ...]:
    """The three entries by which mongodump --dumpDbUsersAndRoles adds the users and roles of one database."""
    return tuple(
        Namespace(
            database=database,
            name=f"$admin.{name}",
            type=COLLECTION,
            uuid=None,
            source_database="admin",
            source_name=name,
            # The version of the authentication schema belongs to the instance, not to a database.
            query={"db": database} if name != "system.version" else None,
            has_metadata=False,
        )
        for name in _USERS_AND_ROLES
    )


def differences(before: t.Sequence[Namespace], after: t.Sequence[Namespace]) -> tuple[str, ...]:
    """What became of the collections of *before*: sentences; empty when all are there under the same UUID. Pure.

    Collections that only *after* has are no difference: they came later than the dump's moment.
    """
    now = {(one.database, one.name): one for one in after}
    by_uuid = {one.uuid: one for one in after if one.uuid is not None}
    found: list[str] = []
    for one in before:
        same_name = now.get((one.database, one.name))
        if same_name is not None and (same_name.uuid, same_name.type) == (one.uuid, one.type):
            continue
        moved = by_uuid.get(one.uuid) if one.uuid is not None else None
        if moved is not None and moved.full_name != one.full_name:
            found.append(f"{one.full_name} was renamed to {moved.full_name}")
        elif same_name is not None:
            found.append(f"{one.full_name} was dropped and made anew")
        else:
            found.append(f"{one.full_name} was dropped")
    return tuple(found)


def faithful_codec() -> bson.codec_options.CodecOptions[dict[str, t.Any]]:
    """Decoding for metadata: field order kept, UUIDs as binary, dates out of range allowed."""
    from bson.codec_options import CodecOptions, DatetimeConversion

    return CodecOptions(document_class=dict, datetime_conversion=DatetimeConversion.DATETIME_AUTO)
