# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of the way back on real servers: the plan, the refusals, the restore, and what undoes it."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
import redis

from sandbox.parts import POSTGRESQL, postgresql_18_bin_directory, require
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer
from tests.integration.ansible.plays import PASSWORD, Json, Lab
from tests.integration.ansible.way_back import (
    DATABASE,
    DOCUMENTS,
    KEYS,
    ROWS,
    WayBack,
    copied,
    good,
    open_folder,
    redis_target,
    refused,
    stocked,
    tree,
)
from tests.integration.postgresql.restoring import Cluster
from tests.support.proc_scan import SecretScan, files_with_secrets


@pytest.fixture(scope="module")
def made(servers: Lab) -> t.Iterator[WayBack]:
    """One backup of each kind, that nobody verified yet."""
    with stocked(servers) as backups:
        yield backups


@pytest.fixture
def way_back(made: WayBack) -> t.Iterator[WayBack]:
    """The same in a repository that the test may spoil."""
    with open_folder() as folder:
        yield copied(made, folder)


def redis_keys(*, port: int) -> int:
    with redis.Redis(port=port, socket_timeout=30) as client:
        return int(client.dbsize())


def members(way_back: WayBack, database: str) -> int:
    return int(way_back.lab.postgresql.query("SELECT count(*) FROM members", database=database)[0][0])


def databases(way_back: WayBack) -> set[str]:
    return {str(row[0]) for row in way_back.lab.postgresql.query("SELECT datname FROM pg_database")}


@pytest.mark.newest
@pytest.mark.newest_first
def test_check_mode_returns_the_plan_and_touches_nothing(way_back: WayBack) -> None:
    postgresql = way_back.lab.connection("postgresql")
    beside, cluster = str(way_back.folder / "redis"), str(way_back.new_data_directory("fresh"))
    with redis_target(way_back.folder) as (target, in_place):
        before = {**tree(target.data), **tree(way_back.lab.local)}
        known = databases(way_back)
        newest = {"point": "newest"}
        plans = way_back.run(
            way_back.task("redis_restore", "cache", data_directory=beside, **newest),
            way_back.task("redis_restore", "cache", **in_place, **newest),
            way_back.task("redis_restore", "cache", id=way_back.ids["cache/aof"], data_directory=beside),
            way_back.task("pg_logical_restore", "main", database=DATABASE, connection=postgresql, **newest),
            way_back.task(
                "pg_logical_restore", "main", database=DATABASE, connection=postgresql, in_place=True, **newest
            ),
            way_back.task("pg_logical_restore", "main", data_directory=cluster, port=free_port(), **newest),
            way_back.task("pg_base_restore", "main", data_directory=cluster, **newest),
            way_back.task("backup_verify", "cache", level=4, scratch_directory=str(way_back.folder / "scratch")),
            check=True,
        )
        for result in plans:
            assert good(result)["changed"]
        replaces = [result["plan"]["replaces"] for result in plans[:-1]]
        assert replaces == [None, f"redis at 127.0.0.1:{target.port}", None, None, DATABASE, None, None]
        for result in plans[:-1]:
            plan = result["plan"]
            assert plan["steps"]
            assert plan["needed_bytes"] > 0
            assert plan["backup"]["reason"]
            assert f"would be restored into {plan['target']}" in result["diff"]["after"]
        assert plans[0]["plan"]["backup"]["id"] == way_back.ids["cache/rdb"]
        assert plans[2]["plan"]["backup"] == {**plans[2]["plan"]["backup"], "kind": "aof", "state": "complete"}
        assert plans[1]["plan"]["stops"]
        assert [one["level"] for one in plans[-1]["plan"]] == [4, 4]
        assert {one["backup"] for one in plans[-1]["plan"]} == {way_back.ids["cache/rdb"], way_back.ids["cache/aof"]}
        assert {**tree(target.data), **tree(way_back.lab.local)} == before
        assert redis_keys(port=target.port) == 3
    assert databases(way_back) == known
    for path in (beside, cluster, str(way_back.folder / "scratch"), str(way_back.state)):
        assert not pathlib.Path(path).exists(), f"check mode made {path}"


@pytest.mark.newest
def test_what_cannot_become_a_good_restore_is_refused_by_name_and_nothing_is_touched(way_back: WayBack) -> None:
    beside = {"data_directory": str(way_back.folder / "redis")}
    with redis_target(way_back.folder) as (target, in_place):
        before = {**tree(target.data), **tree(way_back.lab.local)}
        cases: list[tuple[str, tuple[str, Json]]] = [
            ("catalog.backup_not_trusted", way_back.task("redis_restore", "cache", **beside)),
            ("restore.confirmation_missing", way_back.task("redis_restore", "cache", **in_place, point="newest")),
            (
                "restore.confirmation_missing",
                way_back.task("redis_restore", "cache", **in_place, point="newest", confirm="redis at 127.0.0.1:6379"),
            ),
            ("payload.identity_missing", way_back.task("redis_restore", "sealed", **beside, point="newest")),
            ("request.invalid", way_back.task("redis_restore", "cache", **in_place, **beside, point="newest")),
            ("request.invalid", way_back.task("redis_restore", "cache", **beside, id=way_back.ids["main/base"])),
            ("catalog.backup_not_found", way_back.task("redis_restore", "nobody", **beside)),
            ("request.invalid", way_back.task("redis_restore", "cache", **beside, before="yesterday")),
            (
                "restore.ledger_invalid",
                way_back.task("restore_finish", restore_id="20261121T020000Z-4f2c91", action="discard"),
            ),
        ]
        unknown = way_back.task("redis_restore", "cache", **beside, key="session:*")
        both = way_back.task("redis_restore", "cache", **beside, id=way_back.ids["cache/rdb"], point="newest")
        results = way_back.run(*(task for _code, task in cases), unknown, both)
        for (code, _task), result in zip(cases, results[:-2], strict=True):
            refused(result, code)
        assert "would be moved aside" in results[1]["msg"]
        assert f'confirm: "redis at 127.0.0.1:{target.port}"' in results[1]["hint"]
        assert results[-2]["failed"]
        assert "Unsupported parameters" in results[-2]["msg"]
        assert results[-1]["failed"]
        assert "mutually exclusive" in results[-1]["msg"]
        (wrong,) = way_back.run(cases[2][1], check=True)
        assert refused(wrong, "restore.confirmation_missing")["plan"]["replaces"]
        assert {**tree(target.data), **tree(way_back.lab.local)} == before
        assert redis_keys(port=target.port) == 3
    assert not pathlib.Path(beside["data_directory"]).exists()


@pytest.mark.long
def test_redis_in_place_undone_done_again_and_tidied_up_without_a_secret_anywhere(way_back: WayBack) -> None:
    with redis_target(way_back.folder) as (target, in_place):
        restore = way_back.task(
            "redis_restore", "cache", **in_place, point="newest", confirm=f"redis at 127.0.0.1:{target.port}"
        )

        def finish(action: str, **own: t.Any) -> tuple[str, Json]:
            named = {"restore_id": "{{ made_0.restore.id }}", "action": action, "connection": {"password": PASSWORD}}
            return way_back.task("restore_finish", **{**named, **own})

        with SecretScan([PASSWORD], interval=0.05) as scan:
            restored, planned, resumed, missing, wrong = way_back.run(
                restore,
                (*finish("roll_back"), "check"),
                (*finish("resume"), "check"),
                finish("roll_back"),
                finish("roll_back", confirm="something else"),
            )
        scan.assert_clean("sh")
        assert good(restored)["changed"]
        assert restored["restore"]["state"] == "finished"
        assert restored["restore"]["aside"]
        assert restored["restore"]["backup"]["id"] == way_back.ids["cache/rdb"]
        assert good(planned)["changed"]
        assert planned["plan"]["confirm"] == f"redis at 127.0.0.1:{target.port}"
        assert not good(resumed)["changed"], "it has finished already"
        refused(missing, "restore.confirmation_missing")
        refused(wrong, "restore.confirmation_missing")
        assert redis_keys(port=target.port) == KEYS

        first = {"confirm": planned["plan"]["confirm"], "restore_id": restored["restore"]["id"]}
        undone, again, gone = way_back.run(
            finish("roll_back", **first), finish("roll_back", **first), finish("discard", **first)
        )
        assert good(undone)["changed"]
        assert undone["restore"]["state"] == "rolled back"
        assert not good(again)["changed"]
        refused(gone, "restore.ledger_invalid")
        assert redis_keys(port=target.port) == 3

        confirm = {"confirm": planned["plan"]["confirm"]}
        restored, listed, discarded, again, empty = way_back.run(
            restore,
            way_back.task("backup_info"),
            finish("discard", **confirm),
            finish("discard", **confirm),
            way_back.task("backup_info"),
        )
        (known,) = good(listed)["restores"]
        assert (known["id"], known["state"]) == (restored["restore"]["id"], "finished")
        assert known["aside"] == restored["restore"]["aside"]
        assert set(good(discarded)["restore"]["removed"]) == set(known["aside"])
        assert not [name for name in known["aside"] if pathlib.Path(name).exists()]
        assert not good(again)["changed"]
        assert empty["restores"] == []
        assert redis_keys(port=target.port) == KEYS
        results = [restored, planned, undone, discarded, listed, known]
        assert PASSWORD not in json.dumps(results)
        assert files_with_secrets([PASSWORD], way_back.state, way_back.lab.local) == []


@pytest.mark.parametrize("action", [pytest.param("resume", marks=pytest.mark.slow), "roll_back"])
def test_a_restore_that_was_killed_is_listed_and_finished(way_back: WayBack, action: str) -> None:
    with redis_target(way_back.folder) as (target, in_place):
        (target.folder / "die").touch()
        died, listed = way_back.run(
            way_back.task(
                "redis_restore", "cache", **in_place, point="newest", confirm=f"redis at 127.0.0.1:{target.port}"
            ),
            way_back.task("backup_info"),
        )
        assert died["failed"]
        assert "code" not in died, "it was not killed, so this shows nothing"
        (known,) = good(listed)["restores"]
        assert known["state"] == "died"
        assert known["job"] == "lab/cache/rdb"
        task = way_back.task("restore_finish", restore_id=known["id"], action=action, connection={"password": PASSWORD})
        finished, listed = way_back.run(task, way_back.task("backup_info"))
        assert good(finished)["changed"]
        assert (finished["plan"]["state"], finished["plan"]["confirm"]) == ("died", None)
        assert redis_keys(port=target.port) == (KEYS if action == "resume" else 3)
        assert [one["state"] for one in listed["restores"]] == (["finished"] if action == "resume" else [])


def test_redis_beside_from_an_encrypted_backup_and_from_append_only_files(way_back: WayBack) -> None:
    ports = {"sealed": free_port(), "cache": free_port()}
    tasks = [
        way_back.task(
            "redis_restore",
            "sealed",
            data_directory=str(way_back.folder / "sealed"),
            port=ports["sealed"],
            point="newest",
            decryption={"identity_file": way_back.identity},
        ),
        way_back.task(
            "redis_restore",
            "cache",
            id=way_back.ids["cache/aof"],
            data_directory=str(way_back.folder / "aof"),
            port=ports["cache"],
        ),
    ]
    try:
        for result, port in zip(way_back.run(*tasks), ports.values(), strict=True):
            assert good(result)["restore"]["where"]
            assert result["restore"]["aside"] == []
            assert redis_keys(port=port) == KEYS
    finally:
        for port in ports.values():
            stop_redis(port)


def stop_redis(port: int) -> None:
    with redis.Redis(port=port, socket_timeout=30) as client:
        client.shutdown(nosave=True)


def recorded_programs(way_back: WayBack, name: str) -> tuple[str, pathlib.Path]:
    """A folder with PostgreSQL's programs, and the file in which the one called *name* notes its arguments first."""
    genuine, folder, argv = way_back.lab.postgresql.bin_directory, way_back.folder / "bin", way_back.folder / "argv"
    folder.mkdir()
    for program in genuine.iterdir():
        (folder / program.name).symlink_to(program)
    (folder / name).unlink()
    (folder / name).write_text(f'#!/bin/sh\necho "$@" >> {argv}\nexec {genuine / name} "$@"\n')
    (folder / name).chmod(0o755)
    return str(folder), argv


@pytest.mark.long
@pytest.mark.newest
def test_a_dump_of_postgresql_beside_and_in_place(way_back: WayBack) -> None:
    server = way_back.lab.postgresql
    server.query("DELETE FROM members WHERE id > 3", database=DATABASE)
    programs, argv = recorded_programs(way_back, "pg_restore")
    connection = {**way_back.lab.connection("postgresql"), "password": PASSWORD, "bin_directory": programs}
    del connection["password_file"]
    dump = way_back.task("pg_logical_restore", "main", database=DATABASE, connection=connection, point="newest")
    in_place = (dump[0], {**dump[1], "in_place": True, "confirm": DATABASE})
    try:
        beside, replaced = way_back.run(dump, in_place)
        assert good(beside)["restore"]["target"] == f"{DATABASE}_recovery"
        assert members(way_back, f"{DATABASE}_recovery") == ROWS
        assert good(replaced)["changed"]
        assert members(way_back, DATABASE) == ROWS
        (aside,) = replaced["restore"]["aside"]
        assert PASSWORD not in json.dumps([beside, replaced])
        assert argv.read_text().count("--dbname") == 2
        assert files_with_secrets([PASSWORD], way_back.state, argv) == []
        (undone,) = way_back.run(
            way_back.task(
                "restore_finish",
                restore_id=replaced["restore"]["id"],
                action="roll_back",
                confirm=DATABASE,
                connection={"password": PASSWORD},
            )
        )
        assert good(undone)["changed"], aside
        assert members(way_back, DATABASE) == 3
    finally:
        server.query(f"DROP DATABASE IF EXISTS {DATABASE}_recovery")
        server.query(f"INSERT INTO members SELECT generate_series(4, {ROWS})", database=DATABASE)
    assert databases(way_back) == {"postgres", "template0", "template1", DATABASE}


@pytest.mark.newest
def test_a_database_of_mongodb_beside_and_one_collection_in_place(way_back: WayBack) -> None:
    connection = way_back.lab.connection("mongodb")
    newest = {"connection": connection, "point": "newest"}
    client = way_back.lab.mongodb.client()
    try:
        client["shop"]["orders"].delete_many({"_id": {"$gte": 10}})
        beside = way_back.task("mongo_restore", "documents", databases=["shop"], suffix="_recovery", **newest)
        one = way_back.task("mongo_restore", "documents", collections=["shop.orders"], in_place=True, **newest)
        (planned,) = way_back.run(one, check=True)
        assert good(planned)["plan"]["replaces"] == planned["plan"]["target"]
        assert client["shop"]["orders"].count_documents({}) == 10
        assert "shop_recovery" not in client.list_database_names()
        confirm = {"confirm": planned["plan"]["replaces"]}
        unconfirmed, copied_beside, replaced = way_back.run(one, beside, (one[0], {**one[1], **confirm}))
        refused(unconfirmed, "restore.confirmation_missing")
        assert good(copied_beside)["restore"]["content"]["documents"] == DOCUMENTS
        assert client["shop_recovery"]["orders"].count_documents({}) == DOCUMENTS
        assert good(replaced)["restore"]["aside"]
        assert client["shop"]["orders"].count_documents({}) == DOCUMENTS
        (undone,) = way_back.run(
            way_back.task("restore_finish", restore_id=replaced["restore"]["id"], action="roll_back", **confirm)
        )
        assert good(undone)["changed"]
        assert client["shop"]["orders"].count_documents({}) == 10
        assert files_with_secrets([PASSWORD], way_back.state) == []
    finally:
        client["shop"]["orders"].insert_many({"_id": number, "total": number * 3} for number in range(10, DOCUMENTS))
        client.drop_database("shop_recovery")
        client.close()


def test_a_whole_cluster_from_a_base_backup_beside_and_in_place(way_back: WayBack) -> None:
    server = way_back.lab.postgresql
    cluster = Cluster(
        data=way_back.new_data_directory("main"), port=free_port(), bin_directory=str(server.bin_directory)
    )
    etc = way_back.folder / "etc"
    etc.mkdir()
    (etc / "postgresql.conf").write_text(
        f"port = {cluster.port}\nlisten_addresses = ''\nunix_socket_directories = '{cluster.data}'\n"
    )
    (etc / "pg_hba.conf").write_text("local all all trust\n")
    base = way_back.task(
        "pg_base_restore", "main", data_directory=str(cluster.data), config_directory=str(etc), point="newest"
    )
    try:
        (beside,) = way_back.run((base[0], {**base[1], "start": True, "port": cluster.port}))
        assert good(beside)["restore"]["content"]["state"] != "not started"
        assert cluster.query("SELECT count(*) FROM members", database=DATABASE) == str(ROWS)
        cluster.query("CREATE TABLE lost AS SELECT 1 AS one")
        in_place = {
            "in_place": True,
            "service_control": cluster.service_control,
            "confirm": str(cluster.data),
        }
        (replaced,) = way_back.run((base[0], {**base[1], **in_place}))
        assert good(replaced)["changed"]
        assert cluster.query("SELECT to_regclass('lost') IS NULL") == "t"
        assert cluster.query("SELECT count(*) FROM members", database=DATABASE) == str(ROWS)
        (aside,) = replaced["restore"]["aside"]
        (discarded,) = way_back.run(
            way_back.task(
                "restore_finish", restore_id=replaced["restore"]["id"], action="discard", confirm=str(cluster.data)
            )
        )
        assert good(discarded)["restore"]["removed"] == [aside]
        assert not pathlib.Path(aside).exists()
    finally:
        cluster.stop()


def test_an_increment_named_by_its_id_comes_back_with_its_chain(way_back: WayBack) -> None:
    programs = require(postgresql_18_bin_directory(), POSTGRESQL)
    with PostgreSQLServer(bin_directory=programs, settings={"summarize_wal": "on"}) as server:
        connection = {
            "host": "127.0.0.1",
            "port": server.port,
            "user": server.superuser,
            "bin_directory": str(programs),
        }
        base = way_back.task("pg_basebackup_walg", "modern", connection=connection)
        server.query("CREATE TABLE early AS SELECT 1 AS one")
        (full,) = way_back.run(base)
        server.query("CREATE TABLE late AS SELECT 2 AS two")
        (increment,) = way_back.run((base[0], {**base[1], "kind": "incremental"}))
    cluster = Cluster(data=way_back.new_data_directory("modern"), port=free_port(), bin_directory=str(programs))
    try:
        restored, verified = way_back.run(
            way_back.task(
                "pg_base_restore",
                "modern",
                id=good(increment)["backup"]["id"],
                data_directory=str(cluster.data),
                bin_directory=str(programs),
                start=True,
                port=cluster.port,
            ),
            way_back.task(
                "backup_verify",
                "modern",
                kind="incremental",
                level=3,
                postgresql={"bin_directory": str(programs)},
                scratch_directory=str(way_back.folder / "scratch"),
            ),
        )
        assert good(restored)["restore"]["backup"]["kind"] == "incremental"
        assert good(full)["backup"]["id"] in restored["restore"]["content"]["chain"]
        assert cluster.query("SELECT one + two FROM early, late") == "3"
        assert good(verified)["verifications"][0]["verification"]["reached"] == 3
    finally:
        cluster.stop()
