# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL comes back on a fresh host by RESTORE.md alone.

Incremental backups need the ``pg_combinebackup`` of PostgreSQL 17 and later: where the distribution has it, their
commands are run here; where it hasn't, by ``tests/integration/postgresql/test_incremental.py`` with PostgreSQL 18.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from sandbox.postgresql import PostgreSQLServer
from tests.breakglass.conftest import Bucket
from tests.breakglass.fresh_host import FreshHost
from tests.breakglass.guide import script_of

pytestmark = pytest.mark.timeout(1200)
_CONTENT = "SELECT count(*), md5(string_agg(orders::text, ',' ORDER BY id)) FROM orders"
# Debian starts the cluster that its package makes; no service manager runs here.
_START = "pg_ctlcluster $(pg_lsclusters -h | awk '{ print $1 }') main start\n"
# Other ways to the same end.
_OTHER_WAYS = ("createdb -T", "--schema=SCHEMA")


@pytest.fixture(scope="module")
def source() -> t.Iterator[PostgreSQLServer]:
    with PostgreSQLServer(archiving=False, settings={"summarize_wal": "on"} if _has_increments() else None) as server:
        server.query("CREATE ROLE app LOGIN PASSWORD 'p1'")
        server.query("CREATE DATABASE shop OWNER app")
        server.query(
            "CREATE TABLE orders AS SELECT id, md5(id::text) AS text FROM generate_series(1, 3000) AS id",
            database="shop",
        )
        yield server


def _has_increments() -> bool:
    from sandbox.parts import find_postgresql

    directory = find_postgresql()
    return directory is not None and (directory / "pg_combinebackup").exists()


def described(server: PostgreSQLServer) -> dict[str, t.Any]:
    connection = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": "postgres",
        "bin_directory": str(server.bin_directory),
    }
    return {"engine": "postgresql", "connection": connection}


def content(server: PostgreSQLServer) -> str:
    return "|".join(str(value) for value in server.query(_CONTENT, database="shop")[0])


def with_key(bucket: Bucket, guide: str) -> str:
    """The guide with the place of the private key filled in, as it asks for."""
    if bucket.key is None:
        return guide
    assert "/path/to/identity.txt" in guide
    return guide.replace("/path/to/identity.txt", f"/bucket/{Path(bucket.key).name}")


@pytest.mark.parametrize("kind", ["plain", "encrypted"])
def test_logical(host: FreshHost, source: PostgreSQLServer, kind: str, request: pytest.FixtureRequest) -> None:
    bucket: Bucket = request.getfixturevalue("bucket" if kind == "plain" else "encrypted")
    folder = bucket.back_up(described(source), "logical")
    guide = with_key(bucket, bucket.guide(folder))
    owner = "SELECT datdba::regrole FROM pg_database WHERE datname = 'shop'"
    compare = f'psql -XAt -d shop -c "{_CONTENT}"\npsql -XAt -c "{owner}"\n'
    said = host.run(_START + script_of(guide, folder=folder, without=_OTHER_WAYS) + compare, bucket=bucket.repository)
    assert content(source) in said.splitlines()
    assert said.splitlines()[-1] == "app", "roles come back with the globals"


@pytest.mark.parametrize(
    ("kind", "debian"),
    [
        pytest.param("plain", False, id="plain"),
        pytest.param("encrypted", False, id="encrypted"),
        pytest.param("plain", True, id="configuration elsewhere"),
    ],
)
def test_base(
    host: FreshHost, source: PostgreSQLServer, kind: str, debian: bool, request: pytest.FixtureRequest
) -> None:
    bucket: Bucket = request.getfixturevalue("bucket" if kind == "plain" else "encrypted")
    folder = bucket.back_up(described(source), "base")
    guide = with_key(bucket, bucket.guide(folder))
    # The other cluster of the host runs meanwhile: the restored one must keep away from it.
    between = {"[ -e restored/postgresql.conf ]": "rm restored/*.conf"} if debian else {}
    compare = f'psql -XAt -h /tmp -p 5433 -d shop -c "{_CONTENT}"\npsql -XAt -lqt | grep -c shop || true\n'
    script = _START + script_of(guide, folder=folder, between=between) + compare
    said = host.run(script, bucket=bucket.repository).splitlines()
    assert content(source) in said
    assert said[-1] == "0", "the other cluster of the host is as it was"


@pytest.mark.skipif(not _has_increments(), reason="the distribution's PostgreSQL is older than 17: no pg_combinebackup")
def test_incremental(host: FreshHost, source: PostgreSQLServer, bucket: Bucket) -> None:
    full = bucket.back_up(described(source), "base")
    source.query("UPDATE orders SET text = 'changed' WHERE id < 10", database="shop")
    folder = bucket.back_up(described(source), "incremental")
    unpack = script_of(bucket.guide(full), folder=full, without=("pg_ctl", "restored/postgresql.conf"))
    # Each RESTORE.md is followed in a shell of its own, as far as it is needed.
    script = f"bash <<'END_OF_FULL'\n{unpack}END_OF_FULL\n{script_of(bucket.guide(folder), folder=folder)}"
    said = host.run(script + f'psql -XAt -h /tmp -p 5433 -d shop -c "{_CONTENT}"\n', bucket=bucket.repository)
    assert content(source) in said.splitlines()
