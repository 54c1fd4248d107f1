# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``playbooks/status.yml`` asks each host, and what it makes of the answers."""

from __future__ import annotations

import datetime
import json
import pathlib
import typing as t

import pytest

from tests.support.watched import NOW, Watched
from tests.unit.description.samples import changed, description

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible_collections.lifeboat.recovery.plugins.filter import status_play

Json = dict[str, t.Any]


class At:
    """A clock that stands still."""

    def now(self) -> datetime.datetime:
        return NOW


def asked(data: Json, select: t.Any = None) -> Json:
    return status_play.status_request(
        data["lifeboat_services"], data["lifeboat_repositories"], data.get("lifeboat_settings"), select
    )


def summed(*hosts: Json) -> Json:
    return status_play.status_summary(hosts, clock=t.cast("t.Any", At()))


def host(name: str, **more: t.Any) -> Json:
    return {"inventory_hostname": name, "lifeboat_request": {"has_jobs": True, "unmet_objectives": []}, **more}


def test_what_would_open_a_database_stays_on_the_controller() -> None:
    data = changed("lifeboat_services.0.sources.1.connection", {"port": 6379, "password": "s3cret"})
    request = asked(data)
    assert "s3cret" not in json.dumps(request)
    assert data["lifeboat_services"][0]["sources"][1]["connection"]["password"] == "s3cret"
    assert request["has_jobs"]
    # what is asked is a description all the same
    again = request["description"]
    assert asked(again)["jobs"] == request["jobs"]


def test_a_selection_chooses_jobs_of_each_host_and_what_nobody_has_is_named() -> None:
    request = asked(description(), "family/main,nowhere/at/all")
    assert request["jobs"] == ["family/main/full", "family/main/oplog"]
    assert not asked(description(), "nowhere")["has_jobs"]
    assert status_play.unmatched_in_status("family/main,nowhere/at/all", [request]) == ["nowhere/at/all"]


def test_objectives_that_no_schedule_meets_are_told_and_nothing_is_well(tmp_path: pathlib.Path) -> None:
    request = asked(changed("lifeboat_services.0.sources.1.objectives", {"rpo": "15m"}))
    (one,) = request["unmet_objectives"]
    assert one["place"] == "family/cache"
    site = Watched(tmp_path)
    site.verification(site.backup(3), hours_ago=1)
    answer = {"status": site.report().document}
    found = summed({**host("db1", lifeboat_answer=answer), "lifeboat_request": request})
    assert "objective: db1: family/cache: an rpo of 15 minutes can't be met" in found["verdict"]
    assert not found["well"]
    assert summed(host("db1", lifeboat_answer=answer))["well"]


def test_each_host_that_did_not_answer_is_named_with_its_reason(tmp_path: pathlib.Path) -> None:
    site = Watched(tmp_path)
    site.backup(27)
    found = summed(
        host("db1", lifeboat_answer={"status": site.report().document}),
        host("db2", lifeboat_answer={"unreachable": True, "msg": "No route."}),
        host("db3", lifeboat_answer={"failed": True, "msg": "cronsim is needed."}),
        host("db4"),
        {"inventory_hostname": "plain"},
    )
    lines = found["table"].splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["db1", "db2", "db3", "db4"]
    assert "overdue" in lines[2]
    assert "27 h 0 min of 1d, missed" in lines[2]
    assert "1 of 4 hosts answered." in found["verdict"]
    assert "not asked: db2: The host can't be reached: No route." in found["verdict"]
    assert "not asked: db3: cronsim is needed." in found["verdict"]
    assert "critical: db1: family/main/full: The run that was due" in found["verdict"]
    assert not found["well"]
    page = status_play.status_html(found["report"], clock=t.cast("t.Any", At()))
    assert page.count("Could not be asked.") == 3
