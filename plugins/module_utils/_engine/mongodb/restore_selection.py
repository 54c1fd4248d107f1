# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a dump is restored, and by which way each collection gets its name on the target. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from .archive import ArchiveCollection
from .archive_people import is_servers_own, kind_of_people
from .archive_reader import ArchivePrelude
from .collection_metadata import read_metadata
from .namespace_map import NamespaceMap, literal
from .namespaces import TIME_SERIES, VIEW
from .noted_content import NotedCollection, NotedContent
from .restore_names import RestoreNames
from .restore_options import MongoRestoreOptions, require_database_name

#: Loaded under another name and then renamed; loaded under its own name, as it can't be renamed; made at the end.
STAGED, DIRECT, AS_VIEW = "staged", "direct", "view"


@dataclass(frozen=True)
class RestoreItem:
    """One collection, view or time series: where it comes from and where it goes.

    *documents* and *size* (bytes) are None where the manifest does not tell; *expires* says that the server will remove
    documents of it by itself (TTL).
    """

    source: ArchiveCollection
    database: str
    way: str
    documents: int | None
    size: int | None
    expires: bool

    @property
    def name(self) -> str:
        """Its name, in the backup and on the target."""
        return self.source.name

    @property
    def full_name(self) -> str:
        """``database.name`` on the target."""
        return f"{self.database}.{self.name}"

    @property
    def source_name(self) -> str:
        """``database.name`` in the backup."""
        return f"{self.source.database}.{self.source.name}"


@dataclass(frozen=True)
class RestoreSelection:
    """What is restored. *people* says that the archive has users and roles."""

    items: tuple[RestoreItem, ...]
    people: bool
    has_oplog: bool

    def of(self, way: str) -> tuple[RestoreItem, ...]:
        """Those that go this way."""
        return tuple(item for item in self.items if item.way == way)

    @property
    def databases(self) -> tuple[str, ...]:
        """The databases of the target that something goes to."""
        return tuple(sorted({item.database for item in self.items}))

    @property
    def size(self) -> int | None:
        """Bytes of all documents; None where the manifest does not tell."""
        sizes = [item.size for item in self.items]
        return None if None in sizes else sum(size or 0 for size in sizes)


def select_items(prelude: ArchivePrelude, noted: NotedContent, options: MongoRestoreOptions) -> RestoreSelection:
    """What of the archive is wanted. Raises RequestInvalid for what is not in it and for names that can't be."""
    items: list[RestoreItem] = []
    people = has_oplog = False
    for one in prelude.collections:
        if kind_of_people(one) is not None:
            people = True
        elif (one.database, one.name) == ("", "oplog"):
            has_oplog = True
        elif not is_servers_own(one) and options.takes(one.database, one.name):
            items.append(_item(one, noted, options))
    _require_all_found(prelude, options)
    _require_different(items)
    for database in sorted({item.database for item in items}):
        require_database_name(database)
    if not items and not (people and options.users_and_roles):
        raise RequestInvalid("The backup has no collections: there is nothing to restore.")
    return RestoreSelection(items=tuple(items), people=people, has_oplog=has_oplog)


def wanted_of(noted: NotedContent, options: MongoRestoreOptions) -> dict[tuple[str, str], NotedCollection]:
    """What the manifest has of what is wanted, without what is the server's own."""
    found: dict[tuple[str, str], NotedCollection] = {}
    for (database, name), entry in noted.collections.items():
        one = ArchiveCollection(database=database, name=name, data_name=name, metadata="", type="")
        if options.takes(database, name) and kind_of_people(one) is None and not is_servers_own(one):
            found[database, name] = entry
    return found


def namespace_map(
    selection: RestoreSelection, options: MongoRestoreOptions, names: RestoreNames, *, only: str | None = None
) -> NamespaceMap:
    """Where the loader puts the archive's collections, and what an oplog does to them.

    *only* is the one database of the backup, where it has but one: an oplog has changes of all others, too.
    """
    direct = frozenset(item.source_name for item in selection.of(DIRECT))
    if options.is_whole and only is None:
        return NamespaceMap(
            renamed=dict(options.rename), suffix=options.suffix, prefix=names.staging, unprefixed=direct
        )
    databases = (only,) if options.is_whole and only is not None else options.databases
    wanted = {*databases, *(full.partition(".")[0] for full in options.collections)}
    return NamespaceMap(
        databases={name: options.database(name) for name in wanted},
        include=(*(f"{literal(name)}.*" for name in databases), *map(literal, options.collections)),
        prefix=names.staging,
        unprefixed=direct,
    )


def _item(one: ArchiveCollection, noted: NotedContent, options: MongoRestoreOptions) -> RestoreItem:
    metadata = read_metadata(one)
    found = noted.collections.get((one.database, one.name))
    way = STAGED
    if one.type == VIEW:
        way = AS_VIEW
    elif one.type == TIME_SERIES or "encryptedFields" in metadata.options:
        # Neither can be renamed; the latter from MongoDB 7.0 on.
        way = DIRECT
    return RestoreItem(
        source=one,
        database=options.database(one.database),
        way=way,
        documents=None if found is None else found.documents,
        size=0 if way == AS_VIEW else None if found is None else found.size,
        expires="expireAfterSeconds" in metadata.options
        or any("expireAfterSeconds" in index for index in metadata.indexes),
    )


def _require_all_found(prelude: ArchivePrelude, options: MongoRestoreOptions) -> None:
    there = {(one.database, one.name) for one in prelude.collections if not is_servers_own(one)}
    databases = {database for database, _name in there if database}
    for name in (*options.databases, *options.rename):
        if name not in databases:
            raise RequestInvalid(
                f"The backup has no database {name}.", hint=f"It has: {', '.join(sorted(databases)) or 'none'}."
            )
    for full in options.collections:
        database, _dot, name = full.partition(".")
        if (database, name) not in there:
            near = sorted(f"{one}.{other}" for one, other in there if one == database)[:10]
            raise RequestInvalid(
                f"The backup has no collection {full}.",
                hint=f"It has: {', '.join(near)}." if near else f"It has the databases {', '.join(sorted(databases))}.",
            )


def _require_different(items: t.Sequence[RestoreItem]) -> None:
    sources: dict[str, str] = {}
    for item in items:
        before = sources.setdefault(item.database, item.source.database)
        if before != item.source.database:
            raise RequestInvalid(
                f"The databases {before} and {item.source.database} would both become {item.database}.",
                hint="Give each a name of its own with rename.",
            )
