# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recoverable windows of a cluster, by manifests and records alone."""

from __future__ import annotations

import datetime
import time

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_windows import wal_windows
from tests.unit.postgresql.wal_archives import (
    LINEAGE,
    at,
    base,
    failover,
    lsn,
    segment,
    segments,
    stream,
    two_timelines,
)

SECOND = datetime.timedelta(seconds=1)


def test_one_window() -> None:
    bases = [base(3), base(8)]
    found = wal_windows(bases, [stream(*segments(1, 20))])
    [window] = found.windows
    assert (window.begins, window.ends) == (at(3), at(20) - SECOND)
    assert (window.first, window.last) == (f"1/{lsn(3, 0x138)}", f"1/{lsn(21)}")
    assert window.bases == tuple(one.manifest.backup_id for one in bases)
    assert (window.segments, window.stored_bytes) == (17, 17000)
    assert window.lineage == LINEAGE
    assert found.gaps == found.warnings == ()
    assert found.as_dict()["windows"][0]["begins"] == "2026-11-20T12:03:00Z"


def test_a_hole_ends_a_window_and_the_next_base_begins_one() -> None:
    found = wal_windows([base(3), base(14)], [stream(*segments(3, 9), *segments(11, 20))])
    first, second = found.windows
    assert (first.begins, first.ends) == (at(3), at(9) - SECOND)
    assert (second.begins, second.ends) == (at(14), at(20) - SECOND)
    [gap] = found.gaps
    assert (gap.begins, gap.ends) == (first.ends, second.begins)
    assert gap.reason == "00000001000000000000000A is in no repository"


def test_a_hole_behind_the_last_base_is_open() -> None:
    [gap] = wal_windows([base(3)], [stream(*segments(3, 9), *segments(11, 20))]).gaps
    assert gap.ends is None


def test_the_abandoned_end_of_a_timeline_is_a_window_too() -> None:
    found = wal_windows([base(3)], [stream(*two_timelines())])
    old, new = found.windows
    assert (old.begins, old.ends, old.last) == (at(3), at(20) - SECOND, f"1/{lsn(21)}")
    assert (new.begins, new.ends, new.first) == (at(30), at(44) - SECOND, f"2/{lsn(12, 0x800000)}")
    [gap] = found.gaps
    assert (gap.begins, gap.ends) == (old.ends, new.begins)
    assert "timeline 1 was left" in gap.reason


def test_a_failover_leaves_no_gap() -> None:
    found = wal_windows([base(3)], [stream(*failover())])
    old, new = found.windows
    assert old.ends == new.begins == at(11) - SECOND
    assert found.gaps == ()


def test_a_base_without_wal_behind_it() -> None:
    [window] = wal_windows([base(3)], [stream(segment(1))]).windows
    assert window.begins == window.ends == at(3)
    assert window.segments == 0


def test_what_is_worth_a_warning() -> None:
    other = base(5, lineage="7399999999999999999", mark="bbbbbb")
    wal = [*two_timelines(), segment(10, sha256="cd" * 32)]
    wal = [one for one in wal if not one.segment.name.endswith(".history")]
    found = wal_windows([base(3), base(8, state="failed"), other], [stream(*wal)])
    text = "\n".join(found.warnings)
    for words in ("verification failed", "stored twice", "without 00000002.history", "no WAL of it"):
        assert words in text
    assert "no base backup" in wal_windows([], [stream(*segments(3, 5))]).warnings[0]
    assert wal_windows([], []).windows == ()


def test_thirty_thousand_segments_take_a_moment() -> None:
    wal = stream(*segments(3, 30_000))
    begun = time.process_time()
    found = wal_windows([base(number) for number in range(3, 30_000, 5_000)], [wal])
    assert len(found.windows) == 1
    assert time.process_time() - begun < 5
