# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading a mongodump archive into a server: what genuine mongorestore does, in constant memory and without a tool.

Collections first, then their documents as the archive brings them, then the oplog, indexes, and views at the end. The
archive proves itself as it passes (every collection's CRC), so what was loaded counts only when this returned.
"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ..core.errors import MongoArchiveInvalid, MongoTooNew
from ..core.progress import Progress
from .archive import ArchiveCollection
from .archive_people import database_of, is_servers_own, kind_of_people
from .archive_reader import ArchiveDocuments, ArchiveReader, stores_time_series_directly
from .collection_making import WRITE_CONCERN, MadeCollection, at_once, create
from .collection_metadata import CollectionMetadata, read_metadata
from .facts import version_numbers
from .faults import named_faults
from .insert_pool import InsertPool
from .load_finish import AGE, build_indexes, set_ages, target_views
from .load_plans import IndexPlan, ViewPlan
from .load_values import LoadedCollection, LoadOptions, LoadReport
from .namespace_map import BUCKETS
from .namespaces import TIME_SERIES, VIEW
from .oplog_commands import ARCHIVE
from .oplog_replay import OplogReplay, ReplayReport, ReplaySettings
from .raw_insert import InsertSettings, InsertTarget, keeps_empty_timestamps
from .reply import each_document

if t.TYPE_CHECKING:
    from .connection import Client

_OPLOG = ("", "oplog")


@dataclass
class _Entry:
    """One entry of the prelude that is taken, and what came of it."""

    source: ArchiveCollection
    made: MadeCollection
    documents: int = 0
    size: int = 0
    checksum: int = 0

    @property
    def insert_target(self) -> InsertTarget:
        is_series = self.source.type == TIME_SERIES
        return InsertTarget(
            database=self.made.database,
            name=BUCKETS + self.made.name if is_series else self.made.name,
            in_order=self.made.metadata.is_capped,
            is_buckets=is_series,
        )


def load_archive(reader: t.BinaryIO, *, client: Client, options: LoadOptions, progress: Progress) -> LoadReport:
    """Load the archive that *reader* gives, to its last byte. Nothing of the same names may be on the target.

    Raises MongoArchiveInvalid for whatever is not a whole archive, MongoLoadFailed when the server refuses something,
    MongoOplogNotReplayable, MongoTooNew, MongoNotAuthorised, MongoMajorityUnavailable and MongoUnreachable. Then what
    was loaded is a part: drop it.
    """
    return _Load(ArchiveReader(reader), client=client, options=options, progress=progress).run()


class _Load:
    def __init__(self, archive: ArchiveReader, *, client: Client, options: LoadOptions, progress: Progress) -> None:
        self._archive = archive
        self._client = client
        self._options = options
        self._progress = progress
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._people: dict[tuple[str, str], str] = {}  # entries with users or roles, and "users" or "roles"
        self._people_counts = {"users": 0, "roles": 0}
        self._left_out: list[str] = []
        self._indexes, self._views = IndexPlan(), ViewPlan()
        self._replay: OplogReplay | None = None
        self._settings = InsertSettings(write_concern=WRITE_CONCERN)

    def run(self) -> LoadReport:
        prelude = self._archive.prelude()
        with named_faults("Reading the server's version"):
            version = str(self._client.admin.command("buildInfo")["version"])
        self._settings = InsertSettings(
            write_concern=WRITE_CONCERN, keeps_empty_timestamps=keeps_empty_timestamps(version_numbers(version))
        )
        for collection in prelude.collections:
            self._sort(collection, archived_by=prelude.server_version, version=version)
        self._create()
        self._plan()
        replayed = self._load_all()
        names = self._options.names
        views = target_views(self._views, names=names)
        if self._options.finish:
            self._progress.stage("building indexes")
            build_indexes(self._client, self._indexes, names=names, threads=self._options.threads)
            set_ages(self._client, self._indexes, names=names)
        if self._options.views and self._options.finish:
            for database, name, view in views:
                metadata = CollectionMetadata(options=view)
                create(self._client, MadeCollection(database=database, name=name, metadata=metadata))
        return LoadReport(
            collections=tuple(self._loaded(entry) for entry in self._entries.values()),
            left_out=tuple(self._left_out),
            users=self._people_counts["users"],
            roles=self._people_counts["roles"],
            oplog=replayed,
            views=views,
            plans=(self._indexes, self._views),
        )

    def _load_all(self) -> ReplayReport | None:
        pool = InsertPool(client=self._client, settings=self._settings, threads=self._options.threads)
        try:
            pool.start()
            self._insert(pool)
            return None if self._replay is None else self._replay.finish()
        finally:
            pool.stop()
            if self._replay is not None:
                self._replay.close()

    def _sort(self, collection: ArchiveCollection, *, archived_by: str, version: str) -> None:
        """Decide what becomes of one entry of the prelude."""
        key = (collection.database, collection.data_name)
        if key == _OPLOG:
            self._replay = self._make_replay()
            return
        kind = kind_of_people(collection)
        if kind is not None and self._options.users_into is not None:
            self._people[key] = kind
            return
        target = None if kind is not None or is_servers_own(collection) else self._map(collection)
        if target is None:
            self._left_out.append(f"{collection.database}.{collection.name}")
            return
        if collection.type == TIME_SERIES and stores_time_series_directly(archived_by or version):
            raise MongoTooNew(
                f"MongoDB {archived_by or version} stores time series ({collection.name}) in a way that the native "
                "restore does not know.",
                hint="Use tool: mongorestore (100.16.0 or later), or exclude the time series.",
                details={"collection": f"{collection.database}.{collection.name}"},
            )
        made = MadeCollection(database=target[0], name=target[1], metadata=read_metadata(collection))
        self._entries[key] = _Entry(source=collection, made=made)

    def _map(self, collection: ArchiveCollection) -> tuple[str, str] | None:
        return self._options.names.target(collection.database, collection.name)

    def _make_replay(self) -> OplogReplay:
        options = self._options
        origin = dataclasses.replace(ARCHIVE, ages_last=not options.finish)
        return OplogReplay(
            client=self._client,
            names=options.names,
            users_into=options.users_into,
            make_direct=options.make_direct,
            settings=ReplaySettings(users_of=options.users_of, origin=origin),
            plans=(self._indexes, self._views),
        )

    def _create(self) -> None:
        """Everything but views: these may show what is not there yet, and nobody should see that."""
        actions = [
            _later(create, self._client, self._ageless(entry.made), preserve_uuid=self._options.preserve_uuid)
            for entry in self._entries.values()
            if entry.source.type != VIEW and entry.made.full_name not in self._options.made
        ]
        if self._people:
            actions += [
                _later(create, self._client, MadeCollection("admin", self._people_name(kind), CollectionMetadata()))
                for kind in ("users", "roles")
            ]
        at_once(actions, threads=self._options.threads)

    def _ageless(self, made: MadeCollection) -> MadeCollection:
        """Nothing may be removed by its age while more is to come."""
        if self._options.finish or AGE not in made.metadata.options:
            return made
        options = {key: value for key, value in made.metadata.options.items() if key != AGE}
        return dataclasses.replace(made, metadata=dataclasses.replace(made.metadata, options=options))

    def _insert(self, pool: InsertPool) -> None:
        open_ones = set(self._entries) | set(self._people)
        drained = False
        for block in self._archive.blocks():
            key = (block.database, block.collection)
            if key == _OPLOG:
                if open_ones:
                    raise MongoArchiveInvalid(
                        "The archive has its oplog before the end of its collections.",
                        hint="Take another copy of this backup, or another backup; this one can't be restored whole.",
                    )
                if not drained:
                    pool.drain()
                    drained = True
                    self._progress.stage("replaying the oplog")
                if isinstance(block, ArchiveDocuments) and self._replay is not None:
                    self._replay.take(block.documents)
                continue
            entry = self._entries.get(key)
            if isinstance(block, ArchiveDocuments):
                if entry is not None:
                    pool.add(entry.insert_target, block.documents, block.count)
                elif key in self._people:
                    self._take_people(pool, key, block.documents)
                continue
            open_ones.discard(key)
            if entry is not None:
                entry.documents, entry.size, entry.checksum = block.count, block.size, block.checksum
                pool.end(entry.insert_target)
        pool.drain()

    def _plan(self) -> None:
        """What is to be made in the end, by the archive's metadata; an oplog may change it."""
        for entry in self._entries.values():
            source, metadata = entry.source, entry.made.metadata
            if source.type == VIEW:
                self._views.add(source.database, source.name, metadata.options)
                continue
            self._indexes.begin(source.database, source.name, metadata.indexes)
            if source.type == TIME_SERIES:
                self._indexes.series(source.database, source.name, metadata.options.get("timeseries", {}))
            if AGE in metadata.options and not self._options.finish:
                self._indexes.age(source.database, source.name, metadata.options[AGE])

    def _take_people(self, pool: InsertPool, key: tuple[str, str], documents: bytes) -> None:
        kind = self._people[key]
        target = InsertTarget(database="admin", name=self._people_name(kind))
        for document in each_document(documents):
            if self._options.users_of is None or database_of(document) in self._options.users_of:
                self._people_counts[kind] += 1
                pool.add(target, document, 1)

    def _people_name(self, kind: str) -> str:
        return f"{self._options.users_into}.{kind}"

    def _loaded(self, entry: _Entry) -> LoadedCollection:
        source = entry.source
        return LoadedCollection(
            source=f"{source.database}.{source.name}",
            target=entry.made.full_name,
            type=source.type or "collection",
            documents=entry.documents,
            size=entry.size,
            checksum=entry.checksum,
            indexes=len(entry.made.metadata.indexes),
        )


def _later(action: t.Callable[..., None], *arguments: t.Any, **named: t.Any) -> t.Callable[[], None]:
    return lambda: action(*arguments, **named)
