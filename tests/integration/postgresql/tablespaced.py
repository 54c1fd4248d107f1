# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with two tablespaces that hold a table, an index and a database, and what must be there after a restore."""

from __future__ import annotations

import contextlib
import shutil
import typing as t
from pathlib import Path

from sandbox.postgresql import PostgreSQLServer, operating_system_user
from tests.support.waiting import wait_for

NAME = "spaced"
NAMES = ("fast", "bulk disk")
ROWS = 20000
QUESTION = "SELECT count(*) || ' ' || sum(n) || ' ' || max(length(t)) FROM wide"
ANSWER = f"{ROWS} {ROWS * (ROWS + 1) // 2} 300"


def owned(folder: Path) -> Path:
    """A new folder of the servers' user."""
    folder.mkdir()
    user = operating_system_user()
    if user is not None:
        shutil.chown(folder, user, user)
    return folder


@contextlib.contextmanager
def tablespaces(server: PostgreSQLServer) -> t.Iterator[dict[str, Path]]:
    """Their folders by name. The table ``wide`` is in one, its index in the other; so is the database's catalog."""
    home = owned(server.directory / "spaces")
    places = {name: owned(home / name) for name in NAMES}
    try:
        # Tests look whether anybody touches the source's files: its own housekeeping is not to be taken for that.
        _set(server, "ALTER SYSTEM SET autovacuum = off")
        for name, place in places.items():
            server.query(f"CREATE TABLESPACE \"{name}\" LOCATION '{place}'")
        server.query(f'CREATE DATABASE {NAME} TABLESPACE "bulk disk"')
        for statement in (
            f"CREATE TABLE wide TABLESPACE fast AS SELECT n, repeat('x', 300) AS t FROM generate_series(1, {ROWS}) n",
            'CREATE UNIQUE INDEX wide_n ON wide (n) TABLESPACE "bulk disk"',
            "CREATE TABLE plain TABLESPACE pg_default AS SELECT 1 AS one",
        ):
            server.query(statement, database=NAME)
        yield places
    finally:
        server.query(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        for name in NAMES:
            server.query(f'DROP TABLESPACE IF EXISTS "{name}"')
        _set(server, "ALTER SYSTEM RESET autovacuum")
        shutil.rmtree(home)


def _set(server: PostgreSQLServer, statement: str) -> None:
    server.query(statement)
    server.query("SELECT pg_reload_conf()")
    workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'"
    wait_for(lambda: server.query(workers) == [(0,)], what="the end of autovacuum's workers")
