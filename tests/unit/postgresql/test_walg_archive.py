# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL-G's archive as a plan: never over a hole."""

from __future__ import annotations

import datetime
import types
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RecoveryTargetUnreachable,
    RequestInvalid,
    WalgArchiveBroken,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.walg_archive import (
    walg_plan,
    walg_target,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget


def segment(number: int) -> str:
    return f"0000000300000000{number:08X}"


MANIFEST: t.Any = types.SimpleNamespace(
    backup_id="20261121T203021Z-4f2c91",
    content={
        "timeline": 3,
        "system_identifier": "7710724796047330815",
        "end_lsn": "0/4000100",
        "wal": {"first": segment(3), "last": segment(4), "segments": 2, "segment_size": 16777216},
        "walg": {"finished": "2026-11-21T20:30:21.506213Z"},
    },
)
LATEST = RecoveryTarget(kind="latest")
TIME = RecoveryTarget(kind="time", value="2026-11-21T21:00:00Z")


class Clock:
    """It is the day after."""

    def now(self) -> datetime.datetime:
        return datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc)

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        pytest.fail(f"{seconds} s were waited")


def names(target: RecoveryTarget, *, last: int, missing: t.Collection[str] = ()) -> list[str]:
    plan = walg_plan(MANIFEST, target, last=segment(last), missing=missing)
    assert plan.facts["recovery_target_timeline"] == "current"
    return [one.segment.name for one in plan.segments]


def test_from_the_backup_s_first_to_the_archive_s_last() -> None:
    assert names(LATEST, last=6) == [segment(number) for number in (3, 4, 5, 6)]
    assert names(LATEST, last=4) == [segment(3), segment(4)]


def test_a_hole_ends_the_plan_and_is_no_latest() -> None:
    assert names(TIME, last=7, missing={segment(6)}) == [segment(3), segment(4), segment(5)]
    assert segment(6) in walg_plan(MANIFEST, TIME, last=segment(7), missing={segment(6)}).warnings[0]
    with pytest.raises(WalgArchiveBroken, match=segment(6)):
        names(LATEST, last=7, missing={segment(6)})


@pytest.mark.parametrize("target", [LATEST, TIME])
def test_without_its_own_wal_a_backup_is_of_no_use(target: RecoveryTarget) -> None:
    for last, missing in ((7, {segment(4)}), (3, set()), (0, set())):
        with pytest.raises(WalgArchiveBroken):
            names(target, last=last, missing=t.cast("set[str]", missing))


def test_targets() -> None:
    assert walg_target(MANIFEST, {"time": "2026-11-21T20:30:22Z"}, clock=Clock()).kind == "time"
    assert walg_target(MANIFEST, {"lsn": "3/0/4000100"}, clock=Clock()).timeline == "3"
    for early in ({"time": "2026-11-21T20:30:21Z"}, {"lsn": "0/40000FF"}):
        with pytest.raises(RecoveryTargetUnreachable, match="before the end"):
            walg_target(MANIFEST, early, clock=Clock())
    with pytest.raises(RequestInvalid, match="followed on that one only"):
        walg_target(MANIFEST, {"latest": True, "timeline": 4}, clock=Clock())
    with pytest.raises(RequestInvalid, match="not immediate"):
        walg_target(MANIFEST, {"immediate": True}, clock=Clock())
