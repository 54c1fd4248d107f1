# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""To which moment a source can be brought back: windows of its stream, and the newest backup."""

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_noted import noted_facts
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.status_objectives import (
    rpo_fact,
    rto_fact,
    window_fact,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.status_points import stream_point
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_status import StreamStatus
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.windows import Window, Windows
from tests.support.clocks import START
from tests.support.manifests import BACKUP_ID, manifest

NOW = START + datetime.timedelta(hours=2)
MINUTE = datetime.timedelta(minutes=1)


def stream(*, ends: datetime.datetime, noted: datetime.datetime | None = None, **last: t.Any) -> StreamStatus:
    run = {"state": "complete", "finished": format_time(NOW - MINUTE), **last}
    if noted is not None:
        run["stored_until"] = format_time(noted)
    return StreamStatus(
        job="family/main/wal",
        engine="postgresql",
        newest={
            "lineage": "1",
            "name": "000000010000000000000003",
            "ends": format_time(ends),
            "stored": format_time(ends),
        },
        newest_by="repositories",
        spool=None,
        alarm_age=5 * MINUTE,
        last_run=run,
        running=None,
        repositories=("local",),
        seen=NOW,
    )


def windows(ends: datetime.datetime, bases: tuple[str, ...] = (BACKUP_ID,)) -> Windows:
    window = Window(lineage="1", begins=START, ends=ends, first="a", last="b", bases=bases)
    return Windows(windows=(window,))


BASE = [Backup(manifest=manifest(kind="base"), repositories={"local": "complete"})]


def test_the_end_of_the_newest_window_is_the_point_and_its_base_says_how_long_it_takes() -> None:
    ends = NOW - 3 * MINUTE
    point = stream_point(stream(ends=ends), windows(ends), BASE)
    assert point is not None
    assert (point.moment, point.by, point.base, point.grace) == (ends, "family/main/wal", "base", 5 * MINUTE)
    fact = rpo_fact(point, 5 * MINUTE, now=NOW)
    assert (fact["seconds"], fact["verdict"]) == (180.0, "met")
    assert rpo_fact(point, 2 * MINUTE, now=NOW)["verdict"] == "late"
    late = stream_point(stream(ends=NOW - 30 * MINUTE), windows(NOW - 30 * MINUTE), BASE)
    assert rpo_fact(late, 5 * MINUTE, now=NOW)["verdict"] == "missed"
    assert rto_fact({"base": {"forecast": {"seconds": 60.0, "count": 2}}}, point, MINUTE)["verdict"] == "met"
    assert rto_fact({"base": {"forecast": {"seconds": 61.0, "count": 2}}}, point, MINUTE)["verdict"] == "missed"
    assert rto_fact({"logical": {"forecast": {"seconds": 1.0, "count": 2}}}, point, MINUTE)["verdict"] == "unknown"


def test_a_server_that_writes_nothing_loses_nothing_where_a_run_proved_it() -> None:
    ends = NOW - 60 * MINUTE
    proved = stream(ends=ends, noted=NOW - 2 * MINUTE)
    point = stream_point(proved, windows(ends), BASE)
    assert point is not None
    assert point.moment == NOW - 2 * MINUTE
    # not where the window ends before the newest segment: what lies behind a gap can't be replayed
    torn = stream_point(proved, windows(ends - 30 * MINUTE), BASE)
    assert torn is not None
    assert torn.moment == ends - 30 * MINUTE


def test_a_stream_without_a_base_gives_no_point() -> None:
    assert stream_point(stream(ends=NOW), None, BASE) is None
    assert stream_point(stream(ends=NOW), Windows(windows=()), BASE) is None


def test_the_window_against_its_objective() -> None:
    found = windows(NOW)
    assert window_fact(found, 2 * 60 * MINUTE, now=NOW)["verdict"] == "met"
    assert window_fact(found, 3 * 60 * MINUTE, now=NOW)["verdict"] == "short"
    assert window_fact(None, None, now=NOW)["verdict"] is None


PROVING = {
    "archive_timeout_seconds": 60,
    "archive_mode": "on",
    "in_recovery": False,
    "ready_count": 0,
    "is_failing": False,
}


@pytest.mark.parametrize(
    ("changes", "state", "waiting", "proves"),
    [
        ({}, "complete", 0, True),
        ({}, "partial", 0, False),
        ({}, "complete", 1, False),
        ({"ready_count": 2}, "complete", 0, False),
        ({"ready_count": None}, "complete", 0, False),
        ({"archive_timeout_seconds": 0}, "complete", 0, False),
        ({"in_recovery": True}, "complete", 0, False),
        ({"archive_mode": "off"}, "complete", 0, False),
        ({"is_failing": True}, "complete", 0, False),
    ],
)
def test_a_run_proves_that_all_is_stored_only_when_nothing_can_wait(
    changes: dict[str, t.Any], state: str, waiting: int, proves: bool
) -> None:
    noted = noted_facts({**PROVING, **changes}, state=state, waiting=waiting, inspected=NOW)
    assert noted == ({"stored_until": format_time(NOW - MINUTE)} if proves else {})


def test_the_hours_of_an_oplog_are_noted() -> None:
    assert noted_facts({"oplog": {"hours_left": 7.5}}, state="partial", waiting=3, inspected=NOW) == {
        "oplog_hours": 7.5
    }
