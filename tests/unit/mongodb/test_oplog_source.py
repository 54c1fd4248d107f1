# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream source on what lies in the spool: whole slices are described, everything else is named and stays."""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    MongoUnreachable,
    StreamSegmentGone,
    StreamSegmentRefused,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_options import (
    oplog_options_from_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slice import (
    OplogSlice,
    spool_name,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_source import OplogSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_sources.context import (
    StreamContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_sources.registry import (
    STREAM_KINDS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import Spool, SpoolEntry
from tests.support.clocks import FakeClock
from tests.unit.mongodb.oplog_entries import LINEAGE, SERIES, insert, segment, sliced

# Nobody listens on the discard port of loopback.
NOBODY = {"uri": "mongodb://127.0.0.1:9/", "server_selection_timeout": 0.2}


@dataclasses.dataclass
class Place:
    """A spool with the slices of one chain in it, and the source it is for."""

    source: OplogSource
    spool: Spool
    slices: list[OplogSlice]
    pieces: list[bytes]

    def entry(self, number: int) -> SpoolEntry:
        return next(one for one in self.spool.entries() if one.name == spool_name(LINEAGE, self.slices[number].name))


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    folder = tmp_path / "spool"
    folder.mkdir()
    spool = Spool(path=str(folder), budget=1 << 20)
    slices, pieces = sliced(str(tmp_path), [insert((second, 1)) for second in range(1000, 1051, 10)], cut=1)
    for one, piece in zip(slices, pieces):
        spool.put(spool_name(LINEAGE, one.name), writing(piece), note=one.as_facts())
    source = OplogSource(
        options=oplog_options_from_description({"connection": NOBODY}),
        series=SERIES,
        host=Host(clock=FakeClock()),
        state=StateDirectory(path=str(tmp_path / "state")),
        spool=spool,
    )
    return Place(source=source, spool=spool, slices=slices, pieces=pieces)


def writing(data: bytes) -> t.Callable[[t.BinaryIO], None]:
    return lambda file: file.write(data) and None


def test_a_slice_is_described_by_its_note(place: Place) -> None:
    lineage, description = place.source.describe(place.entry(2))
    assert lineage == LINEAGE
    assert (description.name, description.group) == ("1020.1-1030.1", "19700101")
    assert description.begins == datetime.datetime(1970, 1, 1, 0, 17, tzinfo=datetime.timezone.utc)
    assert description.ends == description.begins + datetime.timedelta(seconds=10)
    assert description.facts == place.slices[2].as_facts()


def test_slices_are_in_order_of_their_ends_whatever_their_lineage(place: Place) -> None:
    again = spool_name("rs0-65a1b2c3d4e5-1055.1", "1020.1-1060.1")
    names = [again, *(one.name for one in reversed(place.spool.entries()))]
    assert sorted(names, key=place.source.order) == [*(one.name for one in place.spool.entries()), again]
    with pytest.raises(StreamSegmentRefused, match=r"is no slice"):
        place.source.order("000000010000000000000001")


def spoil(place: Place, entry: SpoolEntry, how: str) -> None:
    note = os.path.join(place.spool.path, f".note-{entry.name}")
    data = pathlib.Path(entry.path).read_bytes()
    if how == "a flipped bit":
        pathlib.Path(entry.path).write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
    elif how == "cut short":
        pathlib.Path(entry.path).write_bytes(data[:-1])
    elif how == "grown":
        pathlib.Path(entry.path).write_bytes(data + b"\x00")
    elif how == "no note":
        os.unlink(note)
    elif how == "the note of another":
        os.replace(os.path.join(place.spool.path, f".note-{place.entry(3).name}"), note)
    else:
        pathlib.Path(note).write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    "how", ["a flipped bit", "cut short", "grown", "no note", "the note of another", "half a note"]
)
def test_what_is_not_what_was_captured_is_refused_with_its_lineage(how: str, place: Place) -> None:
    entry = place.entry(2)
    spoil(place, entry, how)
    with pytest.raises(StreamSegmentRefused) as caught:
        place.source.describe(entry)
    assert caught.value.details["lineage"] == LINEAGE
    assert entry.path in caught.value.message
    place.source.describe(place.entry(1))


def test_a_file_of_somebody_else_is_refused(place: Place) -> None:
    place.spool.put("000000010000000000000001", writing(b"wal"))
    entry = next(one for one in place.spool.entries() if "@" not in one.name)
    with pytest.raises(StreamSegmentRefused) as caught:
        place.source.describe(entry)
    assert "lineage" not in caught.value.details


@pytest.mark.parametrize("with_note", [False, True])
def test_what_left_the_spool_meanwhile_is_no_damage(with_note: bool, place: Place) -> None:
    entry = place.entry(2)
    if with_note:
        place.spool.remove([entry.name])
    else:
        os.unlink(entry.path)
    with pytest.raises(StreamSegmentGone):
        place.source.describe(entry)


def test_neighbours_share_one_entry(place: Place) -> None:
    slices = [segment(one) for one in place.slices]
    assert all(place.source.follows(one, other) for one, other in zip(slices, slices[1:]))
    assert not place.source.follows(slices[0], slices[2])
    assert not place.source.follows(slices[1], slices[4])
    other = dataclasses.replace(place.slices[1], first=dataclasses.replace(place.slices[1].first, sha256="f" * 64))
    assert not place.source.follows(slices[0], segment(other))
    assert not place.source.follows(slices[0], segment(dataclasses.replace(place.slices[1], lineage="x")))


@pytest.mark.thorough
def test_a_set_that_does_not_answer_is_no_error_and_what_waits_is_known(place: Place) -> None:
    found = place.source.inspect()
    assert (found.reachable, found.lineage) == (False, LINEAGE)
    assert "127.0.0.1:9" in found.problem
    with pytest.raises(MongoUnreachable):
        place.source.capture(spool=place.spool, stored=None, progress=Progress(clock=SystemClock()))
    assert len(place.spool.entries()) == len(place.slices)


def test_the_table_of_stream_sources_has_it(tmp_path: pathlib.Path) -> None:
    context = StreamContext(
        series=SERIES,
        host=Host(),
        state=StateDirectory(path=str(tmp_path)),
        spool=Spool(path=str(tmp_path), budget=1),
        connection=NOBODY,
        options={"slice_mib": 1},
    )
    made = STREAM_KINDS["mongodb", "oplog"].factory(context)
    assert (made.engine, made.kind) == ("mongodb", "oplog")
    assert not STREAM_KINDS["mongodb", "oplog"].filled_by_server
