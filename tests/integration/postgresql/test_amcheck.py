# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""amcheck finds damaged tables and indexes that lie, leaves nothing behind, and says when it is not there."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.amcheck import check_relations
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import Check
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql import sample
from tests.integration.postgresql.rig import RUNNER, SECRET, connection_to, database, psql

NAME = "to_check"
# The index was built by what the function said before.
_LYING_INDEX = """
CREATE FUNCTION key(integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE TABLE lied_about AS SELECT n FROM generate_series(1, 50) n;
CREATE INDEX lie ON lied_about (key(n));
CREATE OR REPLACE FUNCTION key(integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1000';
"""


@pytest.fixture(scope="module")
def unprotected() -> t.Iterator[PostgreSQLServer]:
    """Without page checksums, which would find the damage before amcheck does."""
    with PostgreSQLServer(password=SECRET, checksums=False) as server:
        yield server


def check(server: PostgreSQLServer) -> Check:
    (found,) = check_relations(connection=connection_to(server), runner=RUNNER, databases=[NAME])
    return found


def test_a_sound_database_passes_and_stays_as_it_was(distribution_server: PostgreSQLServer) -> None:
    with database(distribution_server, NAME, script=sample.script(NAME)):
        psql(
            distribution_server,
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
            "CREATE EVENT TRIGGER refuse ON ddl_command_start EXECUTE FUNCTION refuse();",
            database=NAME,
        )
        found = check(distribution_server)
        left = psql(distribution_server, "SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'", database=NAME)
    assert (found.state, left.strip()) == ("passed", "0"), found.message
    assert found.found["tables"] > 60
    assert found.found["indexes"] > 100


def test_an_index_that_lies_is_found(distribution_server: PostgreSQLServer) -> None:
    with database(distribution_server, NAME, script=_LYING_INDEX):
        found = check(distribution_server)
    assert found.state == "failed"
    assert "lie: " in found.message
    assert "lacks matching index tuple" in found.message


def test_a_damaged_table_is_found(unprotected: PostgreSQLServer) -> None:
    script = "CREATE TABLE damaged AS SELECT n, repeat('x', 50) FROM generate_series(1, 500) n; CHECKPOINT;"
    with database(unprotected, NAME, script=script):
        relative = psql(unprotected, "SELECT pg_relation_filepath('damaged')", database=NAME).strip()
        unprotected.stop()
        _damage(unprotected.data_directory / relative)
        unprotected.start()
        found = check(unprotected)
    assert found.state == "failed"
    assert "damaged: block 0: " in found.message


def test_without_the_extension_the_check_is_skipped(server_18: PostgreSQLServer) -> None:
    with database(server_18, NAME):
        found = check(server_18)
    assert found.state == "skipped"
    assert "does not have the extension" in found.message


def _damage(path: Path) -> None:
    """The header of the last tuple of the first page says that its data begins somewhere else."""
    with path.open("r+b") as file:
        page = file.read(8192)
        first = int.from_bytes(page[24:28], "little") & 0x7FFF  # the first line pointer's offset
        file.seek(first + 22)  # t_hoff of the tuple header
        file.write(b"\x07")
        file.flush()
        os.fsync(file.fileno())
