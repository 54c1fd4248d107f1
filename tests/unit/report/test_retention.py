# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan in a terminal at three in the morning: what goes, what stands in the way, why each thing stays."""

from __future__ import annotations

import dataclasses

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.retention import (
    retention_plan_text,
    retention_result_text,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.costs import (
    plan_costs,
    price_table_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import Pin, RetentionPlan
from tests.unit.retention.samples import (
    DAY,
    HOUR,
    INCREMENTAL,
    NOW,
    OPLOG,
    at,
    content,
    daily,
    entry,
    policy,
    stream,
)

DUMPS = Series("adhd", "main", "logical")
FULLS = daily(40, "verified", storage_class="STANDARD_IA", stored_bytes=40_100_000)
LOG = stream(NOW - 9 * DAY, NOW - HOUR / 4, bases=FULLS)
PRICES = price_table_from({"currency": "USD", "classes": {"STANDARD_IA": {"gib_month": 0.0125, "minimum_days": 60}}})


# Lines that end in a backslash go on in the next one.
TOLD = r"""
local at 2026-11-21 12:00Z: would remove 31 of 66 backups (1.2 GB of 1.63 GB) and 1820 segments of streams (1.82 \
MB); 5 more are held back
  saves 0.01 USD a month, and 2.82 MB without a price
  30 are younger than the 60 days that STANDARD_IA bills at least: deleting now still bills up to 53 days (0.02 USD)
  REFUSED: The newest backup of adhd/main/logical, 20261121T090000Z-000000, failed its verification. \
[retention.newest_failed]
    hint: See why: lifeboat show 20261121T090000Z-000000. Make and prove another: lifeboat backup \
adhd/main/logical, then verify. To remove all the same: --allow newest-failed:adhd/main/logical
  allowed all the same: 31 of 42 backups of family/main/full would go at once, and the limit is 50%. \
[retention.share]
  an earlier run left 1 removal unfinished: done first

adhd/main
  logical: nothing goes; 21 stay, 21 MB
    policy: all of the last 15 days; the newest 2 that were proved to restore
    stay: newest 1, within 15d 16, verified 2
    held back by newest-failed: 5 from 20261102T020000Z-000000 to 20261106T020000Z-000000: older than 15d

family/main
  full: 31 go, 1.2 GB; 11 stay, 402 MB
    policy: all of the last 7 days; one a week for 4 weeks; the newest 2 that were proved to restore
    goes: 30 from 20261013T020000Z-000000 to 20261114T020000Z-000000, 1.2 GB: older than 7d, not in weekly 4; 7 to \
10 newer verified
    goes: 20261110T050000Z-000000, 1 MB: failed its verification; older than 7d, not in weekly 4; 11 verified
      under lock: 1, until 2026-12-01 00:00Z at the latest; a later run removes them
    stay: newest 1, within 7d 7, weekly 4, verified 2
    stays: 20260101T020000Z-000000: pinned: before the migration
    stays: 20261015T020000Z-000000: base of increment 20261121T030000Z-000000
    stays: 20261120T020000Z-000000: base of oplog 2026-11-20 02:10Z and later
  incremental: nothing goes; 1 stays, 1 MB
    policy: all of the last 7 days; the newest 2 that were proved to restore
    stay: newest 1, within 7d 1, verified 1
  oplog rs0: 1820 segments of 182 hours go, 1.82 MB; all from 2026-11-20 02:00Z on stays
    why: within 1d; recoveries into it begin from 20261120T020000Z-000000, which reads from 2026-11-20 02:00Z on; \
nothing that stays reads what was recorded before 2026-11-20 02:00Z
  can be recovered now to any moment from 2026-11-13 02:10Z to 2026-11-21 11:45Z
  and then to any moment from 2026-11-20 02:10Z to 2026-11-21 11:45Z

old/cache
  rdb: nothing goes; 2 stay, 2 MB
    policy: none: no job keeps this here
    stay: without a policy 2
"""


def sample() -> RetentionPlan:
    """A bit of everything."""
    pinned = entry("2026-01-01 02:00", pins=(Pin("p", "before the migration", at("2026-01-02 00:00")),))
    failed = entry("2026-11-10 05:00", "failed", locked_until=at("2026-12-01 00:00"))
    increment = entry("2026-11-21 03:00", series=INCREMENTAL, parent=FULLS[2].backup_id)
    return plan(
        content(
            [
                *FULLS,
                pinned,
                failed,
                increment,
                *daily(20, series=DUMPS),
                entry("2026-11-21 09:00", "failed", series=DUMPS),
                *daily(2, series=Series("old", "cache", "rdb")),
            ],
            LOG,
            unfinished_removals=("family/main/full/20200101T020000Z-aaaaaa/",),
        ),
        (
            policy(keep={"within": "7d", "weekly": 4, "minimum_verified": 2}),
            policy(INCREMENTAL, keep={"within": "7d"}),
            policy(OPLOG, keep={"within": "24h"}, is_stream=True),
            policy(DUMPS, keep={"within": "15d"}),
        ),
        now=NOW,
        allow=frozenset({"share"}),
    )


def test_a_plan_is_told_by_source_with_reasons_sizes_and_money() -> None:
    made = sample()
    text = retention_plan_text(made, costs=plan_costs(made, PRICES))
    assert text == TOLD.replace("\\\n", "").strip()


def test_everything_is_told_when_it_is_asked_for() -> None:
    made = sample()
    lines = retention_plan_text(made, everything=True).splitlines()
    ids = [one.entry.backup_id for one in made.decisions]
    assert len(ids) == 66
    for one in made.decisions:
        assert any(one.entry.backup_id in line and "; ".join(one.reasons) in line for line in lines)


def test_a_plan_of_nothing_says_so() -> None:
    made = plan(content(daily(3)), (policy(),), now=NOW)
    assert retention_plan_text(made).splitlines() == [
        "local at 2026-11-21 12:00Z: would remove nothing of 3 backups (3 MB)",
        "",
        "family/main",
        "  full: nothing goes; 3 stay, 3 MB",
        "    policy: all of the last 30 days; the newest 2 that were proved to restore",
        "    stay: newest 1, within 30d 3, verified 2",
    ]


def test_a_stream_that_stays_is_told_too_and_what_would_be_lost() -> None:
    bases = daily(9)
    log = stream(NOW - 9 * DAY, NOW, bases=bases)
    made = plan(content(bases, log), (policy(OPLOG, keep={"within": "30d"}, is_stream=True),), now=NOW)
    lines = retention_plan_text(made).splitlines()
    assert lines[-3] == "  oplog rs0: nothing goes"
    assert lines[-1] == "  can be recovered, now and then, to any moment from 2026-11-13 02:10Z to 2026-11-21 12:00Z"
    gone = dataclasses.replace(made, windows_after=())
    assert retention_plan_text(gone).splitlines()[-1] == "  and then to NO moment"


def test_what_is_without_a_name_is_counted_from_ten_on() -> None:
    pinned = [entry(NOW - DAY * day, pins=(Pin("p", f"case {chr(97 + day)}", NOW),)) for day in range(40, 60)]
    made = plan(content([*daily(3), *pinned]), (policy(),), now=NOW)
    lines = retention_plan_text(made).splitlines()
    assert sum("pinned" in line for line in lines) == 10
    assert lines[-1] == "    stays: 10 more, each for a reason of its own"


def test_many_that_stay_for_one_reason_are_one_line() -> None:
    made = plan(content([*daily(30, "complete", last=31), *daily(1)]), (policy(),), now=NOW)
    assert "    stays: 30 from 20260922T020000Z-000000 to 20261021T020000Z-000000: only 1 newer verified of 2" in (
        retention_plan_text(made).splitlines()
    )


def test_a_result_says_what_is_gone_what_is_not_and_why() -> None:
    made = sample()
    ids = [one.entry.backup_id for one in made.removals]
    text = retention_result_text(
        made,
        removed=[*ids[3:], "20200101T020000Z-aaaaaa"],
        freed_bytes=1_100_000_000,
        streams=[one for one in made.streams if one.keep_from],
        deferred={ids[0]: at("2026-12-01 00:00"), "20260303T030303Z-cccccc": None},
        spared={ids[1]: "20261121T120001Z-bbbbbb builds on it"},
        refused={ids[2]: "403: not you"},
        left=["20260202T020202Z-dddddd"],
    )
    assert text.splitlines() == [
        "local: 29 backups removed, 1.1 GB freed",
        "  family/main/full: 28",
        "  of an earlier run: 1",
        "  family/main/oplog: what was recorded before 2026-11-20 02:00Z, 1820 segments of 182 hours",
        "  under lock, and tried again when it ends: 20260303T030303Z-cccccc: no date is known",
        f"  under lock, and tried again when it ends: {ids[0]}: 2026-12-01 00:00Z",
        f"  stays all the same: {ids[1]}: 20261121T120001Z-bbbbbb builds on it",
        f"  COULD NOT BE REMOVED: {ids[2]}: 403: not you",
        "  not begun: 1 backup; the next run goes on",
    ]
