# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster made and filled from a logical backup in a folder of its own: for good, or to verify the backup."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from dataclasses import dataclass, field

from ..catalog.manifest import Manifest
from ..core.errors import RestoreVersionMismatch, ToolMissing
from ..core.host import Host
from ..core.progress import Progress
from ..core.runner import Runner, program_version
from ..recovery.payload_source import PayloadSource
from ..recovery.scratch import Scratch
from .clients import ClientProgram
from .connection import PostgresConnection
from .databases import apply_properties, create_database, find_database
from .dump_loading import Loader, LoadManner, open_dump
from .dump_selection import Selection, select
from .facts import read_facts
from .globals_sql import RoleStatement
from .instance import OwnServer, ServerFolder, initialise, make_place, start
from .logical_target import database_content, dump_major
from .programs import ServerPrograms, find_server_programs
from .roles import create_missing, existing_roles, noted_roles
from .row_counts import RowComparison, compare_rows, noted_tables
from .session import Session
from .target_checks import require_extensions

#: The stage of a run in which bytes come from the repository and go into the server.
LOADING = "fetching and loading"
_START_SECONDS = 120.0
_SETTINGS = {"statement_timeout": "0", "row_security": "off"}


@dataclass(frozen=True)
class LoadedDatabase:
    """One database that was loaded. *tolerated* holds errors that are no reason to give up."""

    name: str
    selection: Selection = field(repr=False)
    tolerated: t.Sequence[str]


def find_cluster_programs(manifest: Manifest, *, runner: Runner, bin_directory: str = "") -> ServerPrograms:
    """The server programs that can take the dumps: of the version that was dumped, or those in *bin_directory*.

    Raises ToolMissing, and RestoreVersionMismatch for programs that are older than the dump.
    """
    needed = max(int(manifest.content["server_version_number"]) // 10000, dump_major(manifest))
    if not bin_directory:
        return find_server_programs(major=needed, runner=runner)
    version = program_version(f"{bin_directory}/postgres", runner=runner)
    if not version or version[0] < needed:
        raise RestoreVersionMismatch(
            f"The programs in {bin_directory} are of version {'.'.join(map(str, version)) or 'unknown'}, and the dump "
            f"needs PostgreSQL {needed} or later.",
            hint=f"Set bin_directory to the programs of PostgreSQL {needed}.",
            details={"found": list(version), "needed": needed},
        )
    return find_server_programs(major=version[0], runner=runner, bin_directory=bin_directory)


class NewCluster:
    """The cluster and its server, in one folder of *scratch*; *warnings* says what was done differently."""

    NAME: t.ClassVar[str] = "cluster"

    def __init__(self, *, scratch: Scratch, programs: ServerPrograms, source: PayloadSource, host: Host) -> None:
        if not programs.has("pg_restore"):
            raise ToolMissing(
                f"The program pg_restore is not in {programs.bin_directory}.",
                hint=f"Install it, on Debian: apt-get install postgresql-client-{programs.major}",
                details={"tool": "pg_restore"},
            )
        self._scratch = scratch
        self._programs = programs
        self._source = source
        self._host = host
        self.place = ServerFolder(folder=scratch.path(self.NAME))
        self.server: OwnServer | None = None
        self.warnings: list[str] = []

    @contextlib.contextmanager
    def running(self, *, progress: Progress) -> t.Iterator[OwnServer]:
        """Make the cluster and start its server; ended afterwards."""
        progress.stage("starting")
        self.place = make_place(self._scratch, name=self.NAME, programs=self._programs, runner=self._host.runner)
        initialise(
            data_directory=self.place.data_directory,
            programs=self._programs,
            runner=self._host.runner,
            # For the one that is to last: afterwards nobody is trusted.
            arguments=("--auth-local=peer", "--auth-host=scram-sha-256"),
        )
        self.server = start(self._scratch, place=self.place, programs=self._programs)
        try:
            self.server.wait_until(timeout=_START_SECONDS, clock=self._host.clock, runner=self._host.runner)
            yield self.server
        finally:
            self.server.stop(clock=self._host.clock)

    def connection(self, database: str = "postgres") -> PostgresConnection:
        """How to connect as superuser, while it runs."""
        if self.server is None:
            raise AssertionError("the server is asked before it was started")
        return self.server.connection(database)

    def session(self, database: str = "postgres") -> Session:
        """A session as superuser."""
        return self.connection(database).connect(runner=self._host.runner, database=database, options=_SETTINGS)

    def load_roles(self, *, progress: Progress) -> list[str]:
        """Every role of the backup but those of initdb; [] when it was made without roles."""
        if not self._source.manifest.content.get("globals"):
            return []
        progress.stage(LOADING)
        statements: list[RoleStatement] = noted_roles(self._source, progress=progress)
        with self.session() as session:
            wanted = {one.role for one in statements if one.creates} - existing_roles(session)
            create_missing(session, statements, wanted=wanted)
        return sorted(wanted)

    def load_database(
        self,
        name: str,
        *,
        manner: LoadManner,
        progress: Progress,
        narrow: t.Callable[[Selection], Selection] = lambda selection: selection,
    ) -> LoadedDatabase:
        """Make one database and load it; *narrow* takes out what must not be loaded."""
        content = database_content(self._source.manifest, name)
        dump = open_dump(self._source, str(content["payload"]), progress=progress)
        selection = narrow(select(dump.toc))
        self.warnings.extend(f"{name}: not restored: {what}." for what in selection.left_out)
        has_roles = bool(self._source.manifest.content.get("globals"))
        if not has_roles:
            manner = dataclasses.replace(manner, owners=False, privileges=False)
        if not manner.scratch_directory:
            manner = dataclasses.replace(manner, scratch_directory=self._scratch.folder)
        with self.session() as session:
            require_extensions(session, selection, facts=read_facts(session))
            if find_database(session, name=name) is None:
                create_database(
                    session, name=name, toc=dump.toc, content=content, owners=manner.owners, tablespaces=False
                )
        progress.stage(LOADING)
        loader = Loader(pg_restore=self._pg_restore(), environment=self._environment(), manner=manner)
        words = loader.load(dump, selection, database=name, progress=progress)
        with self.session() as session:
            apply_properties(session, name=name, toc=dump.toc, privileges=manner.privileges)
        return LoadedDatabase(name=name, selection=selection, tolerated=words.tolerated)

    def compare(self, name: str, *, analyze: bool) -> RowComparison | None:
        """The rows of one database against those noted; None when they were not counted at the time."""
        with self.session(name) as session:
            if analyze:
                session.rows("ANALYZE")
            noted = noted_tables(database_content(self._source.manifest, name), wanted=None)
            return None if noted is None else compare_rows(session, noted)

    def _pg_restore(self) -> ClientProgram:
        return ClientProgram(name="pg_restore", path=self._programs.path("pg_restore"), version=self._programs.version)

    def _environment(self) -> dict[str, str]:
        if self.server is None:
            raise AssertionError("the server is asked before it was started")
        # Ours would win over the arguments otherwise; and the next run finds by it what a death leaves.
        return {**self._scratch.environment(), **self.server.environment, "PGDATABASE": "postgres", "PGOPTIONS": ""}
