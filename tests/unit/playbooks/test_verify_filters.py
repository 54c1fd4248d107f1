# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``playbooks/verify.yml`` decides before it starts, and what it says at its end."""

from __future__ import annotations

import datetime
import typing as t

import pytest

from tests.unit.description.samples import changed, description

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.recovery.plugins.filter import recovery_play, verify_play

NOW = datetime.datetime(2026, 11, 21, 12, 30, tzinfo=datetime.timezone.utc)
Json = dict[str, t.Any]


class At:
    """A clock that stands still."""

    def now(self) -> datetime.datetime:
        return NOW


def listed(data: Json) -> dict[str, Json]:
    found = verify_play.verifications(
        data["lifeboat_services"],
        data["lifeboat_repositories"],
        data.get("lifeboat_settings"),
        clock=t.cast("t.Any", At()),
    )
    return {one["id"]: one for one in found}


def test_each_kind_of_each_source_is_one_entry() -> None:
    found = listed(description())
    assert list(found) == [
        "family/main/full",
        "family/main/oplog",
        "family/cache/rdb",
        "family/settings/config",
        "adhd/main/logical",
        "adhd/main/base",
    ]
    assert found["adhd/main/logical"]["jobs"] == ["adhd/main/logical", "adhd/main/logical.2"]
    assert found["adhd/main/base"]["jobs"] == ["adhd/main/weekly-base"]
    assert [one["runnable"] for one in found.values()] == [True, False, True, True, True, True]


def test_a_source_that_says_nothing_is_proved_as_far_as_can_be() -> None:
    cache = listed(description())["family/cache/rdb"]
    assert (cache["level"], cache["newest"], cache["questions"], cache["since"]) == (4, 1, [], None)


def test_level_requirements_and_questions_are_those_of_the_source() -> None:
    data = description()
    verify = data["lifeboat_services"][0]["sources"][0]["verify"]
    verify.update(level=3, newest=2, require_collections=["families"], options={"parallel": 2}, schedule="0 6 * * *")
    verify["questions"].append({"name": "later", "count": {"collection": "users"}, "min": 1, "ask": ["recovery"]})
    full = listed(data)["family/main/full"]
    assert (full["level"], full["newest"], full["require_collections"], full["require_tables"]) == (
        3,
        2,
        ["families"],
        [],
    )
    assert [one["name"] for one in full["questions"]] == ["users"]
    assert full["options"] == {"parallel": 2}
    assert full["since"] == "2026-11-21T06:00:00Z"


def test_what_a_kind_builds_on_can_be_read_too() -> None:
    data = description()
    kinds = data["lifeboat_services"][1]["sources"][0]["backups"]
    kinds.append({"kind": "incremental", "repositories": ["offsite"], "keep": {"count": 3}})
    names = [one["name"] for one in listed(data)["adhd/main/incremental"]["repositories"]]
    assert names == ["offsite", "local"]


def test_a_mistake_in_the_description_is_told() -> None:
    with pytest.raises(AnsibleFilterError, match="schedule: the hour field"):
        listed(changed("lifeboat_services.0.sources.0.backups.0.schedule", "0 25 * * *"))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("", 6),
        ("adhd", 2),
        ("adhd/main/logical.2", 1),
        ("adhd/main/weekly-base,family/cache", 2),
        (["adhd/main/base"], 1),
        ("fam", 0),
    ],
)
def test_backups_are_selected_by_the_jobs_that_make_them(selection: t.Any, expected: int) -> None:
    found = list(listed(description()).values())
    assert len(recovery_play.select_backups(found, selection)) == expected
    assert recovery_play.unmatched_backups(selection, found) == (["fam"] if expected == 0 else [])


LOCAL, OFFSITE = {"name": "local", "type": "file", "path": "/b"}, {"name": "offsite", "type": "s3", "bucket": "b"}


def test_another_host_reads_no_folder_of_this_one_unless_it_is_named() -> None:
    assert recovery_play.readable_elsewhere([LOCAL, OFFSITE]) == [OFFSITE]
    assert recovery_play.readable_elsewhere([LOCAL, OFFSITE], "local") == [LOCAL]
    with pytest.raises(AnsibleFilterError, match="can be read from another host"):
        recovery_play.readable_elsewhere([LOCAL])
    with pytest.raises(AnsibleFilterError, match=r"called ofsite. There are: local, offsite\."):
        recovery_play.readable_elsewhere([LOCAL, OFFSITE], "ofsite")


def outcome(state: str, *, reached: int = 4, checks: t.Sequence[str] = ("passed",), **error: str) -> Json:
    verification = {
        "level": 4,
        "reached": reached,
        "checks": [{"name": str(number), "state": each} for number, each in enumerate(checks)],
        "recovery_seconds": 1.25 if reached >= 3 else None,
        "stages": {"reading": 0.5, "starting": 1.0},
        "copies": {"local": {"error": None}},
        "error": error or None,
    }
    return {
        "backup": "ID",
        "state": state,
        "verification": None if state == "error" else verification,
        "error": error or None,
    }


def summed(*results: Json, check_mode: bool = False, **variables: t.Any) -> Json:
    host = {
        "inventory_hostname": "one",
        "lifeboat_selected": [{"id": "a/b/c"}],
        "lifeboat_results": [{"job": "a/b/c", "on": "one", **result} for result in results],
        **variables,
    }
    return verify_play.verify_summary([host], check_mode=check_mode)


def row(summary: Json) -> list[str]:
    return str(summary["table"]).splitlines()[2].split()


def test_a_proof_shows_its_level_checks_and_measured_time() -> None:
    summary = summed({"verifications": [outcome("passed", checks=("passed", "passed", "skipped"))]})
    assert not summary["failed"]
    assert summary["verdict"] == "1 looked at: 1 passed."
    assert " ".join(row(summary)) == "one a/b/c passed ID 4 of 4 2 passed, 1 skipped 1.2 s 1.5 s one"


def test_a_failed_one_is_loud_and_says_why() -> None:
    bad = outcome(
        "failed", reached=2, checks=("passed", "failed"), message="a check failed", code="verify.check_failed"
    )
    summary = summed({"failed": True, "verifications": [bad], "msg": "not proved"})
    assert summary["failed"]
    assert summary["verdict"].splitlines() == ["1 looked at: 1 failed.", "one: a/b/c failed: a check failed"]
    assert "2 of 4" in summary["table"]


@pytest.mark.parametrize(
    ("result", "state", "failed"),
    [
        (
            {"verifications": [outcome("error", message="no mongod", code="tool.missing")], "failed": True},
            "error",
            True,
        ),
        ({"failed": True, "code": "lock.held", "msg": "held"}, "error", True),
        ({"failed": True, "code": "catalog.backup_not_found", "msg": "none"}, "no backup", True),
        ({"verifications": [], "problems": [{"code": "storage.unreachable", "message": "gone"}]}, "error", True),
        ({"verifications": [], "problems": []}, "nothing due", False),
        ({"skipped": True}, "left out", False),
    ],
)
def test_what_nobody_could_prove_is_never_taken_for_proved(result: Json, state: str, failed: bool) -> None:
    summary = summed(result)
    assert summary["failed"] is failed
    assert f"1 {state}" in summary["verdict"]


def test_check_mode_shows_the_plan() -> None:
    summary = summed({"plan": [{"backup": "ID", "level": 3, "state": "complete"}]}, check_mode=True)
    assert not summary["failed"]
    assert " ".join(row(summary)) == "one a/b/c planned ID to 3 - - - one"


def test_a_host_that_could_not_be_reached_is_an_error() -> None:
    summary = summed(lifeboat_proved={"unreachable": True})
    assert summary["failed"]
    assert "one: the host that verifies can't be reached; nothing of it was verified." in summary["verdict"]


def test_a_host_that_is_lost_between_two_proofs_keeps_what_was_proved() -> None:
    lost = {"unreachable": True, "msg": "No route."}
    summary = summed({"verifications": [outcome("passed")]}, lost, lifeboat_proved=lost)
    assert summary["failed"]
    assert summary["verdict"].splitlines() == ["2 looked at: 1 passed, 1 error.", "one: a/b/c error: No route."]


def test_a_host_without_a_result_is_an_error_unless_only_some_engines_were_asked_for() -> None:
    host = {"inventory_hostname": "one", "lifeboat_selected": [{"id": "a/b/c"}], "lifeboat_results": []}
    assert verify_play.verify_summary([host], all_engines=True)["failed"]
    assert not verify_play.verify_summary([host])["failed"]
