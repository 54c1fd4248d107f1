# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts and dump are of one moment, whatever is written meanwhile; and nothing of it is left on the server."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    PostgresConnectionLost,
    PostgresLockTimeout,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.session import Session
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.folder_sink import FolderSink
from tests.integration.postgresql.load import SCRIPT, TOTAL, load
from tests.integration.postgresql.rig import client_environment, commands_of, database, logical_producer, psql, shell

NAME = "loaded"


def leftovers(server: PostgreSQLServer) -> list[tuple[str, str]]:
    """Sessions that a backup left on the server, which needs a moment to see that their client is gone."""
    query = "SELECT application_name, state FROM pg_stat_activity WHERE application_name LIKE 'lifeboat%'"
    deadline = time.monotonic() + 5
    while (rows := server.query(query)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [(str(name), str(state)) for name, state in rows]


@pytest.mark.parametrize("form", ["custom", "directory"])
def test_counts_are_exactly_what_is_restored_under_load(server: PostgreSQLServer, form: str, tmp_path: Path) -> None:
    options = {"format": form, "jobs": 2, "scratch_directory": str(tmp_path)} if form == "directory" else {}
    with database(server, NAME, script=SCRIPT), database(server, "restored"):
        seen = set()
        for attempt in range(3):
            producer, _journal = logical_producer(server, databases=[NAME], globals=False, **options)
            with load(server, NAME) as loads:
                sink = FolderSink(tmp_path / f"backup-{attempt}")
                production = producer.produce(sink=sink, progress=sink.progress)
            assert all(one.commits > 10 for one in loads), "the load did run"
            (entry,) = production.content["databases"]
            recorded = {table: found["rows"] for table, found in entry["tables"].items()}
            psql(server, "DROP SCHEMA public CASCADE; CREATE SCHEMA public", database="restored")
            folder = tmp_path / f"work-{attempt}"
            folder.mkdir()
            shell(commands_of(production, sink)[1], directory=folder, environment=client_environment(server))
            dump = f"{entry['payload']}" if form == "custom" else f"{NAME}.directory/dump"
            shell(
                f"pg_restore --clean --if-exists -d restored {dump}",
                directory=folder,
                environment=client_environment(server),
            )
            restored = {
                table: int(psql(server, f"SELECT count(*) FROM {table}", database="restored")) for table in recorded
            }
            assert restored == recorded
            assert restored["public.events"] == restored["public.mirrored_events"]
            assert int(psql(server, "SELECT sum(balance) FROM accounts", database="restored")) == TOTAL
            seen.add(recorded["public.events"])
        assert len(seen) > 1, "runs see moments of their own"
    assert leftovers(server) == []


def test_a_session_limit_of_the_role_does_not_end_the_snapshot(
    distribution_server: PostgreSQLServer, tmp_path: Path
) -> None:
    with database(distribution_server, NAME, script=SCRIPT):
        distribution_server.query(f"ALTER DATABASE {NAME} SET idle_in_transaction_session_timeout = '50ms'")
        distribution_server.query(f"ALTER DATABASE {NAME} SET statement_timeout = '50ms'")
        producer, _journal = logical_producer(distribution_server, databases=[NAME], globals=False)

        def slow(_payload: str) -> None:
            time.sleep(0.3)

        sink = FolderSink(tmp_path, on_data=slow)
        (entry,) = producer.produce(sink=sink, progress=sink.progress).content["databases"]
        assert entry["tables"]["public.accounts"]["rows"] == 200


def test_a_locked_table_is_a_named_error_and_not_an_endless_wait(server: PostgreSQLServer, tmp_path: Path) -> None:
    with database(server, NAME, script=SCRIPT):
        blocker = server.connect(NAME)
        blocker.autocommit = False
        with blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        producer, _journal = logical_producer(server, databases=[NAME], globals=False, lock_wait_timeout=1)
        sink = FolderSink(tmp_path)
        with pytest.raises(PostgresLockTimeout) as caught:
            producer.produce(sink=sink, progress=sink.progress)
        blocker.close()
        assert "public.events" in caught.value.message
        assert "lock_wait_timeout" in caught.value.hint
        assert list(tmp_path.iterdir()) == []
        assert leftovers(server) == []


# Enough that hardly compresses, so that the server is far from done when the first stored bytes come.
_LARGE = """
CREATE TABLE a_large AS
    SELECT (SELECT string_agg(md5((n * 40 + k)::text), '') FROM generate_series(1, 40) k)
      FROM generate_series(1, 40000) n;
"""


def test_a_dump_whose_server_process_is_ended_is_a_named_error(server: PostgreSQLServer, tmp_path: Path) -> None:
    with database(server, NAME, script=SCRIPT + _LARGE):
        producer, _journal = logical_producer(server, databases=[NAME], globals=False)

        ended: list[t.Any] = []

        def terminate(_payload: str) -> None:
            if not ended:
                ended.extend(
                    server.query(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY %%'", []
                    )
                )

        sink = FolderSink(tmp_path, on_data=terminate)
        with pytest.raises(PostgresConnectionLost):
            producer.produce(sink=sink, progress=sink.progress)
        assert ended == [(True,)]
        assert list(tmp_path.iterdir()) == []
        assert leftovers(server) == []


class DiskFull(Exception):
    """Stands for a repository that can't take the payload."""


def test_a_failing_repository_leaves_nothing_running(server: PostgreSQLServer, tmp_path: Path) -> None:
    with database(server, NAME, script=SCRIPT):
        producer, _journal = logical_producer(server, databases=[NAME], globals=False)

        def fail(_payload: str) -> None:
            raise DiskFull

        sink = FolderSink(tmp_path, on_data=fail)
        with pytest.raises(DiskFull):
            producer.produce(sink=sink, progress=sink.progress)
        # The server notices the end of its clients a moment later.
        for _attempt in range(50):
            if not leftovers(server):
                break
            server.query("SELECT pg_sleep(0.1)")
        assert leftovers(server) == []
        server.query(f"ALTER DATABASE {NAME} RENAME TO other")  # needs that nobody is connected
        server.query(f"ALTER DATABASE other RENAME TO {NAME}")


def test_counting_that_fails_fails_the_backup(
    distribution_server: PostgreSQLServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump without the counts that were asked for would look verified and could not be."""
    with database(distribution_server, NAME, script=SCRIPT):
        # A fault that is injected: the server fails to count.
        _with_counting(monkeypatch, "SELECT 1 / 0")
        producer, _journal = logical_producer(distribution_server, databases=[NAME], globals=False)
        sink = FolderSink(tmp_path)
        with pytest.raises(LifeboatError, match="division by zero"):
            producer.produce(sink=sink, progress=sink.progress)
        assert leftovers(distribution_server) == []


def test_a_failed_dump_does_not_wait_for_a_slow_count(
    distribution_server: PostgreSQLServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database(distribution_server, NAME, script=SCRIPT):
        # A fault that is injected: counting takes a minute.
        _with_counting(monkeypatch, "SELECT pg_sleep(60)")
        producer, _journal = logical_producer(distribution_server, databases=[NAME], globals=False)

        def fail(_payload: str) -> None:
            raise DiskFull

        sink = FolderSink(tmp_path, on_data=fail)
        started = time.monotonic()
        with pytest.raises(DiskFull):
            producer.produce(sink=sink, progress=sink.progress)
        assert time.monotonic() - started < 10
        distribution_server.query("SELECT pg_sleep(0.5)")
        assert leftovers(distribution_server) == []


def _with_counting(monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    genuine = Session.value

    def value(self: Session, asked: str, parameters: t.Any = None) -> t.Any:
        return genuine(self, statement if asked.startswith("SELECT count(*) FROM ONLY") else asked, parameters)

    monkeypatch.setattr(Session, "value", value)
