# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle of every recovery: numbered commits, each with its time, its positions and when it was acknowledged."""

from __future__ import annotations

import datetime
import random
import re
import subprocess
import threading
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.postgresql import PostgreSQLServer

TABLES = """
CREATE TABLE ledger (seq bigint NOT NULL, part int NOT NULL, note text, PRIMARY KEY (seq, part));
CREATE TABLE mirror (seq bigint PRIMARY KEY, parts int NOT NULL);
"""
_COMMIT = re.compile(r"tx:\s+(?P<xid>\d+), lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+), .*desc: COMMIT")


@dataclass(frozen=True)
class Commit:
    """One acknowledged transaction: *parts* rows in ``ledger``, one in ``mirror``.

    *committed* is the server's own time of it, *before* and *after* the ends of the WAL around its end.
    """

    seq: int
    parts: int
    xid: int
    committed: datetime.datetime
    before: str
    after: str


@dataclass
class Ledger:
    """Writes one transaction after the other; every third has several statements, before every fifth one is undone."""

    server: PostgreSQLServer
    commits: list[Commit] = field(default_factory=list)

    def begin(self) -> None:
        """Make the tables."""
        self.server.query(TABLES)

    def write(self, count: int, *, switch_every: int = 0) -> list[Commit]:
        """So many transactions; with *switch_every* the segment is left after every so many. Those that it wrote."""
        written: list[Commit] = []
        connection = self.server.connect()
        connection.autocommit = False
        try:
            with connection.cursor() as cursor:
                for number in range(count):
                    seq = len(self.commits) + 1
                    if seq % 5 == 0:
                        self._insert(cursor, -seq, 2)
                        connection.rollback()
                    parts = 4 if seq % 3 == 0 else 1
                    self._insert(cursor, seq, parts)
                    cursor.execute("SELECT pg_current_xact_id()::text, pg_current_wal_insert_lsn()::text")
                    xid, before = cursor.fetchone()
                    connection.commit()
                    cursor.execute(
                        "SELECT pg_xact_commit_timestamp(%s::xid), pg_current_wal_insert_lsn()::text", (xid,)
                    )
                    committed, after = cursor.fetchone()
                    connection.rollback()
                    commit = Commit(seq, parts, int(xid), committed.astimezone(datetime.UTC), before, after)
                    self.commits.append(commit)
                    written.append(commit)
                    if switch_every and (number + 1) % switch_every == 0:
                        cursor.execute("SELECT pg_switch_wal()")
                        connection.rollback()
        finally:
            connection.close()
        return written

    @staticmethod
    def _insert(cursor: t.Any, seq: int, parts: int) -> None:
        for part in range(parts):
            cursor.execute("INSERT INTO ledger VALUES (%s, %s, repeat('x', 200))", (seq, part))
        cursor.execute("INSERT INTO mirror VALUES (%s, %s)", (seq, parts))

    def at(self, share: float) -> Commit:
        """The commit at that share of all, never the first or the last."""
        return self.commits[max(1, min(len(self.commits) - 2, int(share * len(self.commits))))]

    def until(self, seq: int) -> dict[int, int]:
        """What must be there when everything up to *seq*, and nothing after it, is: rows by number."""
        return {one.seq: one.parts for one in self.commits if one.seq <= seq}

    def record_of(self, commit: Commit, spool: Path) -> str:
        """The position of its commit record, by pg_waldump."""
        for path in sorted(spool.glob("[0-9A-F]" * 24)):
            done = subprocess.run(
                [self.server.program("pg_waldump"), "--rmgr=Transaction", path],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,  # it ends with 1 where the segment does
            )
            for found in _COMMIT.finditer(done.stdout):
                if int(found["xid"]) == commit.xid:
                    return found["lsn"]
        raise AssertionError(f"{commit} is in no segment")


class Writer:
    """A ledger that is written to in the background until it is told to stop."""

    def __init__(self, ledger: Ledger, *, seed: int = 1, switch_every: int = 40) -> None:
        self._ledger = ledger
        self._random = random.Random(seed)
        self._switch_every = switch_every
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> t.Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            written = 0
            while not self._stop.is_set():
                written += len(self._ledger.write(self._random.randint(1, 9)))
                if written >= self._switch_every:
                    self._ledger.server.query("SELECT pg_switch_wal()")
                    written = 0
                self._stop.wait(self._random.random() / 50)
        except BaseException as error:  # noqa: BLE001 - told to the test at the end
            self._error = error


def found_in(query: t.Callable[[str], str]) -> dict[int, int]:
    """What a recovered cluster holds: rows by number. Torn transactions are an error of their own."""
    torn = query(
        "SELECT count(*) FROM (SELECT seq, count(*) AS parts FROM ledger GROUP BY seq) l"
        " FULL JOIN mirror m USING (seq) WHERE l.parts IS DISTINCT FROM m.parts"
    )
    assert torn == "0", "a transaction is there in part"
    rows = query("SELECT seq, parts FROM mirror ORDER BY seq").splitlines()
    return {int(seq): int(parts) for seq, _bar, parts in (row.partition("|") for row in rows)}
