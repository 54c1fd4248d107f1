# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a dump is restored, and by which way each collection gets its name on the target. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

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
    """What is restored. *people* says that the archive has users and roles.

    *later* holds database and name on the target of what a recovery's oplog makes, where the backup has not all of it.
    """

    items: tuple[RestoreItem, ...]
    people: bool
    has_oplog: bool
    later: frozenset[tuple[str, str]] = frozenset()

    def of(self, way: str) -> tuple[RestoreItem, ...]:
        """Those that go this way."""
        return tuple(item for item in self.items if item.way == way)

    @property
    def databases(self) -> tuple[str, ...]:
        """The databases of the target that something goes to."""
        return tuple(sorted({item.database for item in self.items} | {database for database, _name in self.later}))

    @property
    def size(self) -> int | None:
        """Bytes of all documents; None where the manifest does not tell."""
        sizes = [item.size for item in self.items]
        return None if None in sizes else sum(size or 0 for size in sizes)


def select_items(prelude: ArchivePrelude, noted: NotedContent, options: MongoRestoreOptions) -> RestoreSelection:
    """What of the archive is wanted. Raises RequestInvalid for names that can't be."""
    items: list[RestoreItem] = []
    people = has_oplog = False
    for one in prelude.collections:
        if kind_of_people(one) is not None:
            people = True
        elif (one.database, one.name) == ("", "oplog"):
            has_oplog = True
        elif not is_servers_own(one) and options.takes(one.database, one.name):
            items.append(_item(one, noted, options))
    _require_different(items)
    for database in sorted({item.database for item in items}):
        require_database_name(database)
    return RestoreSelection(items=tuple(items), people=people, has_oplog=has_oplog)


def has_all(selection: RestoreSelection, prelude: ArchivePrelude, options: MongoRestoreOptions) -> bool:
    """Whether the archive has everything that is named, and anything at all."""
    databases, collections = _there(prelude)
    return (
        bool(selection.items)
        and {*options.databases, *options.rename} <= databases
        and set(options.collections) <= collections
    )


def require_all(
    selection: RestoreSelection,
    prelude: ArchivePrelude,
    options: MongoRestoreOptions,
    *,
    made: t.Collection[tuple[str, str]] | None = None,
) -> RestoreSelection:
    """The selection with what the oplog makes. *made* is that, by its names on the source; None: none is replayed.

    Raises RequestInvalid for what is neither in the archive nor made later.
    """
    _require_all_found(prelude, options, made=made)
    later = frozenset((options.database(database), name) for database, name in made or ())
    for database in sorted({database for database, _name in later}):
        require_database_name(database)
    found = replace(selection, later=later)
    if not found.databases and not (selection.people and options.users_and_roles):
        oplog = "" if made is None else ", and the oplog makes none before the target"
        raise RequestInvalid(
            f"The backup has no collections{oplog}: there is nothing to restore.",
            hint="Choose another backup (lifeboat list), or a later moment of a recovery (lifeboat windows).",
        )
    return found


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


def recovery_map(
    selection: RestoreSelection, options: MongoRestoreOptions, names: RestoreNames, *, noted: NotedContent
) -> NamespaceMap:
    """The same for a recovery: an oplog has changes of what the backup left out, too."""
    found = namespace_map(selection, options, names, only=noted.database)
    return replace(found, within=noted.include, exclude=noted.exclude)


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


def _there(prelude: ArchivePrelude) -> tuple[set[str], set[str]]:
    """The databases of an archive, and its collections by their full names."""
    there = [one for one in prelude.collections if not is_servers_own(one)]
    return {one.database for one in there if one.database}, {f"{one.database}.{one.name}" for one in there}


def _require_all_found(
    prelude: ArchivePrelude, options: MongoRestoreOptions, *, made: t.Collection[tuple[str, str]] | None
) -> None:
    databases, collections = _there(prelude)
    databases |= {database for database, _name in made or ()}
    collections |= {f"{database}.{name}" for database, name in made or ()}
    where = "The backup has no" if made is None else "Neither the backup nor the oplog up to the target has the"
    for name in (*options.databases, *options.rename):
        if name not in databases:
            raise RequestInvalid(
                f"{where} database {name}.", hint=f"There is: {', '.join(sorted(databases)) or 'none'}."
            )
    for full in options.collections:
        if full not in collections:
            database = full.partition(".")[0]
            near = sorted(one for one in collections if one.partition(".")[0] == database)[:10]
            raise RequestInvalid(
                f"{where} collection {full}.",
                hint=f"There is: {', '.join(near)}."
                if near
                else f"There are the databases {', '.join(sorted(databases))}.",
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
