# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MongoDB dump brought back: beside what is there, or in its place.

Everything is loaded under staging names in the databases that it is meant for, and compared; only then do collections
change their names, one rename each, and what had the names is kept as ``lifeboat_before_<id>.<name>``. Whatever fails,
the renames are taken back.
"""

from __future__ import annotations

import tempfile
import typing as t

from ..core.checksums import CRC64_XZ, crc_function
from ..core.progress import Progress
from ..recovery.payload_source import PayloadSource
from ..recovery.recovery_planner import SegmentReader
from ..recovery.restorer import Restoration, RestoreInspection, RestorerContext
from ..recovery.steps import Facts, Step
from .noted_content import NotedContent, noted_content
from .recovery_checks import described, recovered, require_operations, require_recoverable, told
from .recovery_later import made_later
from .restore_checks import (
    in_the_way_of,
    require_loadable,
    require_names,
    require_rights,
    require_version,
    that_step_aside,
)
from .restore_commands import drop
from .restore_load import read_prelude
from .restore_options import MongoRestoreOptions
from .restore_people import forget_kept
from .restore_selection import RestoreSelection, has_all, recovery_map, require_all, select_items
from .restore_session import RestoreSession
from .restore_steps import CHECK, CLEAR, EXCHANGE, KEEP_PEOPLE, LOAD, REPLAY, RestoreSteps
from .restore_target import TargetFacts, existing_in, read_target

if t.TYPE_CHECKING:
    from .connection import Client

_SHOWN = 5


class MongoRestorer:
    """See :class:`recovery.restorer.Restorer`."""

    engine = "mongodb"
    kind = "full"

    def __init__(self, *, options: MongoRestoreOptions, context: RestorerContext) -> None:
        self._options = options
        self._session = RestoreSession(options=options, context=context)
        self._names = self._session.names

    @property
    def target(self) -> str:
        """ "mongodb at db1:27017", or the databases that are meant: "shop_recovery at db1:27017"."""
        return self._session.target

    def inspect(self, *, source: PayloadSource) -> RestoreInspection:
        """See Restorer. Raises RequestInvalid, RestoreTargetInvalid, RestoreVersionMismatch, MongoTooNew,
        MongoNotAuthorised, and the errors of the connection and of reading the archive.
        """
        crc_function(CRC64_XZ)
        options, noted = self._options, noted_content(source.manifest)
        if self._segments is not None:
            require_recoverable(self._segments, options, noted=noted, backup_id=source.manifest.backup_id)
        selection = self._selection(source, noted)
        with self._session.look() as client:
            facts = read_target(client)
            warnings = require_version(noted, facts)
            require_loadable(selection, facts, options)
            require_names(selection, self._names, facts)
            require_rights(client, selection, options, replays=self._segments is not None)
            holders, others = in_the_way_of(client, selection, options, self._names)
            tool = self._session.tool(facts)
        moved, staying = that_step_aside(others, options)
        replaces = bool(holders or moved or (options.users_and_roles and selection.people))
        if self._segments is not None:
            # The oplog may make what the backup does not have.
            replaces = replaces or bool(options.in_place and others) or options.users_and_roles
            with tempfile.TemporaryDirectory(prefix="lifeboat-slices-") as folder:
                require_operations(self._segments, folder=folder)
        plain = source.manifest.plain_bytes or 4 * source.manifest.stored_bytes
        return RestoreInspection(
            facts={
                **facts.as_dict(),
                "backup_server_version": noted.server_version,
                "tool": options.tool if tool is None else f"mongorestore {tool.version}".strip(),
                "databases": {
                    database: sum(1 for item in selection.items if item.database == database)
                    for database in selection.databases
                },
                "users_and_roles": options.users_and_roles and selection.people,
                **({} if self._segments is None else {"recovery": described(self._segments)}),
                "replaces": [one.full_name for one in holders],
                "stays": [one.full_name for one in staying],
            },
            steps=tuple(step.title for step in self.steps(source=source, progress=self._session.progress())),
            replaces=self.target if replaces else None,
            moves=tuple(self._shown_move(one.full_name, is_view=one.uuid is None) for one in [*holders, *moved]),
            # On disk documents are compressed again; indexes and the journal take about what that saves.
            needed_bytes=(plain if selection.size is None else selection.size) + self._segment_bytes(),
            free_bytes=facts.free_bytes,
            versions=f"backup of MongoDB {noted.server_version}, server {facts.version} "
            f"(feature compatibility {facts.feature_compatibility or 'not known'})",
            warnings=(
                *warnings,
                *(() if self._segments is None else self._segments.plan.warnings),
                *self._warnings(selection, facts, staying=[one.full_name for one in staying]),
            ),
        )

    def steps(self, *, source: PayloadSource, progress: Progress) -> t.Sequence[Step]:
        """See Restorer."""
        return RestoreSteps(self._session, source=source, progress=progress).all()

    def outcome(self, *, facts: t.Mapping[str, Facts]) -> Restoration:
        """See Restorer."""
        load, check, replay = facts[LOAD], facts[CHECK], facts.get(REPLAY)
        collections = {full: one["documents"] for full, one in load["collections"].items()}
        if replay is not None:
            check, collections = replay, replay["collections"]
        databases: dict[str, dict[str, t.Any]] = {}
        for full, documents in collections.items():
            database, _dot, name = full.partition(".")
            databases.setdefault(database, {})[name] = documents
        with self._session.look() as client:
            aside, between = self._left_aside(client, facts)
        first = next(iter(sorted(databases)), "")
        return Restoration(
            content={
                "collections": len(collections),
                "documents": check["documents"],
                "expired": check.get("expired", 0),
                "views": len((replay or load)["views"]),
                **({} if replay is None else {"recovery": recovered(replay)}),
                "databases": databases,
                "oplog": load["oplog"],
                "users": len(facts.get(KEEP_PEOPLE, {}).get("users", {}).get("loaded", ())),
                "roles": len(facts.get(KEEP_PEOPLE, {}).get("roles", {}).get("loaded", ())),
            },
            where=self.target,
            connect=f"mongosh 'mongodb://{self._session.servers}/{first}'",
            aside=tuple(aside),
            warnings=(
                *(f"{name} was made by somebody while names were exchanged; it has this name now." for name in between),
                *(() if replay is None else told(replay)),
            ),
        )

    def discard(self, *, facts: t.Mapping[str, Facts]) -> tuple[str, ...]:
        """See Restorer."""
        removed: list[str] = []
        old = {(one["database"], one["old"]) for one in facts.get(EXCHANGE, {}).get("pairs", ()) if one["old"]}
        with self._session.change() as client:
            for database in sorted({database for database, _uuid in old}):
                for name, found in sorted(existing_in(client, database).items()):
                    # By its UUID: what somebody else has called so is not ours to remove.
                    if name.startswith(self._names.before) and (database, found.uuid) in old:
                        drop(client, database, name)
                        removed.append(f"collection {found.full_name}")
            if KEEP_PEOPLE in facts:
                forget_kept(client, self._names)
                removed.append("users and roles of before")
        return tuple(removed)

    def _selection(self, source: PayloadSource, noted: NotedContent) -> RestoreSelection:
        """Only what the backup does not have is looked for in the oplog, for that means reading all of it."""
        options, segments = self._options, self._segments
        prelude = read_prelude(source, progress=self._session.progress())
        selection = select_items(prelude, noted, options)
        if segments is None:
            return require_all(selection, prelude, options)
        made: frozenset[tuple[str, str]] = frozenset()
        if not has_all(selection, prelude, options):
            names = recovery_map(selection, options, self._names, noted=noted)
            with tempfile.TemporaryDirectory(prefix="lifeboat-slices-") as folder:
                made = made_later(segments, names, folder=folder)
        return require_all(selection, prelude, options, made=made)

    @property
    def _segments(self) -> SegmentReader | None:
        return self._session.context.segments

    def _segment_bytes(self) -> int:
        segments = () if self._segments is None else self._segments.plan.segments
        return sum(one.segment.payload.plain_size or 0 for one in segments)

    def _warnings(self, selection: RestoreSelection, facts: TargetFacts, *, staying: t.Sequence[str]) -> list[str]:
        warnings = []
        expiring = [item.full_name for item in selection.items if item.expires]
        if expiring:
            warnings.append(
                f"Documents of {_listed(expiring)} that are past their time will be removed by the server soon (TTL)."
            )
        if self._options.in_place and staying:
            warnings.append(f"Stays as it is, for the backup does not have it: {_listed(staying)} (see others: aside).")
        if any(item.documents is None and item.way != "view" for item in selection.items):
            warnings.append(
                "The manifest does not tell all counts of documents, so they can't all be compared with it."
            )
        if selection.people and not self._options.users_and_roles and self._options.is_whole:
            warnings.append("The backup's users and roles are not restored (see users_and_roles).")
        if facts.free_bytes is None:
            warnings.append("The server does not tell how much space is free.")
        return warnings

    def _shown_move(self, full: str, *, is_view: bool) -> str:
        database, _dot, name = full.partition(".")
        if is_view:
            return f"view {full} -> removed, its definition is kept"
        return f"{full} -> {database}.{self._names.aside(name, prefix=self._names.before)}"

    def _left_aside(self, client: Client, facts: t.Mapping[str, Facts]) -> tuple[list[str], list[str]]:
        databases = {one["database"] for one in facts[EXCHANGE]["pairs"]}
        aside: list[str] = []
        between: list[str] = []
        for database in sorted(databases):
            for name in sorted(existing_in(client, database)):
                if name.startswith(self._names.before):
                    aside.append(f"collection {database}.{name}")
                elif name.startswith(self._names.between):
                    between.append(f"{database}.{name}")
        aside += [
            f"the definition of the view {one['database']}.{one['name']}"
            for one in facts.get(CLEAR, {}).get("views", ())
        ]
        if any(facts.get(KEEP_PEOPLE, {}).get(kind, {}).get("replaced") for kind in ("users", "roles")):
            aside.append(f"collections admin.{self._names.people_before}.*")
        return aside, between


def _listed(names: t.Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
