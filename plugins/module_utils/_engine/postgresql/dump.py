# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One database through pg_dump into the sink, in the custom or the directory format."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ..core.errors import PostgresDatabaseMissing
from ..core.progress import Progress
from ..core.runner import Runner, find_program
from ..pipeline.producer import PayloadInput, PayloadSink, StoredPayload
from .child import Child, Said
from .clients import ClientProgram
from .connection import PostgresConnection
from .facts import ClusterFacts, Database, index_bytes, read_extensions
from .names import file_name
from .object_counts import count_objects
from .options import LogicalOptions
from .patterns import pg_dump_selection
from .scratch import scratch_folder
from .snapshot import ExportedSnapshot, RowCounter, session_settings
from .store_errors import named_failures

# A dump's head has the time without a zone; it tells a stale dump from the one that the manifest means.
_ZONE = "UTC"


def payload_name(database: str, *, options: LogicalOptions) -> str:
    """The plain name of a database's payload."""
    return file_name(database) + (".dump" if options.format == "custom" else ".directory.tar")


@dataclass(frozen=True)
class DatabaseDumper:
    """Dumps databases of one cluster, one after the other."""

    connection: PostgresConnection
    options: LogicalOptions
    runner: Runner
    pg_dump: ClientProgram
    facts: ClusterFacts

    def dump(self, database: Database, *, sink: PayloadSink, progress: Progress) -> dict[str, t.Any]:
        """Store the dump of one database; its part of the manifest's content."""
        settings = session_settings(version=self.facts.version_number, lock_timeout=self.options.lock_wait_timeout)
        with self.connection.connect(runner=self.runner, database=database.name, options=settings) as session:
            snapshot = ExportedSnapshot(session)
            extensions = read_extensions(session)
            objects = count_objects(session) if self.options.is_whole else None
            counter = self._counter(database, snapshot=snapshot, settings=settings)
            try:
                if counter is not None:
                    counter.start()
                expected = max(0, (database.size or 0) - index_bytes(session))
                progress.stage(f"dumping {database.name}", bytes_expected=expected)
                stored = self._store(database, snapshot=snapshot, expected=expected, sink=sink, progress=progress)
                progress.stage(f"counting {database.name}")
                rows = counter.result() if counter is not None else None
            finally:
                if counter is not None:
                    counter.stop()
            snapshot.check()
        return {
            "name": database.name,
            "payload": payload_name(database.name, options=self.options),
            "stored": stored.name,
            "snapshot_lsn": snapshot.lsn,
            "snapshot_time": snapshot.taken_text,
            "encoding": database.encoding,
            "collation": database.collation,
            "character_type": database.character_type,
            "size": database.size,
            "extensions": extensions,
            "objects": objects,
            "created_in": _ZONE,
            "tables": None if rows is None else {name: {"rows": count} for name, count in rows.items()},
            "rows": None if rows is None else sum(rows.values()),
        }

    def _counter(
        self, database: Database, *, snapshot: ExportedSnapshot, settings: t.Mapping[str, str]
    ) -> RowCounter | None:
        if self.options.row_counts == "none":
            return None
        return RowCounter(
            connection=self.connection,
            runner=self.runner,
            database=database.name,
            settings=settings,
            snapshot=snapshot.identifier,
            tables=snapshot.tables(self.options),
        )

    def _store(
        self, database: Database, *, snapshot: ExportedSnapshot, expected: int, sink: PayloadSink, progress: Progress
    ) -> StoredPayload:
        # The database's name goes through the environment: as an argument a name with an equals sign would be taken
        # for a connection string.
        environment = {**self.connection.environment(runner=self.runner, database=database.name), "TZ": _ZONE}
        argv = [
            self.pg_dump.path,
            "--compress=0",
            "--no-password",
            f"--snapshot={snapshot.identifier}",
            f"--lock-wait-timeout={self.options.lock_wait_timeout * 1000}",
            *pg_dump_selection(self.options),
        ]
        said = Said()
        address = self.connection.address(database=database.name)
        name = payload_name(database.name, options=self.options)
        if self.options.format == "custom":
            with named_failures(said=said, address=address):
                return sink.store(
                    PayloadInput(
                        name=name,
                        media="pg_dump custom",
                        argv=(*argv, "--format=custom"),
                        environment=environment,
                        on_stderr=said,
                        expected_bytes=expected,
                    )
                )
        with scratch_folder(self.options.scratch_directory) as folder:
            target = os.path.join(folder, "dump")
            argv += ["--format=directory", f"--jobs={self.options.jobs}", f"--file={target}"]
            argv.append("--no-sync")  # what a crash leaves here is never used
            with Child(argv, environment=environment, said=said, output=False) as child:
                child.finish(address=address)
            progress.stage(f"storing {database.name}")
            tar = find_program("tar")
            return sink.store(
                PayloadInput(
                    name=name,
                    media="pg_dump directory, tar",
                    # One name on top, whatever the scratch folder was called, and nobody's user id.
                    argv=(
                        tar,
                        "--create",
                        "--file=-",
                        "--owner=0",
                        "--group=0",
                        "--numeric-owner",
                        f"--directory={folder}",
                        "dump",
                    ),
                    expected_bytes=_size_of(target),
                )
            )


def _size_of(folder: str) -> int:
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())


def chosen_databases(facts: ClusterFacts, *, options: LogicalOptions) -> list[Database]:
    """The databases to dump. Raises PostgresDatabaseMissing for a name that the cluster doesn't have.

    With all: every one that takes connections but template0.
    """
    by_name = {database.name: database for database in facts.databases if database.connectable}
    if options.every_database:
        return [database for name, database in by_name.items() if name != "template0"]
    missing = [name for name in options.databases if name not in by_name]
    if missing:
        raise PostgresDatabaseMissing(
            f"The cluster has no database {', '.join(missing)} that takes connections.",
            hint=f"It has: {', '.join(by_name)}.",
            details={"missing": missing, "databases": list(by_name)},
        )
    return [by_name[name] for name in options.databases]
