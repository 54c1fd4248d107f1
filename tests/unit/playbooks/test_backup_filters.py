# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The summary of ``playbooks/backup.yml``: a host that can't be reached is told, once and loudly."""

from __future__ import annotations

import typing as t

import pytest

backup_play: t.Any = pytest.importorskip("ansible_collections.lifeboat.recovery.plugins.filter.backup_play")

Json = dict[str, t.Any]

LOST = {"unreachable": True, "msg": "No route."}
MADE = {
    "job": "a/b/full",
    "backup": {
        "state": "complete",
        "id": "ID",
        "plain_bytes": 1,
        "stored_bytes": 1,
        "seconds": 1.0,
        "repositories": [{"name": "local", "state": "complete"}],
    },
}


def summed(*results: Json, all_engines: bool = True, **variables: t.Any) -> Json:
    selected = [{"id": "a/b/full"}, {"id": "a/b/rdb"}]
    host = {"inventory_hostname": "one", "lifeboat_selected": selected, "lifeboat_results": list(results), **variables}
    return dict(backup_play.backup_summary([host], all_engines=all_engines))


def test_a_host_that_could_not_be_reached_is_told_once() -> None:
    for results in ([], [{"job": "a/b/oplog", "skipped": True}]):
        summary = summed(*results, lifeboat_made=LOST)
        assert summary["failed"]
        assert "one: can't be reached; none of its 2 jobs ran." in summary["verdict"]


def test_a_host_that_is_lost_between_two_jobs_keeps_what_was_made() -> None:
    summary = summed(MADE, {"job": "a/b/rdb", **LOST}, lifeboat_made=LOST)
    assert summary["verdict"].splitlines() == [
        "2 jobs: 1 complete, 1 failed.",
        "one: a/b/rdb failed: No route.",
    ]


def test_a_host_without_a_result_failed_unless_only_some_engines_were_asked_for() -> None:
    assert summed()["failed"]
    assert not summed(all_engines=False)["failed"]
    assert not summed(MADE)["failed"]


def test_a_host_that_is_lost_in_check_mode_has_no_plan() -> None:
    host = {"inventory_hostname": "one", "lifeboat_selected": [{"id": "a/b/c"}], "lifeboat_results": [{"job": "a/b/c"}]}
    assert "1 planned" in backup_play.backup_summary([host], check_mode=True)["verdict"]
    host["lifeboat_results"] = [{"job": "a/b/c", **LOST}]
    assert "1 failed" in backup_play.backup_summary([host], check_mode=True)["verdict"]


@pytest.mark.parametrize(
    ("silent", "used"),
    [([], ["near", "far"]), (["near"], ["far"]), (["other"], ["near", "far"]), (["near", "far"], ["near", "far"])],
)
def test_a_repository_that_is_silent_is_left_out_unless_none_would_be_left(silent: list[str], used: list[str]) -> None:
    uses = [{"name": name, "description": {"type": "file", "path": f"/srv/{name}"}} for name in ("near", "far")]
    uses.append({"name": "sources", "description": {"type": "git", "path": "/srv/git"}})
    played = backup_play.job_repositories({"repositories": uses}, silent=silent)
    assert [one["name"] for one in played] == used
