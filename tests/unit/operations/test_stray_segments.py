# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Segments that no record names are in the plan and go with it; what a record may name somewhere, never."""

from __future__ import annotations

import datetime
import json
import pathlib
import typing as t

import pytest

import ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune as prune_module
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import keep_policy_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import PlanChanged, PlanInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import stray_segments
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune import plan_prune, run_prune
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_plans import (
    PrunePlans,
    parse_plans,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_values import (
    JobPolicy,
    PruneRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.prune import plans_text, pruned_text
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import Segment
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage
from tests.support.pruning import FOLDER, fill, put_hour, put_segment, wal
from tests.support.stream_hours import BEGIN, hour, put_record, record_of
from tests.unit.postgresql.wal_archives import segment

DAY = 86400.0
WEEK = datetime.timedelta(days=7)


def wal_segment(number: int) -> Segment:
    return segment(number, sha256=f"{number:064x}").segment


class Rig:
    """WAL of eight hours in a repository in memory, and prunes of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path, **storage: t.Any) -> None:
        self.state = str(folder / "state")
        self.clock = FakeClock(BEGIN)
        self.storage: Storage = MemoryStorage(clock=self.clock, **storage)
        self.host = Host(clock=self.clock, journal=MemoryJournal(), name="pruner")
        fill(self.storage)
        monkeypatch.setattr(prune_module, "open_storage", lambda *_given, **_more: self.storage)

    def stray(self, number: int) -> str:
        """A segment that was stored and never recorded; its key."""
        return put_segment(self.storage, wal_segment(number))

    def request(self, *, within: str = "", **changes: t.Any) -> PruneRequest:
        policy = JobPolicy(
            repository="it",
            series=FOLDER.series,
            engine="postgresql",
            job="wal",
            keep=keep_policy_from({"within": within} if within else {"forever": True}),
        )
        given = {"allow": frozenset({"share"}) if within == "1h" else frozenset(), **changes}
        return PruneRequest(
            repositories=(RepositoryRequest(name="it", description={"type": "memory"}),),
            policies=(policy,),
            state_directory=self.state,
            **given,
        )

    def plan(self, **changes: t.Any) -> PrunePlans:
        return plan_prune(self.request(**changes), host=self.host)

    def planned(self, **changes: t.Any) -> list[str]:
        """The keys of what would be swept."""
        return [one.place for one in self.plan(**changes).leftovers["it"].orphans if not one.kept]

    def prune(self, *, plan_hash: str | None = None, **changes: t.Any) -> list[tuple[str, bool, str]]:
        """What became of the leftovers."""
        result = run_prune(self.request(**changes), plan_hash=plan_hash, host=self.host)
        (one,) = result.repositories
        assert one.swept.error is None
        pruned_text(result)
        return [(orphan.place, orphan.is_removed, orphan.kept) for orphan in one.swept.orphans]

    @property
    def keys(self) -> set[str]:
        return {found.key for found in self.storage.list()}


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Rig:
    return Rig(monkeypatch, tmp_path)


def test_it_is_planned_with_reason_size_and_key_and_goes_with_the_plan(rig: Rig) -> None:
    before = rig.keys
    key = rig.stray(90)
    rig.clock.advance(WEEK.total_seconds())
    assert rig.planned() == []
    rig.clock.advance(1)
    plans = rig.plan()
    text = plans_text(plans)
    assert "leftovers that belong to nothing: 1 would be swept" in text
    assert f"{key}: segment that no record names, 1 kB, stored at 2026-11-21" in text
    assert plans.removes_something
    assert rig.keys == {*before, key}
    assert rig.prune(plan_hash=plans.hash) == [(key, True, "")]
    assert rig.keys == before
    assert rig.planned() == []
    assert rig.prune() == []


def test_the_age_is_that_of_the_storages_clock(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """This host is three days ahead of it."""
    key = rig.stray(90)
    monkeypatch.setattr(rig.storage, "clock_skew", lambda: -3 * DAY)
    rig.clock.advance(8 * DAY)
    assert rig.planned(allow=frozenset({"clock"})) == []
    rig.clock.advance(3 * DAY)
    assert rig.planned(allow=frozenset({"clock"})) == [key]


def test_the_hash_is_about_what_would_be_swept(rig: Rig) -> None:
    rig.clock.advance(DAY)
    keys = [rig.stray(90)]
    rig.clock.advance(8 * DAY)
    plans = rig.plan()
    document = json.dumps(plans.as_dict()).encode()
    reviewed = parse_plans(document)
    with pytest.raises(PlanInvalid):
        parse_plans(document.replace(keys[0].encode(), keys[0].replace("005A", "005B").encode()))
    # Another one of that age: as if the listing had not shown it.
    later = put_segment(MemoryStorage(clock=FakeClock(BEGIN)), wal_segment(91))
    hidden = rig.storage
    rig.storage = Hiding(hidden, also=later)
    with pytest.raises(PlanChanged) as raised:
        run_prune(rig.request(), reviewed=reviewed, host=rig.host)
    assert f"it: {later} would be swept as well" in str(raised.value)
    rig.storage = hidden
    rig.storage.delete(keys)
    with pytest.raises(PlanChanged) as raised:
        run_prune(rig.request(), reviewed=reviewed, host=rig.host)
    assert f"it: {keys[0]} would not be swept any more" in str(raised.value)


class Hiding(FaultyStorage):
    """Lists one segment more, which is as old as can be."""

    def __init__(self, storage: Storage, *, also: str) -> None:
        super().__init__(storage=storage)
        storage.put(also, b"x")
        self._also = also

    def list(self, prefix: str = "") -> t.Iterator[t.Any]:
        for found in super().list(prefix):
            yield datetime_of(found, BEGIN) if found.key == self._also else found


def datetime_of(found: t.Any, modified: datetime.datetime) -> t.Any:
    return type(found)(key=found.key, size=found.size, modified=modified)


def test_what_can_not_be_of_lifeboats_making_stays(rig: Rig) -> None:
    rig.storage.put(f"{FOLDER.segments_prefix}0000000100000000/notes.txt", b"x")
    rig.storage.put(f"{FOLDER.segments_prefix}notes.{'0' * 64}", b"x")
    before = rig.keys
    rig.clock.advance(40 * DAY)
    assert rig.prune() == []
    assert rig.keys == before


def test_what_the_records_of_an_hour_name_stays_when_its_index_is_gone(rig: Rig) -> None:
    stray = rig.stray(90)
    rig.storage.delete([FOLDER.index_key(hour(2))])
    before = rig.keys
    rig.clock.advance(8 * DAY)
    assert rig.prune() == [(stray, True, "")]
    assert rig.keys == before - {stray}


def test_nothing_is_a_stray_while_a_record_can_not_be_read(rig: Rig) -> None:
    rig.stray(90)
    record = next(iter(rig.storage.list(FOLDER.hour_prefix(hour(7))))).key
    data = rig.storage.get(record)
    rig.storage.put(record, b"{}", if_absent=False)
    rig.clock.advance(8 * DAY)
    assert rig.planned(allow=frozenset({"unreadable"})) == []
    rig.storage.put(record, data, if_absent=False)
    assert len(rig.planned()) == 1


def test_nothing_is_a_stray_while_a_record_of_an_hour_without_index_can_not_be_read(rig: Rig) -> None:
    rig.stray(90)
    rig.storage.delete([FOLDER.index_key(hour(2))])
    record = next(iter(rig.storage.list(FOLDER.hour_prefix(hour(2))))).key
    rig.storage.put(record, b"{}", if_absent=False)
    rig.clock.advance(8 * DAY)
    plans = rig.plan()
    assert plans.leftovers["it"].orphans == ()
    assert "leftovers could not all be looked for" in plans_text(plans)


def test_records_that_are_missing_are_not_taken_for_segments_that_are_too_many(rig: Rig) -> None:
    """Somebody lost the records: nearly everything looks like garbage."""
    lost = [found.key for prefix in (FOLDER.index_prefix, FOLDER.records_prefix) for found in rig.storage.list(prefix)]
    rig.storage.delete(lost)
    put_hour(rig.storage, 8, wal(25, 26))
    before = rig.keys
    rig.clock.advance(8 * DAY)
    plans = rig.plan()
    assert not plans.removes_something
    text = plans_text(plans)
    assert "24 of 26 segments have no record: records may be missing. Look: lifeboat repo check." in text
    assert "leftovers that stay: 24" in text
    assert {is_removed for _key, is_removed, _why in rig.prune()} == {False}
    assert rig.keys == before
    for allow in ("share", "share:shop/main/wal"):
        assert len(rig.planned(allow=frozenset({allow}))) == 24
    assert rig.planned(allow=frozenset({"number"})) == []


def test_what_waits_under_a_lock_below_the_floor_has_its_records(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    rig = Rig(monkeypatch, tmp_path, locks=True, retain_for=datetime.timedelta(days=100))
    monkeypatch.setattr(stray_segments, "MOST", 1)  # they are not even looked at for long
    stray = rig.stray(90)
    rig.clock.advance(9 * DAY)
    assert [key for key, _gone, _why in rig.prune(within="1h", versions="all")] == [stray]
    # A part of the hours went below the floor, and nothing could be removed.
    again = rig.prune(within="1h", versions="all")
    assert again == [(stray, False, "locked until 2027-03-01T00:00:00Z")]
    rig.clock.advance(100 * DAY)
    assert rig.prune(within="1h", versions="all") == [(stray, True, "")]
    assert stray not in {one.key for one in rig.storage.versions()}


def test_a_record_that_comes_between_plan_and_removal_is_seen(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [rig.stray(90), rig.stray(91)]
    rig.clock.advance(9 * DAY)
    take_lease = prune_module.take_lease

    def recorded(*given: t.Any, **more: t.Any) -> t.Any:
        put_record(rig.storage, record_of(FOLDER, [wal_segment(90)], number=9 * 24))
        return take_lease(*given, **more)

    monkeypatch.setattr(prune_module, "take_lease", recorded)
    assert rig.prune() == [(keys[1], True, "")]
    assert keys[0] in rig.keys


def test_what_another_run_removed_and_a_shipper_stored_anew_stays(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    key = rig.stray(90)
    rig.clock.advance(9 * DAY)
    take_lease = prune_module.take_lease

    def meanwhile(*given: t.Any, **more: t.Any) -> t.Any:
        rig.storage.delete([key])
        rig.stray(90)
        return take_lease(*given, **more)

    monkeypatch.setattr(prune_module, "take_lease", meanwhile)
    assert rig.prune() == []
    assert key in rig.keys


def test_long_streams_are_listed_in_turns(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of old groups one in thirty each day; those of which nothing is recorded, and young ones, each time."""
    monkeypatch.setattr(stray_segments, "_LISTED_WHOLE", 3)
    old = rig.stray(90)
    nobodys = rig.stray(0x300)  # of a group of its own
    rig.clock.advance(40 * DAY)
    put_hour(rig.storage, 40 * 24, wal(0x201, 0x203))
    young = rig.stray(0x210)
    rig.clock.advance(8 * DAY)
    found = []
    for _day in range(30):
        found.append(rig.planned())
        rig.clock.advance(DAY)
    assert all({nobodys, young} <= set(keys) for keys in found[:7])
    assert sum(old in keys for keys in found) == 1


def test_so_many_go_at_a_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stray_segments, "MOST", 2)
    keys = [rig.stray(number) for number in (90, 91, 92)]
    rig.clock.advance(9 * DAY)
    plans = rig.plan()
    assert "and 1 more segments that no record names: the next runs go on" in plans_text(plans)
    assert rig.prune(plan_hash=plans.hash) == [(key, True, "") for key in keys[:2]]
    assert rig.prune() == [(keys[2], True, "")]


def test_dying_at_any_call_leaves_what_the_next_run_finishes(rig: Rig) -> None:
    class Death(BaseException):
        """As SIGKILL."""

    def die() -> None:
        raise Death

    before = rig.keys
    whole = rig.storage
    deaths = 0
    for call in range(1, 1000):
        key = rig.stray(90)
        rig.clock.advance(9 * DAY)
        rig.storage = FaultyStorage(storage=whole, fault=die, point=FaultPoint(at_call=call))
        try:
            rig.prune()
        except Death:
            deaths += 1
        rig.storage = whole
        rig.clock.advance(DAY)  # the lease is void
        rig.prune()
        assert {one for one in rig.keys if not one.startswith(".lifeboat")} == before
        assert key not in rig.keys
        if deaths < call:
            break
    assert deaths > 10
