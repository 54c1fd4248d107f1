# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every restore of a logical dump into a running server shares: the dump, the server, and whether they fit."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..catalog.manifest import Manifest
from ..core.errors import ManifestInvalid, RequestInvalid, RestoreIncomplete
from ..core.progress import Progress
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import RestorerContext
from .clients import ClientProgram
from .connection import PostgresConnection
from .dump_loading import Dump, LoadManner, open_dump
from .dump_selection import Selection
from .facts import ClusterFacts, read_facts
from .roles import names_of_missing, noted_roles
from .row_counts import compare_rows, noted_tables
from .scratch import check_scratch
from .session import Session
from .target_checks import (
    find_pg_restore,
    require_extensions,
    require_roles,
    require_tablespaces,
    require_version,
    roles_named,
)

# Nothing of a restore is limited in time but the wait for somebody's lock.
_SETTINGS = {"statement_timeout": "0", "lock_timeout": "60s", "idle_in_transaction_session_timeout": "0"}
# The counts must not depend on who may see which row.
_COUNT_SETTINGS = {**_SETTINGS, "row_security": "off"}


def database_content(manifest: Manifest, database: str) -> t.Mapping[str, t.Any]:
    """A database's part of the manifest's content. Raises RequestInvalid when the backup doesn't have it."""
    databases = all_databases(manifest)
    for entry in databases:
        if entry.get("name") == database:
            return entry
    raise RequestInvalid(
        f"The backup {manifest.backup_id} has no database {database}; it has: "
        f"{', '.join(str(entry.get('name')) for entry in databases) or 'none'}.",
        hint="Correct database, or choose another backup: lifeboat list shows them.",
        details={"database": database},
    )


def all_databases(manifest: Manifest) -> list[t.Mapping[str, t.Any]]:
    """All databases of the backup. Raises ManifestInvalid when the content doesn't say."""
    databases = manifest.content.get("databases")
    if not isinstance(databases, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("name"), str) and isinstance(entry.get("payload"), str)
        for entry in databases
    ):
        raise ManifestInvalid(f"The manifest of {manifest.backup_id} does not say which databases it holds.")
    return databases


def dump_major(manifest: Manifest) -> int:
    """The major version of the pg_dump that made the backup."""
    version = str((manifest.content.get("tool") or {}).get("version", ""))
    number = version.split(".", maxsplit=1)[0]
    return int(number) if number.isdigit() else int(manifest.content["server_version_number"]) // 10000


@dataclass(frozen=True)
class TargetServer:
    """The server that is restored into."""

    connection: PostgresConnection
    context: RestorerContext

    def session(self, database: str = "", *, counting: bool = False) -> Session:
        """A session in *database*, by default in one that no restore replaces."""
        settings = _COUNT_SETTINGS if counting else _SETTINGS
        return self.connection.connect(runner=self.context.host.runner, database=database, options=settings)

    def maintenance(self, *, besides: t.Collection[str]) -> Session:
        """A session in a database that is none of *besides*: nobody can rename the one that he is in."""
        candidates = (self.connection.database, "postgres", "template1")
        return self.session(next(name for name in candidates if name and name not in besides))

    def progress(self) -> Progress:
        """For looks at the backup before there is a run."""
        return Progress(clock=self.context.host.clock)

    def environment(self, database: str) -> dict[str, str]:
        """How client programs reach it."""
        return self.connection.environment(runner=self.context.host.runner, database=database)

    def program(self, name: str, *, server_major: int, manifest: Manifest) -> ClientProgram:
        """A client program that knows both the server and the dump."""
        return find_pg_restore(
            name=name,
            server_major=server_major,
            dump_major=dump_major(manifest),
            runner=self.context.host.runner,
            bin_directory=self.connection.bin_directory,
        )

    def open(self, source: PayloadSource, database: str, *, progress: Progress | None = None) -> Dump:
        """The dump of one database of the backup."""
        content = database_content(source.manifest, database)
        return open_dump(source, str(content["payload"]), progress=progress or self.progress())

    def require_fit(
        self,
        session: Session,
        dump: Dump,
        selection: Selection,
        *,
        manner: LoadManner,
        roles: bool,
    ) -> ClusterFacts:
        """Everything about server and dump that can be refused before anything is changed; the facts of the server."""
        facts = read_facts(session)
        require_version(facts, content=dump.source.manifest.content)
        if manner.jobs > 1 or dump.is_directory:
            _require_scratch(manner, dump)
        require_extensions(session, selection, facts=facts)
        named = roles_named(dump.toc, selection, owners=manner.owners, privileges=manner.privileges)
        owners = {entry.owner for entry in selection.entries if entry.owner} if manner.owners else set()
        made = self.missing_roles(session, dump.source) if roles else []
        require_roles(session, named, facts=facts, made=made, owners=owners - set(made))
        if manner.tablespaces:
            require_tablespaces(facts, dump.toc, selection)
        return facts

    def missing_roles(self, session: Session, source: PayloadSource) -> list[str]:
        """The roles of the backup that the server lacks."""
        existing = {row[0] for row in session.rows("SELECT rolname FROM pg_catalog.pg_roles")}
        return names_of_missing(noted_roles(source, progress=self.progress()), existing=existing)

    def check(
        self, database: str, content: t.Mapping[str, t.Any], selection: Selection, *, analyze: bool
    ) -> dict[str, t.Any]:
        """Gather statistics and compare the rows of *database* with those noted; what was counted.

        Raises RestoreIncomplete. Where rows were not counted at the time there is nothing to compare.
        """
        with self.session(database, counting=True) as session:
            if analyze:
                session.rows("ANALYZE")
            noted = noted_tables(content, wanted=selection.tables)
            if noted is None:
                return {"tables": None, "rows": None}
            compared = compare_rows(session, noted)
        if compared.differences:
            raise incomplete(database, compared.differences)
        return {"tables": compared.tables, "rows": compared.rows}


def incomplete(database: str, differences: t.Sequence[str]) -> RestoreIncomplete:
    """The error that names the first differences."""
    return RestoreIncomplete(
        f"What was loaded into {database} is not what was dumped: {'; '.join(differences[:5])}"
        + (f" and {len(differences) - 5} more." if len(differences) > 5 else "."),
        hint="Restore another backup, and verify this one: lifeboat verify shows what is wrong with it.",
        details={"differences": list(differences[:100])},
    )


def _require_scratch(manner: LoadManner, dump: Dump) -> None:
    if not manner.scratch_directory:
        raise RequestInvalid(
            "The dump is in the directory format, which pg_restore reads from a folder, and scratch_directory is not "
            "given.",
            hint="Name a folder with room for the whole uncompressed dump.",
        )
    check_scratch(manner.scratch_directory, needed=dump.plain_size)
