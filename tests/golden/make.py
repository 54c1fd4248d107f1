# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the golden repository of the present format: small backups of every kind, committed once and never made again.

    PYTHONPATH=.collections python -m tests.golden.make

Run it when a new format version is introduced, before anything else is changed; the folders of older formats stay as
they are. It refuses to replace a folder that is there. What is in the backups is said in ``expected.json`` beside them;
tests/integration/test_golden.py lists, verifies and restores all of them in every run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest_schema import FORMAT_VERSION
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.version import VERSION
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import run_backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    BackupRequest,
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.kinds import KINDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transforms,
)
from sandbox.mongodb import MongoReplicaSet
from sandbox.postgresql import PostgreSQLServer
from sandbox.redis import RedisServer
from tests.golden.places import EXPECTED, FOLDER, KEY, REPOSITORY, SERVICE, format_folder
from tests.integration.redis.servers import program

_SQL = """
CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, born date);
INSERT INTO people SELECT n, 'person ' || n, date '1970-01-01' + n FROM generate_series(1, 200) n;
CREATE INDEX people_by_name ON people (name);
CREATE TABLE orders (id int PRIMARY KEY, person int REFERENCES people, price numeric);
INSERT INTO orders SELECT n, n % 200 + 1, n / 4.0 FROM generate_series(1, 300) n;
CREATE VIEW totals AS SELECT person, sum(price) FROM orders GROUP BY person;
CREATE ROLE seller NOLOGIN;
GRANT SELECT ON people TO seller;
"""


class Maker:
    """Backs sources up into one repository, and notes what is in each backup."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.expected: dict[str, t.Any] = {}
        self._state = Path(tempfile.mkdtemp(prefix="lifeboat-golden-"))

    def back_up(self, engine: str, kind: str, source: str, options: dict[str, t.Any], **found: t.Any) -> None:
        """*found* is what a restored copy must answer."""
        recipient = (FOLDER / KEY).read_text(encoding="utf-8").split("public key: ")[1].split()[0]
        encryption = Encryption(recipients=(recipient,)) if source == "encrypted" else None
        result = run_backup(
            BackupRequest(
                series=Series(service=SERVICE, source=source, kind=kind),
                engine=engine,
                repositories=(
                    RepositoryRequest(
                        "golden", {"type": "file", "path": str(self.folder / REPOSITORY), "create": True}
                    ),
                ),
                make_producer=KINDS[engine, kind].factory(options),
                transforms=Transforms(compression=Compression(level=19, threads=1), encryption=encryption),
                state_directory=str(self._state),
            ),
            host=Host(name="golden"),
        )
        manifest = result.manifest
        self.expected[manifest.backup_id] = {"engine": engine, "kind": kind, "source": source, **found}

    def finish(self) -> None:
        """Write what is expected."""
        document = {"lifeboat_version": VERSION, "backups": self.expected}
        path = self.folder / EXPECTED
        path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        shutil.rmtree(self._state)


def _mongodb(maker: Maker) -> None:
    with MongoReplicaSet() as servers, servers.client() as client:
        shop = client.shop
        shop.people.insert_many({"_id": number, "name": f"person {number}"} for number in range(200))
        shop.people.create_index("name", name="by name")
        shop.create_collection("german", collation={"locale": "de"}, validator={"name": {"$exists": True}})
        shop.german.insert_one({"_id": 1, "name": "Ärger"})
        shop.create_collection("measures", timeseries={"timeField": "at"})
        shop.command("create", "adults", viewOn="people", pipeline=[{"$match": {"_id": {"$gt": 17}}}])
        options = {"connection": {"uri": servers.uri}, "database": "shop"}
        counts = {"people": 200, "german": 1}
        maker.back_up("mongodb", "full", "mongodb", options, documents=counts, indexes=["_id_", "by name"])


def _postgresql(maker: Maker) -> None:
    with PostgreSQLServer(archiving=False) as server:
        connection = {"host": "127.0.0.1", "port": server.port, "user": "postgres"}
        connection["bin_directory"] = str(server.bin_directory)
        server.query("CREATE DATABASE shop")
        _psql(server, _SQL, database="shop")
        counts = {"people": 200, "orders": 300}
        options = {"connection": connection, "databases": ["shop"]}
        maker.back_up("postgresql", "logical", "logical", options, rows=counts, major=server.version)
    with PostgreSQLServer(archiving=False) as server:
        connection = {"host": "127.0.0.1", "port": server.port, "user": "postgres", "database": "postgres"}
        connection["bin_directory"] = str(server.bin_directory)
        _psql(server, _SQL, database="postgres")
        # It is the same as template1, and would only make the fixture larger.
        _psql(server, "UPDATE pg_database SET datistemplate = false WHERE datname = 'template0'", database="postgres")
        _psql(server, "DROP DATABASE template0", database="postgres")
        maker.back_up("postgresql", "base", "base", {"connection": connection}, rows=counts, major=server.version)


def _psql(server: PostgreSQLServer, script: str, *, database: str) -> None:
    arguments = ["-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
    for statement in script.split(";"):
        command = [str(server.bin_directory / "psql"), *arguments, "-d", database, "-c", statement]
        subprocess.run(command, check=True, timeout=60)


def _redis(maker: Maker) -> None:
    folder = Path(tempfile.mkdtemp(prefix="lifeboat-golden-"))
    server = RedisServer(directory=folder / "redis", program=program("redis"), append_only=True)
    try:
        server.start()
        with server.client() as client:
            for number in range(100):
                client.set(f"text:{number}", f"value {number}")
            client.rpush("list", *range(50))
            client.hset("hash", mapping={f"field{number}": number for number in range(50)})
            client.zadd("sorted", {f"member{number}": number for number in range(50)})
            client.xadd("stream", {"field": "value"})
            client.bgrewriteaof()
            keys = client.dbsize()
        options = {"connection": {"host": "127.0.0.1", "port": server.port}}
        maker.back_up("redis", "rdb", "redis", options, keys=keys)
        maker.back_up("redis", "aof", "redis", options, keys=keys)
        maker.back_up("redis", "rdb", "encrypted", options, keys=keys)
    finally:
        server.discard()
        shutil.rmtree(folder)


def main() -> None:
    """Make it, and say how large it is."""
    folder = format_folder(FORMAT_VERSION)
    if folder.exists():
        raise SystemExit(f"{folder} is there already, and golden repositories are never made again.")
    key = FOLDER / KEY
    if not key.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
        key.chmod(0o644)
    maker = Maker(folder)
    for make in (_mongodb, _postgresql, _redis):
        make(maker)
    maker.finish()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            print(f"{path.stat().st_size:9} {path.relative_to(folder)}")


if __name__ == "__main__":
    main()
