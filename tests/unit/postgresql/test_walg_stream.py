# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL-G's archive as a stream: what is claimed of it, and what is not.

The program is none: it gives the answers of the genuine one, with segments as PostgreSQL writes them. The genuine one
is tried in tests/integration/postgresql/test_walg_recover.py.
"""

from __future__ import annotations

import datetime
import pathlib
import typing as t
from dataclasses import dataclass, field

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    RecoveryTargetUnreachable,
    WalgBackupMissing,
    WalgSegmentMissing,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql import walg_stream
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.recovery_planner import (
    PgRecoveryPlanner,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_names import (
    format_lsn,
    segment_name,
    segments_between,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_windows import wal_windows
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.walg_records import StoredTimeline
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_planner import RecoveryPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import (
    recovery_target_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.vendor_archive import VendorArchives
from tests.support.wal import MEBIBYTE, WalWriter
from tests.unit.postgresql.wal_archives import LINEAGE, at, base


def name(number: int, *, timeline: int = 1) -> str:
    return segment_name(timeline=timeline, number=number, segment_size=MEBIBYTE)


@dataclass
class Archive:
    """Files by their names; those that are None are there and can't be fetched."""

    files: dict[str, bytes | None] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    account: str | None = None
    path: str = "wal-g"

    def put(self, number: int, *, timeline: int = 1, commits: t.Sequence[datetime.datetime], rows: int = 0) -> None:
        """A segment with these commits, after so many changes of rows."""
        writer = WalWriter(number=number, timeline=timeline, segment_size=MEBIBYTE, identifier=LINEAGE)
        for moment in commits:
            writer.commit(moment)
            writer.rows(rows)
        writer.fill()
        self.files[name(number, timeline=timeline)] = writer.segment()

    def timelines(self) -> tuple[StoredTimeline, ...]:
        found = []
        for timeline in sorted({int(one[:8], 16) for one in self.files if len(one) == 24}):
            own = sorted(one for one in self.files if len(one) == 24 and int(one[:8], 16) == timeline)
            between = set(segments_between(own[0], own[-1], segment_size=MEBIBYTE))
            found.append(StoredTimeline(timeline, own[0], own[-1], frozenset(between - set(own))))
        return tuple(found)

    def fetch_wal(self, what: str, path: str, *, segment_size: int | None, clock: t.Any) -> None:
        del segment_size, clock
        self.fetched.append(what)
        data = self.files.get(what)
        if data is None:
            raise WalgSegmentMissing(f"{what} is not in WAL-G's storage.", hint="-", details={"segment": what})
        pathlib.Path(path).write_bytes(data)


def walg_base(number: int, *, minutes: float, mark: str = "aaaaaa", storage: str = "s3://it", **more: t.Any) -> Backup:
    return base(
        number,
        minutes=minutes,
        mark=mark,
        start_lsn=format_lsn(number * MEBIBYTE + 0x28),
        end_lsn=format_lsn(number * MEBIBYTE + 0x138),
        tool={"name": "wal-g"},
        walg={"backup_name": f"base_{name(number)}", "storage": storage, "config": "/etc/wal-g.json"},
        wal={"segment_size": MEBIBYTE, "first": name(number), "last": name(number)},
        **more,
    )


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Archive:
    made = Archive()
    monkeypatch.setattr(walg_stream, "open_walg", lambda *_arguments, **_named: made)
    monkeypatch.setattr(walg_stream, "server_account", lambda: None)
    return made


def read(*bases: Backup) -> VendorArchives:
    return walg_stream.read_walg_archives(bases, options={}, host=Host())


def plan(found: VendorArchives, *bases: Backup, **target: t.Any) -> RecoveryPlan:
    now = at(600)
    wanted = recovery_target_from(target, now=now)
    return PgRecoveryPlanner().plan(bases=bases, streams=found.streams, target=wanted, now=now)


def test_a_window_ends_with_the_last_commit_that_is_archived(archive: Archive) -> None:
    for number in range(3, 8):
        archive.put(number, commits=[at(number), at(number + 0.5)])
    one = walg_base(3, minutes=3.1)
    found = read(one)
    assert not found.problems
    (window,) = wal_windows([one], found.streams).windows
    assert (window.begins, window.ends) == (at(3.1), at(7.5))
    assert archive.fetched == [name(7)]  # nothing else is needed
    planned = plan(found, one, time="2026-11-20T12:05:00Z")
    assert [segment.segment.name for segment in planned.segments] == [name(number) for number in range(3, 8)]
    with pytest.raises(RecoveryTargetUnreachable):
        plan(found, one, time="2026-11-20T12:07:31Z")
    with pytest.raises(RecoveryTargetUnreachable):
        plan(found, one, time="2026-11-20T12:03:00Z")


def test_of_an_idle_server_the_last_segments_tell_nothing_and_nothing_is_made_up(archive: Archive) -> None:
    archive.put(3, commits=[at(3)])
    for number in (4, 5):
        archive.put(number, commits=[])
    one = walg_base(3, minutes=3.1)
    (window,) = wal_windows([one], read(one).streams).windows
    assert archive.fetched == [name(5), name(4), name(3)]
    assert window.ends == at(3.1)  # the commit was before the backup's end, which counts
    for number in range(6, 10):
        archive.put(number, commits=[])
    archive.fetched.clear()
    (window,) = wal_windows([one], read(one).streams).windows
    assert archive.fetched == [name(number) for number in (9, 8, 7, 6)]
    assert window.ends == at(3.1)


def test_a_hole_ends_it(archive: Archive) -> None:
    for number in (3, 4, 6):
        archive.put(number, commits=[at(number)])
    one = walg_base(3, minutes=3.1)
    found = wal_windows([one], read(one).streams)
    assert [gap.reason for gap in found.gaps] == [f"{name(5)} is in no repository"]
    with pytest.raises(RecoveryTargetUnreachable, match=name(5)):
        plan(read(one), one, latest=True)


def two_timelines(archive: Archive) -> Backup:
    """Timeline 1 to segment 9; at minute 20 it was recovered to the middle of segment 5: timeline 2."""
    for number in range(3, 10):
        archive.put(number, commits=[at(number), at(number + 0.2)], rows=1000)
    switch = 5 * MEBIBYTE + MEBIBYTE // 2
    archive.files["00000002.history"] = f"1\t{format_lsn(switch)}\tbefore 2026-11-20 12:05:10+00\n".encode()
    writer = WalWriter(number=5, timeline=2, segment_size=MEBIBYTE, identifier=LINEAGE)
    writer.commit(at(5))
    while writer.position < switch:
        writer.rows(10)
    writer.rows(100)  # to a page behind the switch
    writer.commit(at(20))
    writer.fill()
    archive.files[name(5, timeline=2)] = writer.segment()
    for number in (6, 7):
        archive.put(number, timeline=2, commits=[at(number + 20)])
    return walg_base(3, minutes=3.1)


def test_what_was_abandoned_is_told_from_what_went_on(archive: Archive) -> None:
    one = two_timelines(archive)
    found = read(one)
    assert not found.problems
    for minute, timeline in ((4, 1), (8, 1), (21, 2)):
        planned = plan(found, one, time=f"2026-11-20T12:{minute:02}:00Z")
        assert planned.facts["timeline"] == timeline, minute
    latest = plan(found, one, latest=True)
    assert [segment.segment.name for segment in latest.segments] == [
        "00000002.history",
        name(3),
        name(4),
        name(5, timeline=2),
        name(6, timeline=2),
        name(7, timeline=2),
    ]
    # Between the end of the one and the first commit of the other nobody knows.
    with pytest.raises(RecoveryTargetUnreachable):
        plan(found, one, time="2026-11-20T12:15:00Z")


def test_a_timeline_without_its_history_is_named_and_not_followed(archive: Archive) -> None:
    one = two_timelines(archive)
    del archive.files["00000002.history"]
    found = read(one)
    (stream,) = found.streams
    assert any("00000002.history" in problem.message for problem in stream.problems)
    assert plan(found, one, time="2026-11-20T12:08:00Z").facts["timeline"] == 1
    assert plan(found, one, latest=True).facts["timeline"] == 1


def test_a_damaged_end_is_a_problem_and_no_claim(archive: Archive) -> None:
    for number in (3, 4, 5):
        archive.put(number, commits=[at(number)])
    archive.files[name(5)] = bytes(MEBIBYTE)
    one = walg_base(3, minutes=3.1)
    found = read(one)
    (stream,) = found.streams
    assert any(name(5) in problem.message for problem in stream.problems)
    (window,) = wal_windows([one], found.streams).windows
    assert window.ends == at(3.1)


def test_a_storage_without_an_answer_is_told_and_the_others_count(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.put(3, commits=[at(3)])
    gone = walg_base(3, minutes=3.2, mark="bbbbbb", storage="s3://gone")
    here = walg_base(3, minutes=3.1)

    def open_walg(manifest: t.Any, **_named: t.Any) -> Archive:
        if manifest.content["walg"]["storage"] == "s3://gone":
            raise WalgBackupMissing("It is not there.", hint="-")
        return archive

    monkeypatch.setattr(walg_stream, "open_walg", open_walg)
    found = read(gone, here)
    assert [problem.code for problem in found.problems] == ["postgresql.walg_backup_missing"]
    assert len(found.streams) == 1
    assert read(base(3)) == VendorArchives()  # nobody is asked for backups of our own


def test_the_reader_is_for_what_wal_g_keeps_and_asks_for_each(archive: Archive, tmp_path: pathlib.Path) -> None:
    for number in (3, 4):
        archive.put(number, commits=[at(number)])
    one = walg_base(3, minutes=3.1)
    planned = plan(read(one), one, latest=True)
    reader = walg_stream.open_walg_archive(planned, base=one, options={}, host=Host())
    assert reader is not None
    reader.check()
    reader.fetch(planned.segments[1], str(tmp_path / "it"))
    assert (tmp_path / "it").read_bytes() == archive.files[name(4)]
    noted = RecoveryPlan(
        target=planned.target, base=one, lineage=LINEAGE, segments=(), why=(), facts=dict(reader.plan.facts)
    )
    again = walg_stream.open_walg_archive(
        noted, base=one, options={}, host=Host(), segments=[segment.segment.name for segment in planned.segments]
    )
    assert again is not None
    assert [segment.segment.name for segment in again.plan.segments] == [name(3), name(4)]
    again.check()
    del archive.files[name(4)]
    with pytest.raises(RecoveryTargetUnreachable, match=name(4)) as refused:
        again.check()
    assert refused.value.details["segment"] == name(4)
    ours = RecoveryPlan(target=planned.target, base=one, lineage=LINEAGE, segments=(), why=())
    assert walg_stream.open_walg_archive(ours, base=one, options={}, host=Host()) is None


def test_options_of_wal_g_are_checked(archive: Archive) -> None:
    archive.put(3, commits=[at(3)])
    found = walg_stream.read_walg_archives(
        [walg_base(3, minutes=3.1)], options={"walg": {"colour": "red"}}, host=Host()
    )
    assert isinstance(found.problems[0], LifeboatError)
    assert "colour" in found.problems[0].message
