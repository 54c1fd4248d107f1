# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set of three real servers and files: made, proved by what each source asks, and brought back by its own plan."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import subprocess
import tempfile
import typing as t

import pytest

from sandbox.mongodb import MongoReplicaSet
from sandbox.parts import find_mongod
from sandbox.postgresql import PostgreSQLServer, operating_system_user
from sandbox.redis import RedisServer
from tests.support.command_line import CommandLine, describe

Json = dict[str, t.Any]
JOB = "shop/system/system"


@dataclasses.dataclass(frozen=True)
class Site:
    """The servers, the set that was made of them, and ``lifeboat`` with their description."""

    folder: pathlib.Path
    postgresql: PostgreSQLServer
    mongodb: MongoReplicaSet
    redis: RedisServer
    lifeboat: CommandLine

    def backup(self) -> Json:
        """The newest set."""
        (newest,) = self.lifeboat("list --source system --newest 1 --json").document["backups"]
        shown: Json = self.lifeboat(f"show {newest['id']} --json").document
        return shown


@pytest.fixture(scope="module")
def site() -> t.Iterator[Site]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-system-"))
    folder.chmod(0o755)
    try:
        with PostgreSQLServer() as postgresql, MongoReplicaSet() as mongodb, RedisServer() as redis:
            lifeboat = describe(folder / "lifeboat.json", _description(folder, postgresql, mongodb, redis))
            made = Site(folder=folder, postgresql=postgresql, mongodb=mongodb, redis=redis, lifeboat=lifeboat)
            postgresql.query("CREATE TABLE users AS SELECT number FROM generate_series(1, 100) AS number")
            with mongodb.client() as client:
                client["shop"]["orders"].insert_many([{"_id": number} for number in range(50)])
            redis.client().set("visits", "7")
            (folder / "settings" / "shop.conf").write_text("colour = blue\n")
            lifeboat(f"backup {JOB} --quiet").succeeded()
            yield made
    finally:
        shutil.rmtree(folder)


def _description(
    folder: pathlib.Path, postgresql: PostgreSQLServer, mongodb: MongoReplicaSet, redis: RedisServer
) -> Json:
    (folder / "settings").mkdir()
    stored = {"repositories": ["near"], "keep": {"within": "7d"}}
    connection = {
        "host": "127.0.0.1",
        "port": postgresql.port,
        "user": postgresql.superuser,
        "database": "postgres",
        "bin_directory": str(postgresql.bin_directory),
    }
    return {
        "lifeboat_settings": {
            "state_directory": str(folder / "state"),
            "scratch_directory": str(folder / "scratch"),
        },
        "lifeboat_repositories": {
            name: {"type": "file", "path": str(folder / name), "create": True} for name in ("near", "far")
        },
        "lifeboat_services": [
            {
                "name": "shop",
                "sources": [
                    {
                        "name": "main",
                        "engine": "postgresql",
                        "connection": connection,
                        "backups": [{"kind": "logical", **stored}, {"kind": "base", **stored}],
                        "verify": {
                            "level": 4,
                            "require_tables": ["public.users"],
                            "questions": [
                                {
                                    "name": "users",
                                    "database": "postgres",
                                    "sql": "SELECT count(*) FROM users",
                                    "within_percent_of": {"reference": "noted", "percent": 0},
                                }
                            ],
                            "options": {"bin_directory": str(postgresql.bin_directory)},
                        },
                    },
                    {
                        "name": "documents",
                        "engine": "mongodb",
                        "connection": {"uri": mongodb.uri},
                        "backups": [{"kind": "full", **stored}],
                        "verify": {"level": 4, "options": {"mongod": str(find_mongod())}},
                    },
                    {
                        "name": "cache",
                        "engine": "redis",
                        "connection": {"port": redis.port},
                        "backups": [{"kind": "rdb", **stored}],
                    },
                    {
                        "name": "settings",
                        "engine": "files",
                        "connection": {"paths": [str(folder / "settings")]},
                        "backups": [{"kind": "config", **stored}],
                        "verify": {"level": 4, "require_paths": [str(folder / "settings" / "shop.conf")]},
                    },
                    {
                        "name": "system",
                        "engine": "files",
                        "backups": [{"kind": "system", "repositories": ["far"], "keep": {"within": "12w"}}],
                        "verify": {"level": 4},
                    },
                ],
            }
        ],
    }


def test_it_has_one_backup_of_each_source_and_kind_each_with_its_point(site: Site) -> None:
    shown = site.backup()
    members = shown["manifest"]["content"]["members"]
    assert [f"{one['source']}/{one['kind']}" for one in members] == [
        "settings/config",
        "main/logical",
        "main/base",
        "documents/full",
        "cache/rdb",
    ]
    listed = site.lifeboat("list --json").document["backups"]
    assert {tuple(one["repositories"]) for one in listed} == {("far",)}
    manifests = {one["id"]: site.lifeboat(f"show {one['id']} --json").document["manifest"] for one in members}
    assert {one["checksum"] for one in members} == {one["checksum"] for one in manifests.values()}
    notes = site.lifeboat(f"show {shown['id']} --restore").succeeded().out
    assert "shop/main/logical is the same data as shop/main/base in another form" in notes


def test_every_member_answers_what_its_own_source_asks(site: Site) -> None:
    said = site.lifeboat(f"verify {JOB} --quiet --json").succeeded()
    outcomes = {one["job"]: one["verification"] for one in said.document["results"]}
    assert {one["reached"] for one in outcomes.values()} == {4}
    assert len(outcomes) == 6
    for kind in ("logical", "base"):
        names = {check["name"]: check for check in outcomes[f"shop/main/{kind}"]["checks"]}
        assert names["users"]["found"] == 100
    whole = outcomes[JOB]
    # One of the two forms of PostgreSQL's data is brought back.
    parts = [one["recovery_seconds"] for job, one in outcomes.items() if job not in (JOB, "shop/main/logical")]
    assert whole["recovery_seconds"] == pytest.approx(sum(parts), abs=0.01)
    states = {one["state"] for one in site.lifeboat("list --json").document["backups"]}
    assert states == {"verified"}


def test_every_member_comes_back_by_the_command_of_the_plan(site: Site) -> None:
    plan = site.lifeboat(f"restore {JOB} --point newest --dry-run --json").succeeded().document["plan"]
    restored = site.folder / "restored"
    restored.mkdir()
    user = operating_system_user()
    if user is not None:
        shutil.chown(restored, user)
    try:
        for member in plan["members"]:
            if member["instead"] is None:
                words = member["beside"].partition("lifeboat ")[2].replace("/srv/restored", str(restored))
                site.lifeboat(words.replace(" --dry-run", "")).succeeded()
    finally:
        # The server beside goes on until somebody stops it.
        stopped = [
            subprocess.run(["redis-cli", "-s", socket, "shutdown", "nosave"], check=False, timeout=30).returncode
            for socket in restored.rglob("redis.sock")
        ]
    assert stopped == [0]
    assert (restored / "settings" / str(site.folder / "settings" / "shop.conf").lstrip("/")).is_file()
    assert (restored / "main" / "PG_VERSION").is_file()
    assert list((restored / "cache").rglob("*.rdb"))
    with site.mongodb.client() as client:
        assert client["shop_restored"]["orders"].count_documents({}) == 50


def test_a_source_that_is_down_means_no_set(site: Site) -> None:
    before = site.lifeboat("list --json").document["backups"]
    site.redis.stop()
    try:
        said = site.lifeboat(f"backup {JOB} --quiet").refused("backup.set_incomplete", status=1)
    finally:
        site.redis.start()
    assert "shop/cache/rdb: " in said.err
    # It was asked first: nothing was made of the others either.
    assert site.lifeboat("list --json").document["backups"] == before
