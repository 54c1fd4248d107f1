# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database from a logical dump: as a new one beside production, or in the place of the old one.

Both load into a staging database whose name has the restore's id, and only then take the name: by one rename, or by
two in one transaction, whereby the old database is kept as ``<name>_before_<id>``.
"""

from __future__ import annotations

import typing as t

from ..core.errors import PostgresError, RestoreTargetInvalid
from ..core.progress import Progress
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import Restoration, RestoreInspection, RestorerContext
from ..recovery.steps import Facts, Step
from .connection import PostgresConnection
from .databases import (
    DatabaseIdentity,
    allow_connections,
    apply_properties,
    create_database,
    derived_name,
    drop_database,
    exchange_names,
    find_database,
    require_replaceable,
)
from .dump_loading import Dump, Loader
from .dump_selection import Selection, select, without_reaching_out
from .facts import read_facts
from .logical_restore_options import DatabaseRestoreOptions
from .logical_target import TargetServer, database_content
from .role_step import MAKE_ROLES, role_step
from .session import Session
from .target_checks import free_on_server, needed_bytes, require_rights

_ALWAYS_THERE = ("postgres", "template0", "template1")


class PgLogicalRestorer:
    """One database of a logical backup, into a running server."""

    engine = "postgresql"
    kind = "logical"

    def __init__(
        self, *, connection: PostgresConnection, options: DatabaseRestoreOptions, context: RestorerContext
    ) -> None:
        self._options = options
        self._server = TargetServer(connection=connection, context=context)
        self._staging = derived_name(options.into, "restoring", context.restore_id)
        self._aside = derived_name(options.into, "before", context.restore_id)

    @property
    def target(self) -> str:
        """The name that the database will have."""
        return self._options.into

    def inspect(self, *, source: PayloadSource) -> RestoreInspection:
        """Read the head of the dump and the facts of the server, and hold them against each other."""
        options, server = self._options, self._server
        content = database_content(source.manifest, options.database)
        dump = server.open(source, options.database)
        selection = self._select(dump)
        with self._maintenance() as session:
            facts = server.require_fit(session, dump, selection, manner=options.manner, roles=options.roles)
            old = self._old(session)
            replaces = old.name if old else None
            require_rights(session, facts=facts, creates=True, replaces=replaces)
            if old is not None:
                require_replaceable(session, old)
            missing = server.missing_roles(session, source) if options.roles else []
        program = server.program("pg_restore", server_major=facts.major, manifest=source.manifest)
        warnings = [f"Not restored: {what}." for what in selection.left_out]
        if source.manifest.content.get("row_counts") == "none":
            warnings.append("The backup has no counts of rows, so what is loaded can't be compared with it.")
        return RestoreInspection(
            facts={
                "database": options.database,
                "into": options.into,
                "server_version": facts.version,
                "dump_server_version": dump.toc.server_version,
                "dump_created": dump.toc.created.isoformat(),
                "pg_restore": program.dotted,
                "objects": len(selection.entries),
                "roles_to_make": missing,
            },
            steps=tuple(step.title for step in self.steps(source=source, progress=server.progress())),
            replaces=replaces,
            stops=(f"all sessions in {options.into} are ended for the moment of the renaming",) if old else (),
            moves=(f"database {options.into} -> {self._aside}",) if old else (),
            needed_bytes=needed_bytes(content, plain_size=dump.plain_size),
            free_bytes=free_on_server(facts, host=server.connection.host),
            versions=f"dump of PostgreSQL {dump.toc.server_version}, server {facts.version}, "
            f"pg_restore {program.dotted}",
            warnings=tuple(warnings),
        )

    def steps(self, *, source: PayloadSource, progress: Progress) -> t.Sequence[Step]:
        """Roles when wanted, load, check, take the name."""
        options, staging = self._options, self._staging
        moved = f" (the old one becomes {self._aside})" if options.in_place else ""
        steps = [
            Step(
                name="load",
                title=f"Load the dump of {options.database} into the new database {staging}",
                plan=lambda: {"staging": staging},
                do=lambda _facts: self._load(source, progress=progress),
                undo=lambda _facts: self._drop_staging(),
            ),
            Step(
                name="check",
                title=f"Compare what is in {staging} with what was dumped",
                do=lambda _facts: self._check(source),
                undo=lambda _facts: None,
            ),
            Step(
                name="take the name",
                title=f"Rename {staging} to {options.into}{moved}",
                plan=self._plan_names,
                do=self._take_name,
                undo=self._give_name_back,
            ),
        ]
        return [role_step(self._server, source, progress=progress), *steps] if options.roles else steps

    def outcome(self, *, facts: t.Mapping[str, t.Mapping[str, t.Any]]) -> Restoration:
        """Where the database is and what is in it."""
        address = self._server.connection.address(database=self._options.into)
        aside = facts.get("take the name", {}).get("aside")
        load = facts.get("load", {})
        return Restoration(
            content={
                "database": self._options.into,
                "tables": facts.get("check", {}).get("tables"),
                "rows": facts.get("check", {}).get("rows"),
                "roles_made": facts.get(MAKE_ROLES, {}).get("made", []),
                "left_out": load.get("left_out", []),
                "tolerated": load.get("tolerated", []),
            },
            where=f"database {self._options.into} on {address.server}",
            connect=address.psql,
            aside=(f"database {aside}",) if aside else (),
            warnings=tuple(f"Tolerated: {said}" for said in load.get("tolerated", [])),
        )

    def discard(self, *, facts: t.Mapping[str, t.Mapping[str, t.Any]]) -> tuple[str, ...]:
        """Remove the old database, which nobody can ask for again then."""
        names = facts.get("take the name", {})
        if names.get("old_oid") is None:
            return ()
        with self._maintenance() as session:
            found = find_database(session, oid=int(names["old_oid"]))
            if found is None or found.name != names["aside"]:
                return ()  # gone already, or put back by hand
            drop_database(session, oid=found.oid)
        return (f"database {found.name}",)

    def _maintenance(self) -> Session:
        return self._server.maintenance(besides=(self._options.into, self._staging, self._aside))

    def _select(self, dump: Dump) -> Selection:
        selection = select(dump.toc, schemas=self._options.schemas, tables=self._options.tables)
        return selection if self._options.in_place else without_reaching_out(selection)

    def _old(self, session: Session) -> DatabaseIdentity | None:
        """The database that is replaced. Raises RestoreTargetInvalid when there is one that must not be."""
        old = find_database(session, name=self._options.into)
        if self._options.into in _ALWAYS_THERE:
            raise RestoreTargetInvalid(
                f"The database {self._options.into} is a part of every cluster and is not replaced.",
                hint="Restore beside it, or add the dump's tables to it: existing: true.",
            )
        if old is not None and not self._options.in_place:
            raise RestoreTargetInvalid(
                f"The database {self._options.into} exists already.",
                hint="Choose another name with into, or replace it: in_place: true; its tables stay as "
                f"{self._options.into}_before_... until they are discarded.",
            )
        return old

    def _load(self, source: PayloadSource, *, progress: Progress) -> Facts:
        options, server = self._options, self._server
        dump = server.open(source, options.database, progress=progress)
        selection = self._select(dump)
        with self._maintenance() as session:
            drop_database(session, name=self._staging)  # what a run left that died
            facts = read_facts(session)
            create_database(
                session,
                name=self._staging,
                toc=dump.toc,
                content=database_content(source.manifest, options.database),
                owners=options.manner.owners,
                tablespaces=options.manner.tablespaces,
            )
        loader = Loader(
            pg_restore=server.program("pg_restore", server_major=facts.major, manifest=source.manifest),
            environment=server.environment(self._staging),
            manner=options.manner,
        )
        words = loader.load(dump, selection, database=self._staging, progress=progress)
        with self._maintenance() as session:
            if selection.is_whole:
                apply_properties(session, name=self._staging, toc=dump.toc, privileges=options.manner.privileges)
        return {"left_out": list(selection.left_out), "tolerated": words.tolerated}

    def _drop_staging(self) -> None:
        with self._maintenance() as session:
            drop_database(session, name=self._staging)

    def _check(self, source: PayloadSource) -> Facts:
        dump = self._server.open(source, self._options.database)
        content = database_content(source.manifest, self._options.database)
        return self._server.check(self._staging, content, self._select(dump), analyze=self._options.analyze)

    def _plan_names(self) -> Facts:
        with self._maintenance() as session:
            new = find_database(session, name=self._staging)
            old = self._old(session)
        if new is None:
            raise PostgresError(
                f"The database {self._staging} is gone; somebody removed it.",
                hint="Find out who removes databases there, then run the restore again.",
            )
        noted: dict[str, t.Any] = {"new_oid": new.oid}
        if old is not None:
            noted.update(old_oid=old.oid, old_accepts_connections=old.accepts_connections, aside=self._aside)
        return noted

    def _take_name(self, facts: Facts) -> Facts | None:
        with self._maintenance() as session:
            new, old = _pair(session, facts)
            if new is None:
                raise PostgresError(
                    f"The database {self._staging} is gone; somebody removed it.",
                    hint="Find out who removes databases there, then run the restore again.",
                )
            if new.name != self._options.into:
                moved = [(old, self._aside)] if old is not None else []
                exchange_names(session, [*moved, (new, self._options.into)])
            _open_again(session, new, old)
        return None

    def _give_name_back(self, facts: Facts) -> None:
        with self._maintenance() as session:
            new, old = _pair(session, facts)
            if new is not None and new.name == self._options.into:
                if "old_oid" in facts and old is None:
                    raise PostgresError(
                        f"The old database {self._aside} is gone, so {self._options.into} can't be put back.",
                        hint="Keep what is there, or restore another backup.",
                    )
                back = [(old, self._options.into)] if old is not None else []
                exchange_names(session, [(new, self._staging), *back])
            _open_again(session, new, old)


def _pair(session: Session, facts: Facts) -> tuple[DatabaseIdentity | None, DatabaseIdentity | None]:
    """The new and the old database, by their oids; whether they take connections as it was before anybody was ended."""
    new = find_database(session, oid=int(facts["new_oid"])) if "new_oid" in facts else None
    old = find_database(session, oid=int(facts["old_oid"])) if "old_oid" in facts else None
    if new is not None:
        new = DatabaseIdentity(oid=new.oid, name=new.name, accepts_connections=True)
    if old is not None:
        old = DatabaseIdentity(oid=old.oid, name=old.name, accepts_connections=bool(facts["old_accepts_connections"]))
    return new, old


def _open_again(session: Session, *databases: DatabaseIdentity | None) -> None:
    for database in databases:
        if database is not None and database.accepts_connections:
            allow_connections(session, oid=database.oid)
