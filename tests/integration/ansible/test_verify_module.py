# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``backup_verify`` on real servers: each level, each choice of backups, and the loud part."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from sandbox.parts import MONGOD, find_mongod, require
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
    refused,
    stocked,
    tree,
)
from tests.support.proc_scan import files_with_secrets

LEVELS = ("present", "intact", "readable", "restored", "questioned")


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


def verify(way_back: WayBack, source: str | None = None, **own: t.Any) -> tuple[str, Json]:
    scratch = {"scratch_directory": str(way_back.folder / "scratch")}
    return way_back.task("backup_verify", source, **{**scratch, **own})


def states(result: Json) -> dict[str, str]:
    return {one["backup"]: one["state"] for one in result["verifications"]}


def documents(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(folder.glob("verification-*.json"))


@pytest.mark.newest
def test_every_level_and_what_is_then_due_and_restored(way_back: WayBack) -> None:
    job, ids = "cache/rdb", way_back.ids
    levels = [verify(way_back, "cache", kind="rdb", level=level) for level in range(5)]
    due = verify(way_back, "cache", kind="rdb", which="due")
    late = verify(way_back, "cache", kind="rdb", level=0, which="due", since="2030-01-01T00:00:00Z")
    unverified = verify(way_back, "cache", which="unverified", level=2)
    plan = way_back.task("redis_restore", "cache", data_directory=str(way_back.folder / "redis"))
    *proved, nothing, again, others = way_back.run(*levels, due, late, unverified)
    for level, result in enumerate(proved):
        assert good(result)["changed"]
        (one,) = result["verifications"]
        document = one["verification"]
        assert (one["backup"], one["job"], one["state"]) == (ids[job], f"lab/{job}", "passed")
        assert (document["level"], document["reached"]) == (level, level)
        assert (document["recovery_seconds"] is not None) == (level >= 3)
        assert bool(document["checks"]) == (level >= 2)
        assert f"level {level} ({LEVELS[level]})" in result["diff"]["after"]
    assert not good(nothing)["changed"]
    assert nothing["verifications"] == []
    assert good(again)["changed"], "nothing passed since 2030"
    assert states(good(others)) == {ids["cache/aof"]: "passed"}, "the snapshot has passed level 2 already"
    assert len(documents(way_back.backup(job))) == 6
    assert os.listdir(way_back.folder / "scratch") == []
    (planned,) = way_back.run(plan, check=True)
    assert good(planned)["plan"]["backup"]["reason"].startswith("the newest verified")
    assert planned["plan"]["forecast"]["count"] == 2


def test_questions_as_data_are_asked_of_restored_databases(way_back: WayBack) -> None:
    mongod = str(require(find_mongod(), MONGOD))
    members = {"name": "members", "database": DATABASE, "sql": "SELECT count(*) FROM members"}
    orders = {"name": "orders", "count": {"database": "shop", "collection": "orders", "filter": {"total": {"$gt": 0}}}}
    right = verify(
        way_back,
        "main",
        kind="logical",
        require_tables=["members"],
        questions=[{**members, "equals": ROWS}, {**members, "name": "some", "min": 1, "max": ROWS}],
    )
    wrong = verify(
        way_back,
        "main",
        kind="logical",
        require_tables=["members", "nobody"],
        questions=[{**members, "min": ROWS + 1}, {**members, "name": "some", "min": 1}],
    )
    shop = verify(
        way_back,
        "documents",
        mongodb={"mongod": mongod, "cache_megabytes": 256},
        require_collections=["shop.orders"],
        # A null in a filter is a part of the question, and no option that was left out.
        questions=[
            {**orders, "equals": DOCUMENTS - 1},
            {**orders, "name": "null", "count": {**orders["count"], "filter": {"total": None}}, "equals": 0},
        ],
    )
    cache = verify(way_back, "cache", kind="rdb", questions=[{"name": "keys", "redis": ["DBSIZE"], "equals": KEYS}])
    passed, failed, asked, counted = way_back.run(right, wrong, shop, cache)
    for result in (passed, asked, counted):
        checks = good(result)["verifications"][0]["verification"]["checks"]
        assert {check["state"] for check in checks} <= {"passed", "skipped"}
    found = {check["name"]: check["found"] for check in checks_of(asked)}
    assert (found["orders"], found["null"]) == (DOCUMENTS - 1, 0)
    assert {check["name"]: check["found"] for check in checks_of(passed)}["members"] == ROWS
    assert {check["name"]: check["found"] for check in checks_of(counted)}["keys"] == KEYS

    refused(failed, "verify.not_proved")
    assert failed["changed"], "the failure was written down"
    loud = {check["name"]: check["state"] for check in checks_of(failed)}
    assert loud["members"] == "failed"
    assert loud["some"] == "passed", "one wrong answer must not hide the others"
    assert "nobody" in json.dumps([check for check in checks_of(failed) if check["state"] == "failed"])
    assert str(ROWS + 1) in failed["msg"] or "members" in failed["msg"]
    assert PASSWORD not in json.dumps([passed, failed, asked, counted])
    assert files_with_secrets([PASSWORD], way_back.state, way_back.lab.local) == []


def checks_of(result: Json) -> list[Json]:
    return list(result["verifications"][0]["verification"]["checks"])


def test_a_damaged_backup_fails_the_task_and_is_not_restored_any_more(way_back: WayBack) -> None:
    folder = way_back.backup("cache/rdb")
    (payload,) = folder.glob("dump.rdb*")
    data = bytearray(payload.read_bytes())
    data[len(data) // 2] ^= 1
    payload.write_bytes(data)
    level_0 = verify(way_back, "cache", kind="rdb", level=0)
    level_1 = verify(way_back, "cache", level=1)
    beside = {"data_directory": str(way_back.folder / "redis"), "point": "newest"}
    restore = way_back.task("redis_restore", "cache", kind="rdb", **beside)
    (level_1[1])["which"] = "sample"
    below, failed, tolerated, refusal, listed = way_back.run(
        level_0,
        level_1,
        (level_1[0], {**level_1[1], "fail_on_failed": False}),
        restore,
        way_back.task("backup_info", state="failed"),
    )
    assert states(good(below)) == {way_back.ids["cache/rdb"]: "passed"}
    refused(failed, "verify.not_proved")
    assert failed["changed"]
    expected = {way_back.ids["cache/rdb"]: "failed", way_back.ids["cache/aof"]: "passed"}
    assert states(failed) == expected, "the damaged one must not keep the other from being looked at"
    assert "FAILED" in failed["diff"]["after"]
    assert states(good(tolerated)) == expected
    refused(refusal, "catalog.backup_not_trusted")
    assert [one["id"] for one in listed["backups"]] == [way_back.ids["cache/rdb"]]
    assert payload.read_bytes() == data, "verification never mends and never deletes"


def test_what_nobody_could_tell_is_no_verdict_and_check_mode_writes_nothing(way_back: WayBack) -> None:
    before = tree(way_back.lab.local)
    no_key = verify(way_back, "sealed", level=2)
    no_program = verify(way_back, "main", kind="logical", postgresql={"bin_directory": "/nowhere"})
    nobody = verify(way_back, "nobody")
    senseless = verify(way_back, "cache", since="2026-11-21T00:00:00Z")
    ambiguous = verify(way_back, "cache", questions=[{"name": "keys", "redis": ["DBSIZE"], "sql": "SELECT 1"}])
    (planned,) = way_back.run(verify(way_back, which="unverified"), check=True)
    assert planned["changed"]
    assert {one["backup"] for one in planned["plan"]} == set(way_back.ids.values())
    assert not (way_back.folder / "scratch").exists()
    sealed, without, absent, wrong, two_ways = way_back.run(no_key, no_program, nobody, senseless, ambiguous)
    for result, code in ((sealed, "payload.identity_missing"), (without, "tool.missing")):
        refused(result, "verify.not_proved")
        assert not result["changed"], "nobody could tell, so nothing is known that was not known before"
        (one,) = result["verifications"]
        assert one["state"] == "error"
        assert one["verification"] is None
        assert one["error"]["code"] == code
    refused(absent, "catalog.backup_not_found")
    refused(wrong, "request.invalid")
    refused(two_ways, "request.invalid")
    assert tree(way_back.lab.local) == before
    opened = verify(way_back, "sealed", level=2, decryption={"identity_file": way_back.identity})
    (proved,) = way_back.run(opened)
    assert states(good(proved)) == {way_back.ids["sealed/rdb"]: "passed"}
