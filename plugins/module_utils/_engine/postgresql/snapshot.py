# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database at one moment: the exported snapshot that the dump and the counting of rows share."""

from __future__ import annotations

import datetime
import threading
import typing as t

from ..core.clock import format_time
from ..core.runner import Runner
from .connection import PostgresConnection
from .options import LogicalOptions
from .patterns import selection_condition
from .session import Session

# Tables whose rows pg_dump writes. Those of extensions are made by CREATE EXTENSION; a partitioned table's rows are in
# its partitions; a standby has no unlogged tables' rows.
_TABLES = """
SELECT n.nspname, c.relname
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
   AND (c.relpersistence = 'p' OR c.relpersistence = 'u' AND NOT pg_catalog.pg_is_in_recovery())
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                    WHERE e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                    WHERE e.classid = 'pg_catalog.pg_namespace'::regclass AND e.objid = n.oid AND e.deptype = 'e')
   AND ({condition})
 ORDER BY n.nspname, c.relname
"""


def session_settings(*, version: int, lock_timeout: int) -> dict[str, str]:
    """The settings of a session that has to last as long as a dump does: only the wait for a lock is limited (seconds).

    A role or database may have any of these limits as its default.
    """
    settings = {
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "lock_timeout": f"{lock_timeout}s",
        # Row-level security must be an error, never a shorter table.
        "row_security": "off",
    }
    if version >= 140000:
        settings["idle_session_timeout"] = "0"
    if version >= 170000:
        settings["transaction_timeout"] = "0"
    return settings


class ExportedSnapshot:
    """A read-only transaction that keeps its view of the database open for others to join.

    *identifier* is for ``pg_dump --snapshot``. *lsn* is the WAL position read in the statement that took the snapshot
    (what is replayed, on a standby): every transaction that the snapshot shows was written before it. *taken* is the
    server's time, UTC.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        session.rows("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = session.rows(
            "SELECT pg_catalog.pg_export_snapshot(), CASE WHEN pg_catalog.pg_is_in_recovery()"
            " THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END::text,"
            " pg_catalog.clock_timestamp()"
        )[0]
        self.identifier: str = row[0]
        self.lsn: str = row[1]
        self.taken: datetime.datetime = row[2]

    @property
    def taken_text(self) -> str:
        """When the snapshot was taken, as text in UTC."""
        return format_time(self.taken)

    def tables(self, options: LogicalOptions) -> list[tuple[str, str]]:
        """Schema and name of every table whose rows a dump with these options holds."""
        condition, values = selection_condition(options)
        # psycopg2 takes every percent sign for a placeholder; the statement holds no other.
        return [(row[0], row[1]) for row in self._session.rows(_TABLES.format(condition=condition), values)]

    def check(self) -> None:
        """Raise when the transaction has ended meanwhile: who joined late would have been refused."""
        self._session.rows("SELECT 1")


class RowCounter:
    """Counts the rows of tables in a snapshot, over a connection of its own, beside the dump.

    start() returns at once; result() waits and raises what went wrong; stop() gives up.
    """

    def __init__(
        self,
        *,
        connection: PostgresConnection,
        runner: Runner,
        database: str,
        settings: t.Mapping[str, str],
        snapshot: str,
        tables: t.Sequence[tuple[str, str]],
    ) -> None:
        self._tables = tables
        self._counts: dict[str, int] = {}
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._session = connection.connect(runner=runner, database=database, options=settings)
        try:
            # Joined before the dump starts, so that both see the snapshot whatever becomes of its owner.
            self._session.rows("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            self._session.rows("SET TRANSACTION SNAPSHOT %s", [snapshot])
            # For whoever looks into pg_stat_activity.
            self._session.rows("SET LOCAL application_name = 'lifeboat counting rows'")
            # The dump is what people wait for; more processes would only take its processors away.
            self._session.rows("SET LOCAL max_parallel_workers_per_gather = 0")
        except BaseException:
            self._session.close()
            raise
        self._thread = threading.Thread(target=self._count, name=f"counting rows of {database}", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def result(self) -> dict[str, int]:
        """Rows by table, as ``schema.table`` quoted where SQL needs it. Waits; raises what the counting raised."""
        self._thread.join()
        self._session.close()
        if self._error is not None:
            raise self._error
        return dict(sorted(self._counts.items()))

    def stop(self) -> None:
        """End the counting without a result; never raises."""
        self._stopped.set()
        if self._thread.is_alive():
            self._session.connection.cancel()
            self._thread.join(timeout=30)
        self._session.close()

    def _count(self) -> None:
        try:
            for schema, table in self._tables:
                if self._stopped.is_set():
                    return
                name = self._session.value("SELECT pg_catalog.format('%%I.%%I', %s::text, %s::text)", [schema, table])
                # ONLY: rows of inheriting tables are counted with those.
                self._counts[name] = int(self._session.value(f"SELECT count(*) FROM ONLY {name}"))  # noqa: S608 - quoted by the server
        except BaseException as error:  # noqa: BLE001 - handed over to result() in the main thread
            self._error = error
