# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A load whose every transaction keeps an invariant, so that a snapshot that is none gives itself away."""

from __future__ import annotations

import contextlib
import random
import threading
import typing as t

from sandbox.postgresql import PostgreSQLServer

ACCOUNTS = 200
TOTAL = ACCOUNTS * 1000
SCRIPT = f"""
CREATE TABLE accounts (id integer PRIMARY KEY, balance integer NOT NULL);
INSERT INTO accounts SELECT n, 1000 FROM generate_series(1, {ACCOUNTS}) n;
CREATE TABLE events (id bigserial PRIMARY KEY, note text);
CREATE TABLE mirrored_events (id bigint PRIMARY KEY);
INSERT INTO events (note) SELECT repeat('x', 500) FROM generate_series(1, 20000);
INSERT INTO mirrored_events SELECT id FROM events;
"""
# Every transaction moves money, and writes or removes an event in two tables at once.
_MOVE = "UPDATE accounts SET balance = balance + %s WHERE id = %s"
_GROW = (
    "WITH e AS (INSERT INTO events (note) SELECT 'new' FROM generate_series(1, 5) RETURNING id)"
    " INSERT INTO mirrored_events SELECT id FROM e"
)
_SHRINK = (
    "WITH e AS (DELETE FROM events WHERE id IN"
    " (SELECT id FROM events ORDER BY id LIMIT 7 FOR UPDATE SKIP LOCKED) RETURNING id)"
    " DELETE FROM mirrored_events USING e WHERE mirrored_events.id = e.id"
)


class Load:
    """Runs until it is told to stop; *commits* counts what was acknowledged."""

    def __init__(self, server: PostgreSQLServer, database: str, *, seed: int) -> None:
        self.commits = 0
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._random = random.Random(seed)
        self._connection = server.connect(database)
        self._connection.autocommit = False
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with self._connection.cursor() as cursor:
                while not self._stop.is_set():
                    one, other = sorted(self._random.sample(range(1, ACCOUNTS + 1), 2))
                    amount = self._random.randint(-50, 50)
                    cursor.execute(_MOVE, [amount, one])
                    cursor.execute(self._random.choice([_GROW, _SHRINK]))
                    cursor.execute(_MOVE, [-amount, other])
                    self._connection.commit()
                    self.commits += 1
        except BaseException as error:  # noqa: BLE001 - told to the test by stop()
            self._error = error

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()
        if self._error is not None:
            raise self._error


@contextlib.contextmanager
def load(server: PostgreSQLServer, database: str, *, writers: int = 2) -> t.Iterator[list[Load]]:
    loads = [Load(server, database, seed=seed) for seed in range(writers)]
    for one in loads:
        one.start()
    try:
        yield loads
    finally:
        for one in loads:
            one.stop()
