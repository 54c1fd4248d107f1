# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``playbooks/restore.yml`` makes of a set: which members come back, where to, and what is told of them."""

from __future__ import annotations

import copy
import typing as t

import pytest

from tests.unit.description.samples import description

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.recovery.plugins.filter import restore_play, set_restore_play

Json = dict[str, t.Any]
SET = "20261121T010000Z-658640"


def with_set() -> Json:
    data = copy.deepcopy(description())
    job = {"kind": "system", "repositories": ["local"], "keep": {"within": "12w"}}
    for service in data["lifeboat_services"]:
        service["sources"].append({"name": "system", "engine": "files", "backups": [job]})
    return data


def target(service: str = "adhd") -> Json:
    data = with_set()
    (one,) = restore_play.restorable(
        data["lifeboat_services"],
        data["lifeboat_repositories"],
        data.get("lifeboat_settings"),
        f"{service}/system",
    )
    return one


def member(name: str, **more: t.Any) -> Json:
    source, kind = name.split("/")
    told = {"source": source, "kind": kind, "id": f"{kind}-id", "instead": None, "problem": None, "restores": []}
    return {**told, **more}


LOGICAL = member("main/logical", instead="adhd/main/base")
BASE = member("main/base")
BESIDE = {"directory": "/srv/restored/"}
IN_PLACE = {"in_place": True, "directory": "/srv/restored"}


def rows(*members: Json, options: t.Any = None, service: str = "adhd", **wishes: t.Any) -> list[Json]:
    data = with_set()
    described = {
        "services": data["lifeboat_services"],
        "repositories": data["lifeboat_repositories"],
        "settings": data.get("lifeboat_settings"),
    }
    found = {"members": list(members), "backup": {"id": SET}, "name": f"{service}/system/system/{SET}"}
    return set_restore_play.set_members(found, target(service), described, options=options, wishes={**BESIDE, **wishes})


def states(found: list[Json]) -> dict[str, str]:
    return {row["name"]: row["state"] for row in found}


def test_a_set_is_found_by_its_source() -> None:
    one = target()
    assert (one["id"], one["module"]) == ("adhd/system/system", "recovery_set")


def test_of_two_forms_of_the_same_data_one_comes_back_in_a_folder_of_its_own() -> None:
    found = rows(LOGICAL, BASE)
    assert states(found) == {"main/logical": "not needed", "main/base": "wanted"}
    assert found[1]["options"]["data_directory"] == f"/srv/restored/{SET}-main-base"
    # The members lie where the set does, not where their own jobs store.
    assert [one["name"] for one in found[1]["target"]["repositories"]] == ["local"]


def test_the_other_form_comes_back_when_it_is_named_or_the_first_is_gone() -> None:
    assert states(rows(LOGICAL, BASE, only="main/logical")) == {"main/logical": "wanted", "main/base": "left out"}
    gone = {**BASE, "problem": "adhd/main/base/base-id is in no repository."}
    found = rows(LOGICAL, gone)
    assert states(found) == {"main/logical": "wanted", "main/base": "impossible"}
    assert set_restore_play.set_unplanned(found, {}) == ["main/base: adhd/main/base/base-id is in no repository."]


def test_options_are_by_member_or_by_source_and_strangers_are_refused() -> None:
    (found,) = rows(BASE, options={"main": {"port": 5433}, "main/base": {"data_directory": "/srv/copy"}})
    assert (found["options"]["port"], found["options"]["data_directory"]) == (5433, "/srv/copy")
    with pytest.raises(AnsibleFilterError, match=r"lifeboat_restore_options names cache.*has: main/base"):
        rows(BASE, options={"cache": {}})
    with pytest.raises(AnsibleFilterError, match="lifeboat_restore_members names main"):
        rows(BASE, only=["main/full"])


def test_in_place_the_folder_of_a_cluster_must_be_said() -> None:
    (found,) = rows(BASE, **IN_PLACE)
    assert found["state"] == "impossible"
    assert '{"main/base": {"data_directory": "/var/lib/postgresql/15/main"}}' in found["why"]
    (found,) = rows(BASE, options={"main": {"data_directory": "/d"}}, **IN_PLACE)
    assert (found["state"], found["options"]["in_place"]) == ("wanted", True)


def test_a_source_that_is_not_described_any_more_can_not_come_back() -> None:
    (found,) = rows(member("lost/rdb"))
    assert (found["state"], found["why"]) == ("impossible", "adhd/lost/rdb is not described here any more.")


@pytest.mark.parametrize(
    ("restore", "wishes", "state"),
    [
        ({"state": "finished", "options": {"in_place": True}}, {"resume": True}, "restored before"),
        ({"state": "discarded", "options": {"in_place": "true"}}, {"resume": True}, "restored before"),
        ({"state": "finished", "options": {"in_place": True}}, {}, "wanted"),  # nobody said to go on
        ({"state": "rolled back", "options": {"in_place": True}}, {"resume": True}, "wanted"),
        ({"state": "died", "options": {"in_place": True}}, {"resume": True}, "wanted"),
        ({"state": "finished", "options": {"data_directory": "/drill"}}, {"resume": True}, "wanted"),  # another place
    ],
)
def test_who_goes_on_passes_over_what_was_restored_to_the_same_place(restore: Json, wishes: Json, state: str) -> None:
    noted = {"id": "20261123T000000Z-aaaaaa", "started": "2026-11-23T00:00:00Z", **restore}
    (found,) = rows(member("cache/rdb", restores=[noted]), service="family", **IN_PLACE, **wishes)
    assert found["state"] == state


def test_the_plan_has_every_member_and_one_name_to_confirm() -> None:
    found = rows(LOGICAL, BASE, member("lost/rdb"))
    text = "adhd/main/base would be restored into /d\n  replaces /d: to go ahead add --confirm '/d'\n"
    told = set_restore_play.set_plan_lines(
        found,
        {"main/base": {"text": text}},
        {"name": "adhd/system/system/X", "backup": {"reason": "the newest"}, "left_out": ["adhd/x: excluded"]},
    )
    assert told[0] == "adhd/system/system/X: 1 of 3 members would be restored"
    assert "2. adhd/main/base would be restored into /d" in told
    assert "     replaces /d" in told
    assert any("not described here any more" in line for line in told)
    assert told[-1] == "not in the set: adhd/x: excluded"


def restored(name: str, **more: t.Any) -> Json:
    told = {"id": f"r-{name}", "seconds": 1.0, "where": f"/srv/{name}", "target": name, "aside": [f"/old/{name}"]}
    return {"restored": {**told, **more}}


def test_the_report_tells_each_and_the_way_back_begins_with_the_last() -> None:
    found = [
        {"name": name, "id": name, "state": state, "why": "because", "target": None, "options": {}}
        for name, state in (("a", "wanted"), ("b", "wanted"), ("c", "wanted"), ("d", "not needed"), ("e", "wanted"))
    ]
    wrong = {"state": "failed", "message": "3 is not 4", "name": "q", "found": 3}
    outcomes = {
        "a": restored("a"),
        "b": {**restored("b"), "answers": [wrong]},
        "c": {"error": "disk full", "broken": False},
    }
    report = set_restore_play.set_report(found, {}, outcomes)
    assert report["problems"] == [
        "b WRONG ANSWER: 3 is not 4",
        "c FAILED: disk full",
        "e not begun: a member before it failed",
    ]
    assert (report["restored"], report["unfinished"], report["broken"]) == (["a", "b"], ["c", "e"], False)
    back = set_restore_play.set_way_back(found, outcomes, state_directory="/state", host="web1")
    assert [line for line in back if not line.startswith(" ")] == ["b:", "a:"]
    assert any("lifeboat restore --roll-back r-b --confirm b" in line for line in back)


def test_one_whose_old_data_is_not_back_is_broken() -> None:
    row = {"name": "a", "id": "a", "state": "wanted", "why": ""}
    assert set_restore_play.set_report([row], {}, {"a": {"error": "no", "broken": True}})["broken"]
    assert set_restore_play.set_way_back([row], {}, state_directory="/s", host="h") == [
        "Nothing was restored, so there is nothing to be taken back."
    ]
