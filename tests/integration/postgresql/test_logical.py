# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logical dumps restore with stock tools, word by word as RESTORE.md says, into exactly what was there."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql import sample
from tests.integration.postgresql.folder_sink import FolderSink
from tests.integration.postgresql.rig import (
    SECRET,
    client_environment,
    commands_of,
    database,
    logical_producer,
    plain_dump,
    psql,
    shell,
)

NAME = "mcp adhd=1"  # as an argument pg_dump would take it for a connection string


@pytest.fixture
def filled(server: PostgreSQLServer) -> t.Iterator[str]:
    with database(server, NAME, script=sample.script(NAME)):
        yield NAME


def counts_in(server: PostgreSQLServer, name: str) -> dict[str, int]:
    return {table: int(psql(server, f"SELECT count(*) FROM ONLY {table}", database=name)) for table in sample.ROWS}


@pytest.mark.parametrize("form", ["custom", "directory"])
def test_a_dump_restores_into_what_was_there(server: PostgreSQLServer, filled: str, form: str, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    options = {"format": "directory", "jobs": 2, "scratch_directory": str(scratch)} if form == "directory" else {}
    producer, _journal = logical_producer(server, databases=[filled], globals=False, **options)
    sink = FolderSink(tmp_path / "backup")
    production = producer.produce(sink=sink, progress=sink.progress)
    before = plain_dump(server, filled)
    (content,) = production.content["databases"]
    assert {table: entry["rows"] for table, entry in content["tables"].items()} == sample.ROWS
    assert content["rows"] == sum(sample.ROWS.values())

    server.query(f'DROP DATABASE "{filled}"')
    commands = commands_of(production, sink)
    # fetch; restore with --create; the other ways are for other days
    for command in commands[1:3]:
        shell(command, directory=tmp_path, environment=client_environment(server))
    assert plain_dump(server, filled) == before
    assert counts_in(server, filled) == sample.ROWS
    assert psql(server, "SHOW work_mem", database=filled).strip() == "7MB"
    assert list(scratch.iterdir()) == []


def test_one_table_and_a_copy_beside_the_old_database(server: PostgreSQLServer, filled: str, tmp_path: Path) -> None:
    producer, _journal = logical_producer(server, databases=[filled], globals=False)
    sink = FolderSink(tmp_path / "backup")
    production = producer.produce(sink=sink, progress=sink.progress)
    _exports, fetch, _whole, create, beside, table = commands_of(production, sink)
    environment = client_environment(server)
    shell(fetch, directory=tmp_path, environment=environment)
    try:
        shell(create, directory=tmp_path, environment=environment)
        shell(beside, directory=tmp_path, environment=environment)
        assert counts_in(server, "restored") == sample.ROWS
    finally:
        server.query("DROP DATABASE IF EXISTS restored")
    psql(server, "DROP TABLE wide", database=filled)
    one = table.replace("SCHEMA", "public").replace("TABLE", "wide")
    shell(one, directory=tmp_path, environment=environment)
    assert counts_in(server, filled) == sample.ROWS


@pytest.mark.slow
def test_a_whole_cluster_comes_back_on_a_new_one(tmp_path: Path) -> None:
    with PostgreSQLServer(password=SECRET) as old, PostgreSQLServer(password=SECRET) as new:
        psql(old, "CREATE ROLE app LOGIN PASSWORD 'p1'; CREATE ROLE readers NOLOGIN; GRANT readers TO app;")
        psql(old, f'CREATE DATABASE "{NAME}" OWNER app')
        psql(old, sample.script(NAME), database=NAME)
        psql(old, "CREATE TABLE left_here (id integer); INSERT INTO left_here VALUES (1)")
        producer, journal = logical_producer(old)
        inspection = producer.inspect()
        sink = FolderSink(tmp_path / "backup")
        production = producer.produce(sink=sink, progress=sink.progress)

        assert [entry["name"] for entry in production.content["databases"]] == [NAME, "postgres"]
        assert production.content["globals"] == {"payload": "globals.sql", "role_passwords": True}
        assert journal.warnings == production.content["warnings"] == []
        assert len(inspection.steps) == 3
        # In the order of the page: globals, then each database (fetch, restore), without the alternatives.
        skipped = (
            "export ",
            "createdb ",
            "pg_restore --exit-on-error -d restored",
            "pg_restore --exit-on-error --schema",
        )
        for command in commands_of(production, sink):
            if not command.startswith(skipped):
                shell(command, directory=tmp_path, environment=client_environment(new))
        for name in (NAME, "postgres"):
            assert plain_dump(new, name) == plain_dump(old, name)
        roles = "SELECT rolname, rolcanlogin, rolpassword FROM pg_authid WHERE rolname IN ('app', 'readers') ORDER BY 1"
        assert new.query(roles) == old.query(roles)
        assert new.query("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [NAME]) == [("app",)]


def test_template1_is_dumped_once_somebody_put_something_there(tmp_path: Path) -> None:
    with PostgreSQLServer(password=SECRET) as server:
        producer, _journal = logical_producer(server)
        names = [step for step in producer.inspect().steps if "template1" in step]
        assert names == []
        psql(server, "CREATE TABLE in_every_new_database (id integer)", database="template1")
        sink = FolderSink(tmp_path / "backup")
        production = producer.produce(sink=sink, progress=sink.progress)
        assert [entry["name"] for entry in production.content["databases"]] == ["postgres", "template1"]


def test_the_facts_of_the_cluster_are_recorded(server: PostgreSQLServer, filled: str, tmp_path: Path) -> None:
    producer, _journal = logical_producer(server, databases=[filled])
    before = server.query("SELECT pg_current_wal_lsn(), clock_timestamp()")[0]
    sink = FolderSink(tmp_path / "backup")
    content = producer.produce(sink=sink, progress=sink.progress).content
    assert content["server_version_number"] // 10000 == server.version
    assert content["system_identifier"] == str(server.query("SELECT system_identifier FROM pg_control_system()")[0][0])
    assert content["timeline"] == 1
    assert content["tool"]["version"].startswith(str(server.version))
    (entry,) = content["databases"]
    assert server.query("SELECT %s::pg_lsn >= %s::pg_lsn", [entry["snapshot_lsn"], before[0]]) == [(True,)]
    assert entry["encoding"] == "UTF8"
    assert [extension["name"] for extension in entry["extensions"]] == ["plpgsql"]


@pytest.mark.parametrize(
    "selection",
    [
        {"include_schemas": "app"},
        {"exclude_schemas": ["app", "Odd*"]},
        {"exclude_schemas": ['"Odd Schema"']},
        {"include_tables": ["app.u*", "wide"]},
        {"include_tables": ["APP.tasks*"]},
        {"include_tables": ["?a*"]},
        {"include_tables": ["(parent|child)"], "exclude_tables": ["public.child"]},
        {"exclude_tables": ['"Odd Schema".*', "app.tasks_202?"]},
        {"exclude_tables": ["users"]},  # not on the search path, so nothing is left out
        {"exclude_table_data": ["wide", "app.*"]},
    ],
)
def test_what_is_counted_is_what_is_dumped(
    distribution_server: PostgreSQLServer, selection: dict[str, t.Any], tmp_path: Path
) -> None:
    """The oracle is pg_restore: the dump's own list of tables with data."""
    with database(distribution_server, NAME, script=sample.script(NAME)):
        producer, _journal = logical_producer(distribution_server, databases=[NAME], globals=False, **selection)
        sink = FolderSink(tmp_path / "backup")
        (entry,) = producer.produce(sink=sink, progress=sink.progress).content["databases"]
    listing = shell(
        f"{sink.fetch(entry['payload'])} > dump && pg_restore --list dump",
        directory=tmp_path,
        environment=client_environment(distribution_server),
    )
    dumped = {
        tuple(line.split(" TABLE DATA ")[1].rsplit(" ", 1)[0].split(" ", 1))
        for line in listing.splitlines()
        if " TABLE DATA " in line
    }
    # The list writes "Odd Schema täble ..." without quotes; only that one has a space in its schema.
    counted = {
        ("Odd", 'Schema täble "q" x') if table.startswith('"Odd') else tuple(table.split("."))
        for table in entry["tables"]
    }
    assert counted == dumped
    assert counted, "the selection chose something"


def test_without_counts_nothing_is_counted(distribution_server: PostgreSQLServer, tmp_path: Path) -> None:
    producer, _journal = logical_producer(distribution_server, databases=["postgres"], globals=False, row_counts="none")
    sink = FolderSink(tmp_path / "backup")
    (entry,) = producer.produce(sink=sink, progress=sink.progress).content["databases"]
    assert entry["tables"] is None
    assert entry["rows"] is None
