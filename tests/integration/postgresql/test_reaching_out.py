# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a logical dump acts on nothing outside: what subscribes, fires or logs in elsewhere stays out of it."""

from __future__ import annotations

import contextlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import QuestionFailed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verifiers import postgresql_logical
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import question_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.scratch import scratch_instance
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.verifier import (
    Instance,
    VerifierContext,
)
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.logical_restoring import LogicalRestoring
from tests.integration.postgresql.physical import MIB, Physical, physical
from tests.integration.postgresql.rig import SECRET, database, psql

NAME, COPY = "reaching", "reaching_recovery"
FAR = "a-password-of-another-server"

# The subscription is off, or the source would subscribe to itself; a dump switches it off, too, and still makes it.
_SCRIPT = """
CREATE TABLE words (word text PRIMARY KEY);
INSERT INTO words VALUES ('one'), ('two');
CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY outside, 'fired'; END $$;
CREATE EVENT TRIGGER outside ON ddl_command_end EXECUTE FUNCTION tell();
CREATE SUBSCRIPTION mirrored CONNECTION 'host=db2.example.org password={far}' PUBLICATION everything
    WITH (connect = false, enabled = false, slot_name = NONE);
CREATE EXTENSION postgres_fdw;
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname '{name}');
CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'postgres', password '{secret}');
CREATE FOREIGN TABLE there (word text) SERVER far OPTIONS (table_name 'words');
CREATE MATERIALIZED VIEW fetched AS SELECT word FROM there;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS words FROM words;
"""
_OUTSIDE = {
    "subscriptions": "SELECT count(*) FROM pg_subscription",
    "event triggers": "SELECT count(*) FROM pg_event_trigger",
    "accounts elsewhere": "SELECT count(*) FROM pg_user_mappings",
}


@pytest.fixture
def made(distribution_server: PostgreSQLServer) -> t.Iterator[tuple[Physical, str]]:
    """A backup of a database that has all of it."""
    server = distribution_server
    script = _SCRIPT.format(far=FAR, port=server.port, name=NAME, secret=SECRET)
    with physical(server) as rig, contextlib.ExitStack() as stack:
        stack.enter_context(database(server, NAME, script=script))
        stack.callback(server.query, f"DROP DATABASE IF EXISTS {COPY} WITH (FORCE)")
        # A database with a subscription can't be dropped.
        stack.callback(psql, server, "DROP SUBSCRIPTION mirrored", database=NAME)
        yield rig, rig.backup("logical", databases=[NAME])


@contextlib.contextmanager
def alive(rig: Physical, backup_id: str) -> t.Iterator[Instance]:
    """Level 3."""
    source = rig.source(backup_id)
    options = {"bin_directory": str(rig.server.bin_directory)}
    verifier = postgresql_logical.logical(options)(VerifierContext(manifest=source.manifest, host=rig.host))
    verifier.inspect(level=4)
    place = str(rig.folder / "scratch")
    with (
        scratch_instance(place, memory_limit=256 * MIB, journal=rig.journal) as scratch,
        verifier.scratch(source=source, scratch=scratch, progress=rig.progress()) as instance,
    ):
        yield instance


def test_a_scratch_copy_neither_subscribes_nor_fires_nor_knows_accounts_elsewhere(made: tuple[Physical, str]) -> None:
    rig, backup_id = made
    for statement in _OUTSIDE.values():
        assert psql(rig.server, statement, database=NAME).strip() == "1", "the source has one"
    with alive(rig, backup_id) as instance:

        def ask(sql: str) -> t.Any:
            return instance.ask(question_from({"name": "it", "database": NAME, "sql": sql, "min": 0}))

        assert {name: ask(sql) for name, sql in _OUTSIDE.items()} == dict.fromkeys(_OUTSIDE, 0)
        for setting, value in (
            ("archive_mode", "off"),
            ("listen_addresses", ""),
            ("max_wal_senders", "0"),
            ("max_logical_replication_workers", "0"),
            ("shared_preload_libraries", ""),
            ("session_preload_libraries", ""),
        ):
            assert ask(f"SELECT current_setting('{setting}')") == value, setting
        assert ask("SELECT count(*) FROM words") == 2
        assert ask("SELECT words FROM counted") == 2
        assert ask("SELECT relispopulated FROM pg_class WHERE relname = 'fetched'") is False, "it would fetch"
        assert {check.name: check.state for check in instance.compare()}[f"rows of {NAME}"] == "passed"
    assert list((rig.folder / "scratch").iterdir()) == []


def test_a_question_that_wants_all_memory_is_an_error_and_the_scratch_copy_lives_on(
    made: tuple[Physical, str],
) -> None:
    rig, backup_id = made
    with alive(rig, backup_id) as instance:
        # 1 GiB and twice the limit of 256 MiB for each process; work_mem does not hold an aggregate that grows.
        greedy = "SELECT length(array_agg(repeat('x', 1000000))::text) FROM generate_series(1, 3000)"
        with pytest.raises(QuestionFailed, match="out of memory"):
            instance.ask(question_from({"name": "it", "database": NAME, "sql": greedy, "min": 0}))
        modest = "SELECT count(*) FROM words"
        assert instance.ask(question_from({"name": "it", "database": NAME, "sql": modest, "min": 0})) == 2


def test_a_copy_beside_production_does_not_subscribe(made: tuple[Physical, str]) -> None:
    rig, backup_id = made
    restoring = LogicalRestoring.of(rig, backup_id, database=NAME)
    assert "Not restored: subscription (1)." in restoring.inspect().warnings
    restoration = restoring.run()
    assert restoration.content["left_out"] == ["subscription (1)"]
    theirs = "SELECT count(*) FROM pg_subscription JOIN pg_database d ON d.oid = subdbid WHERE datname = '{}'"
    assert psql(rig.server, theirs.format(COPY)).strip() == "0"
    assert psql(rig.server, theirs.format(NAME)).strip() == "1"
    # What fires inside belongs to the database, and comes with it.
    assert psql(rig.server, _OUTSIDE["event triggers"], database=COPY).strip() == "1"
    assert psql(rig.server, "SELECT count(*) FROM fetched", database=COPY).strip() == "2"


def test_no_password_of_another_server_is_in_what_is_never_encrypted(made: tuple[Physical, str]) -> None:
    """The dump has it, as all of pg_dump do; manifest and RESTORE.md must not."""
    rig, backup_id = made
    folder = rig.repository / "shop" / "main" / "logical" / backup_id
    for name in ("manifest.json", "RESTORE.md", "started.json"):
        text = (folder / name).read_text(encoding="utf-8")
        assert FAR not in text, name
        assert SECRET not in text, name
