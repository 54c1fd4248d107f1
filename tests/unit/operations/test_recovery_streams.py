# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan from a part of the stream is the plan from all of it, or all of it is read."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time, parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.recovery_kinds import engine_recovery
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.recovery_streams import (
    plan_with_streams,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_planner import RecoveryPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import hour_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_streams
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record import Record
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream
from tests.support.manifests import manifest
from tests.support.memory import MemoryStorage
from tests.unit.mongodb.oplog_entries import SERIES as OPLOG, SET_ID, insert, sliced, stream as oplog_stream
from tests.unit.postgresql import wal_archives as wal

WAL = Series(service="shop", source="main", kind="wal")
STEP = 360  # minutes; a segment every six hours
LAST = 40  # ten days


class Shelf(MemoryStorage):
    """A repository that counts which records were read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_records: list[str] = []
        self._everything: tuple[Stream, ...] | None = None

    def everything(self, series: Series) -> tuple[Stream, ...]:
        """All that is recorded."""
        if self._everything is None:
            self._everything = read_streams({"it": self}, series)
        return self._everything

    def get(self, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
        if "/records/" in key:
            self.read_records.append(key)
        return super().get(key, limit=limit)

    def keep(self, stream: Stream, *, engine: str) -> None:
        """Each segment and a record of it, made when it was written last."""
        for one in stream.segments:
            self.keep_one(stream, one, engine=engine)

    def keep_one(self, stream: Stream, one: StoredSegment, *, engine: str) -> None:
        self._everything = None
        segment, folder = one.segment, stream.folder
        made = segment.description.ends or segment.stored
        record = Record(
            record_id=new_backup_id(now=made),
            folder=folder,
            engine=engine,
            made=made,
            host="db1",
            lifeboat_version="0.1.0",
            segments=(segment,),
            events=(),
        )
        self.put(folder.segment_key(segment.description.group, segment.payload.name), b"", if_absent=False)
        self.put(folder.record_key(hour_of(made), record.record_id), record.as_bytes())


def base(number: int, **options: t.Any) -> Backup:
    return wal.base(number, minutes=number * STEP, **options)


def segment(number: int, **options: t.Any) -> StoredSegment:
    return wal.segment(number, minutes=number * STEP, **options)


BASES = [base(number) for number in (5, 15, 25, 35)]
ALL = [segment(number) for number in range(3, LAST)]


def at(number: float) -> RecoveryTarget:
    return RecoveryTarget(kind="time", time=wal.at(number * STEP))


def target(kind: str, value: str = "", **more: t.Any) -> RecoveryTarget:
    return RecoveryTarget(kind=kind, value=value, **more)


def outcome(work: t.Callable[[], RecoveryPlan]) -> t.Any:
    """The plan, or the refusal with all that it says."""
    try:
        return work()
    except LifeboatError as error:
        return type(error), error.message, error.hint, error.details


def compared(shelf: Shelf, bases: t.Sequence[Backup], wanted: RecoveryTarget, *, engine: str = "postgresql") -> int:
    """How many records were read for a plan that is the same as that from everything."""
    way = engine_recovery(engine)
    series = WAL if engine == "postgresql" else OPLOG
    storages = {"it": shelf}
    whole = outcome(
        lambda: way.planner.plan(
            bases=bases, streams=shelf.everything(series), target=wanted, now=wal.at(10 * LAST * STEP)
        )
    )
    shelf.read_records.clear()
    told: list[t.Sequence[Stream]] = []
    part = outcome(
        lambda: plan_with_streams(
            way,
            bases=bases,
            series=series,
            target=wanted,
            storages=storages,
            now=wal.at(10 * LAST * STEP),
            tell=told.append,
        )
    )
    assert part == whole, wanted.text
    assert len(told) == 1
    return len(shelf.read_records)


@pytest.fixture
def shelf() -> Shelf:
    made = Shelf()
    made.keep(wal.stream(*ALL), engine="postgresql")
    return made


TARGETS = [
    *(at(number) for number in (1, 5, 14.9, 15, 27, 36, LAST - 2, LAST + 7)),
    *(target("lsn", wal.lsn(number, 77)) for number in (3, 16, 35, LAST - 1, LAST + 5)),
    *(target(kind, value) for kind, value in (("latest", ""), ("immediate", ""), ("xid", "7"), ("name", "x"))),
    target("latest", timeline="1"),
    target("latest", timeline="7"),
]


@pytest.mark.parametrize("wanted", TARGETS, ids=lambda wanted: wanted.text)
def test_on_one_timeline_the_plan_is_the_same(shelf: Shelf, wanted: RecoveryTarget) -> None:
    compared(shelf, BASES, wanted)


@pytest.mark.parametrize("wanted", [at(36), at(LAST - 2), target("lsn", wal.lsn(37)), target("latest")])
def test_only_what_was_recorded_since_the_base_is_read(shelf: Shelf, wanted: RecoveryTarget) -> None:
    assert compared(shelf, BASES, wanted) <= LAST - 35 + 4 + 2


def test_the_base_that_counts_is_the_last_one_before_the_target(shelf: Shelf) -> None:
    for wanted in (at(17), target("lsn", wal.lsn(17))):
        assert compared(shelf, BASES, wanted) <= LAST - 15 + 4 + 2


@pytest.mark.parametrize("missing", [3, 15, 16, 34, 35, 36, LAST - 1])
def test_a_hole_makes_no_difference(missing: int) -> None:
    shelf = Shelf()
    shelf.keep(wal.stream(*(one for one in ALL if one is not ALL[missing - 3])), engine="postgresql")
    for wanted in TARGETS:
        compared(shelf, BASES, wanted)


def test_bases_that_can_not_be_used_make_no_difference(shelf: Shelf) -> None:
    bases = [base(5), base(15), base(25, state="failed"), base(35, end_lsn="nowhere"), base(37, lineage="7" * 19)]
    for wanted in TARGETS:
        compared(shelf, bases, wanted)
        compared(shelf, [], wanted)


def test_a_base_of_a_standby_that_begins_long_before_makes_no_difference(shelf: Shelf) -> None:
    """Its last restart point was two days earlier, so it needs what was recorded before."""
    tool = {"name": "walg"}
    bases = [base(5), base(35, start_lsn=wal.lsn(26), in_recovery=True, tool=tool)]
    for wanted in TARGETS:
        compared(shelf, bases, wanted)


def test_with_a_second_timeline_everything_is_read(shelf: Shelf) -> None:
    """Its history must be known, also when it was left a week ago: its number is taken."""
    shelf.keep(wal.stream(wal.history(2, [(1, wal.lsn(6))], minutes=7 * STEP)), engine="postgresql")
    for wanted in TARGETS:
        compared(shelf, BASES, wanted)
    assert compared(shelf, BASES, at(36)) == len(ALL) + 1


def test_wal_of_a_timeline_without_its_history_is_seen_too(shelf: Shelf) -> None:
    shelf.keep(wal.stream(segment(6, timeline=3)), engine="postgresql")
    for wanted in TARGETS:
        compared(shelf, BASES, wanted)
    assert compared(shelf, BASES, at(36)) == len(ALL) + 1


def test_two_clusters_make_no_difference(shelf: Shelf) -> None:
    other = "7" * 19
    for first, last in ((10, 14), (31, 33), (37, 44)):
        shelf.keep(wal.stream(*(segment(number) for number in range(first, last)), lineage=other), engine="postgresql")
    bases = sorted(
        [*BASES, base(11, lineage=other, mark="bbbbbb"), base(38, lineage=other, mark="bbbbbb")],
        key=lambda one: one.manifest.started,
    )
    for wanted in TARGETS:
        compared(shelf, bases, wanted)


def test_bytes_of_somebody_else_under_a_planned_name_are_seen(shelf: Shelf) -> None:
    """Another server wrote that segment nine days before ours did, and its record lies before what is read."""
    foreign = segment(37, sha256="cd" * 32)
    early = dataclasses.replace(
        foreign.segment, description=dataclasses.replace(foreign.segment.description, ends=wal.at(0))
    )
    shelf.keep(wal.stream(StoredSegment(segment=early, copies={})), engine="postgresql")
    for wanted in TARGETS:
        compared(shelf, BASES, wanted)
    assert compared(shelf, BASES, at(38)) > len(ALL)
    assert compared(shelf, BASES, at(34)) < len(ALL)  # that plan does not come to it


def test_a_repository_that_does_not_say_what_it_has_is_read_whole(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Shelf):
        """Says nothing of segments: a fault."""

        def list_folders(self, prefix: str = "") -> t.Iterator[str]:
            if prefix.endswith("/segments/"):
                raise StorageUnreachable("away")
            return super().list_folders(prefix)

    silent = Silent()
    silent.keep(wal.stream(*ALL), engine="postgresql")
    assert compared(silent, BASES, at(36)) == len(ALL)


# --- MongoDB ----------------------------------------------------------------------------------------------------------

_BEGIN = int(parse_time("2026-11-14T00:00:00Z").timestamp())
_EACH = 6 * 3600
_LAST = 40


def dump(number: float, *, mark: str = "aaaaaa", **content: t.Any) -> Backup:
    second = int(_BEGIN + number * _EACH)
    started = datetime.datetime.fromtimestamp(second, tz=datetime.timezone.utc)
    described = manifest(
        backup_id=f"{started.strftime('%Y%m%dT%H%M%SZ')}-{mark}",
        finished=started + datetime.timedelta(minutes=10),
        service="shop",
        content={
            "tool": {"name": "native", "version": "1"},
            "database": None,
            "server_version": "6.0.5",
            "feature_compatibility_version": "6.0",
            "replica_set_id": SET_ID,
            "databases": {},
            "consistency": {"reason": "", "mode": "snapshot", "cluster_time": {"t": second, "i": 1}},
            **content,
        },
    )
    return Backup(manifest=described, repositories={"it": "complete"})


def after(number: float) -> RecoveryTarget:
    moment = datetime.datetime.fromtimestamp(_BEGIN + number * _EACH, tz=datetime.timezone.utc)
    return RecoveryTarget(kind="time", time=moment, value=format_time(moment))


def position(number: float, kind: str = "optime", **more: t.Any) -> RecoveryTarget:
    return target(kind, f"{int(_BEGIN + number * _EACH)}:1", **more)


OPLOG_TARGETS = [
    *(after(number) for number in (-1, 1.5, 9, 10, 21, 31.5, _LAST - 1, _LAST + 4)),
    *(position(number) for number in (1, 31, _LAST - 1)),
    *(position(number, "before_operation") for number in (10, 31)),
    position(33, skip=(f"{_BEGIN + 11 * _EACH}:1",)),
    target("latest"),
]
DUMPS = [dump(number) for number in (1, 10, 30)]


@pytest.fixture(scope="module")
def oplog(tmp_path_factory: pytest.TempPathFactory) -> list[StoredSegment]:
    """An entry and a slice every six hours, ten days long."""
    folder: pathlib.Path = tmp_path_factory.mktemp("slices")
    entries = [insert((_BEGIN + number * _EACH, 1), number) for number in range(_LAST)]
    return list(oplog_stream(sliced(str(folder), entries, cut=1)[0]).segments)


def kept(slices: t.Sequence[StoredSegment]) -> Shelf:
    shelf = Shelf()
    shelf.keep(dataclasses.replace(oplog_stream([]), segments=tuple(slices)), engine="mongodb")
    return shelf


def test_a_plan_along_the_oplog_is_the_same(oplog: list[StoredSegment]) -> None:
    shelf = kept(oplog)
    for wanted in OPLOG_TARGETS:
        compared(shelf, DUMPS, wanted, engine="mongodb")
        compared(shelf, [], wanted, engine="mongodb")
    assert compared(shelf, DUMPS, after(35), engine="mongodb") <= _LAST - 30 + 4 + 2
    assert compared(shelf, DUMPS, after(21), engine="mongodb") <= _LAST - 10 + 4 + 2
    assert compared(shelf, DUMPS, target("latest"), engine="mongodb") == len(oplog)


@pytest.mark.parametrize("missing", [0, 9, 10, 29, 30, 31, _LAST - 2])
def test_a_missing_slice_makes_no_difference(oplog: list[StoredSegment], missing: int) -> None:
    shelf = kept([one for number, one in enumerate(oplog) if number != missing])
    for wanted in OPLOG_TARGETS:
        compared(shelf, DUMPS, wanted, engine="mongodb")


def test_dumps_that_do_not_join_make_no_difference(oplog: list[StoredSegment]) -> None:
    shelf = kept(oplog)
    foreign = dump(30, replica_set_id="0" * 24)
    torn = dump(30, consistency={"mode": "none", "reason": ""})
    for bases in ([dump(1), foreign], [dump(1), torn], [dump(1), dump(10), foreign, torn]):
        for wanted in OPLOG_TARGETS:
            compared(shelf, bases, wanted, engine="mongodb")
