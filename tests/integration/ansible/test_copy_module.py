# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``backup_copy`` between a folder and a real bucket: check, do, again, again in check."""

from __future__ import annotations

import typing as t

import pytest

from tests.integration.ansible.plays import WRITER, Json, Lab, run_module


def make_backup(lab: Lab, *, repositories: list[Json], **more: t.Any) -> Json:
    """A backup of the Redis server; its job wants it in both repositories, and gets it into those that work."""
    made = run_module(
        lab,
        "redis_snapshot",
        {
            "service": "lab",
            "source": "redis",
            "method": "sync",
            "connection": lab.connection("redis"),
            "repositories": repositories,
            "state_directory": str(lab.directory / "state"),
            "fail_on_partial": False,
            **more,
        },
    )
    assert not made.get("failed"), made["msg"]
    return t.cast("Json", made["backup"])


def copy_options(lab: Lab, **more: t.Any) -> Json:
    return {"repositories": lab.repositories, "state_directory": str(lab.directory / "state"), **more}


def without_the_bucket(lab: Lab) -> list[Json]:
    """The same repositories while the second one is down."""
    local, offsite = lab.repositories
    return [local, {**offsite, "bucket": "nobody-made-this"}]


@pytest.mark.long
@pytest.mark.newest
def test_check_do_again_and_again_in_check(lab: Lab) -> None:
    backup = make_backup(lab, repositories=without_the_bucket(lab))
    assert backup["state"] == "partial"
    before = lab.stored()

    planned = run_module(lab, "backup_copy", copy_options(lab), check=True)
    assert not planned.get("failed"), planned["msg"]
    assert planned["changed"]
    (one,) = planned["plan"]["backups"]
    assert (one["id"], one["from"], one["to"]) == (backup["id"], ["local"], "offsite")
    assert backup["id"] in planned["diff"]["after"]
    assert lab.stored() == before, "check mode touched a repository"

    copied = run_module(lab, "backup_copy", copy_options(lab))
    assert not copied.get("failed"), copied["msg"]
    assert copied["changed"]
    assert [(done["id"], done["state"]) for done in copied["backups"]] == [(backup["id"], "copied")]
    assert backup["id"] in copied["diff"]["after"]
    after = lab.stored()
    assert before.items() <= after.items()
    assert len(after) == 2 * len(before)

    again = run_module(lab, "backup_copy", copy_options(lab))
    assert not again["changed"]
    assert lab.stored() == after
    assert not run_module(lab, "backup_copy", copy_options(lab), check=True)["changed"]
    assert lab.stored() == after

    listed = run_module(lab, "backup_info", {"repositories": lab.repositories})
    assert [found["missing"] for found in listed["backups"]] == [[]]
    verified = run_module(
        lab,
        "backup_verify",
        {**copy_options(lab, service="lab", source="redis", level=3), "repositories": lab.repositories[1:]},
    )
    assert not verified.get("failed"), verified["msg"]


@pytest.mark.long
def test_what_is_damaged_fails_the_task_and_is_repaired_when_asked(lab: Lab) -> None:
    backup = make_backup(lab, repositories=without_the_bucket(lab))
    (payload,) = (path for path in lab.local.rglob("*") if path.name == backup["payloads"][0]["name"])
    good = payload.read_bytes()
    payload.write_bytes(b"?" + good[1:])

    failed = run_module(lab, "backup_copy", copy_options(lab))
    assert failed["failed"]
    assert failed["code"] == "copy.incomplete"
    assert failed["backups"][0]["state"] == "failed"
    assert "lifeboat repo check" in failed["hint"]
    tolerated = run_module(lab, "backup_copy", copy_options(lab, fail_on_incomplete=False))
    assert not tolerated.get("failed")
    assert run_module(lab, "backup_info", {"repositories": lab.repositories[1:]})["backups"] == []

    payload.write_bytes(good)
    assert run_module(lab, "backup_copy", copy_options(lab))["changed"]
    payload.unlink()
    told = run_module(lab, "backup_copy", copy_options(lab))
    assert told["failed"]
    assert "add --repair" in told["msg"]
    repaired = run_module(lab, "backup_copy", copy_options(lab, to=["local"], repair=True))
    assert not repaired.get("failed"), repaired["msg"]
    assert repaired["backups"][0]["state"] == "repaired"
    assert payload.read_bytes() == good


def test_policies_and_targets_decide_what_comes(lab: Lab) -> None:
    ids = [make_backup(lab, repositories=lab.repositories[:1])["id"] for _turn in range(2)]
    nothing = run_module(lab, "backup_copy", copy_options(lab, to=["offsite"]))
    assert not nothing["changed"], "no job wanted these in the bucket"
    policy = {
        "repository": "offsite",
        "service": "lab",
        "source": "redis",
        "kind": "rdb",
        "engine": "redis",
        "keep": {"count": 1, "minimum_verified": 0},
    }
    one = run_module(lab, "backup_copy", copy_options(lab, to=["offsite"], policies=[policy]))
    assert not one.get("failed"), one["msg"]
    assert [done["id"] for done in one["backups"]] == [max(ids)]
    assert [one["reason"] for one in one["left_out"]] == ["the retention there would not keep it"]
    rest = run_module(lab, "backup_copy", copy_options(lab, to=["offsite"], everything=True))
    assert [done["id"] for done in rest["backups"]] == [min(ids)]


@pytest.mark.long
def test_bad_input_is_refused_by_name_before_anything_is_touched(lab: Lab) -> None:
    cases: tuple[Json, ...] = (
        {"to": ["nowhere"]},
        {"everything": True},
        {"service": "Family!"},
        {"parallel": 0},
        {"repositories": lab.repositories[:1]},
        {"policies": [{"repository": "x", "service": "a", "source": "b", "kind": "c", "engine": "redis", "keep": {}}]},
    )
    for wrong in cases:
        refused = run_module(lab, "backup_copy", {**copy_options(lab), **wrong})
        assert refused["failed"], wrong
        assert refused["code"] in ("request.invalid", "configuration.keep_invalid"), wrong
        assert refused["hint"], wrong
    assert lab.stored() == {}


def test_credentials_that_may_only_write_cant_copy_and_are_told_why(lab: Lab) -> None:
    make_backup(lab, repositories=lab.repositories[:1])
    options = copy_options(lab, to=["offsite"], everything=True)
    options["repositories"] = lab.repositories_of(WRITER)  # the last to write the file with the keys
    refused = run_module(lab, "backup_copy", options)
    assert refused["failed"]
    assert refused["errors"]["offsite"]["code"] == "storage.forbidden"
