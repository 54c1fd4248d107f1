# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slices come one after the other, the next one fetched meanwhile, and each is what its record says."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RecoveryEndedEarly,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slice import OplogSlice
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.recovery_slices import (
    SliceFeed,
    require_entries,
    slice_folder,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_planner import RecoveryPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment
from tests.unit.mongodb.oplog_entries import insert, sliced, stream

ENTRIES = [insert((1000 + number, 1), number) for number in range(50)]


@dataclass
class Reader:
    """The fault, where a test wants one, is in *contents*."""

    plan: RecoveryPlan
    contents: dict[str, bytes]
    seen: list[set[str]] = field(default_factory=list)
    two: threading.Event = field(default_factory=threading.Event)

    def fetch(self, segment: StoredSegment, path: str) -> None:
        self.seen.append({one.name for one in Path(path).parent.iterdir()})
        Path(path).write_bytes(self.contents[segment.segment.name])
        if len(self.seen) == 2:
            self.two.set()

    def check(self) -> None:
        raise NotImplementedError


def reader_of(slices: t.Sequence[OplogSlice], contents: t.Sequence[bytes]) -> Reader:
    plan = RecoveryPlan(
        target=RecoveryTarget(kind="latest"), base=None, lineage="x", segments=stream(slices).segments, why=(), facts={}
    )
    return Reader(plan, {one.name: data for one, data in zip(slices, contents)})


def read(reader: Reader, folder: Path) -> list[list[bytes]]:
    found: list[list[bytes]] = []
    with contextlib.closing(SliceFeed(reader, folder=str(folder)).slices()) as slices:
        for _facts, pieces in slices:
            found.append([entry for entries in pieces for entry in entries])
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "slices"
    made.mkdir()
    return made


def test_all_entries_in_order(tmp_path: Path, folder: Path) -> None:
    slices, contents = sliced(str(tmp_path), ENTRIES, cut=10)
    reader = reader_of(slices, contents)
    found = read(reader, folder)
    assert [entry for number, one in enumerate(found) for entry in (one if number == 0 else one[1:])] == ENTRIES
    assert list(folder.iterdir()) == []
    assert max(map(len, reader.seen)) <= 1, "of what was fetched before, only the slice that is being read is there"


def test_the_next_one_comes_while_this_one_is_read(tmp_path: Path, folder: Path) -> None:
    slices, contents = sliced(str(tmp_path), ENTRIES, cut=10)
    reader = reader_of(slices, contents)
    with contextlib.closing(SliceFeed(reader, folder=str(folder)).slices()) as coming:
        _facts, pieces = next(coming)
        assert reader.two.wait(10), "nobody asked for it yet"
        assert reader.seen[1] == {"000000.bson"}
        pieces.close()
    assert [one.name for one in threading.enumerate() if one.name.startswith("mongodb slices")] == []


def test_a_hole_and_another_history(tmp_path: Path, folder: Path) -> None:
    slices, contents = sliced(str(tmp_path), ENTRIES, cut=10)
    with pytest.raises(RecoveryEndedEarly, match="Between 1010:1 and 1020:1 no entry"):
        read(reader_of([slices[0], *slices[2:]], [contents[0], *contents[2:]]), folder)
    other = [*ENTRIES[:20], insert((1020, 1), 4711), *ENTRIES[21:]]
    others, their_contents = sliced(str(tmp_path), other, cut=10)
    mixed = [*slices[:2], *others[2:]]
    with pytest.raises(RecoveryEndedEarly, match="another entry than the one before it"):
        read(reader_of(mixed, [*contents[:2], *their_contents[2:]]), folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + data,
        lambda data: data + b"\x00",
        lambda data: b"",
        lambda data: b"\x05\x00\x00\x00\x00",
        lambda data: b"\xff\xff\xff\x7f" + data[4:],
        lambda data: b"\x00\x00\x00\x00" + data[4:],
    ],
    ids=range(8),
)
def test_a_slice_that_is_another(tmp_path: Path, folder: Path, change: t.Callable[[bytes], bytes]) -> None:
    slices, contents = sliced(str(tmp_path), ENTRIES, cut=10)
    contents[2] = change(contents[2])
    with pytest.raises(RecoveryEndedEarly, match=r"1020\.1-1030\.1"):
        read(reader_of(slices, contents), folder)


def test_an_entry_less_is_seen_though_both_ends_are_right(tmp_path: Path, folder: Path) -> None:
    slices, contents = sliced(str(tmp_path), ENTRIES, cut=10)
    entry = ENTRIES[25]
    assert entry in contents[2]
    contents[2] = contents[2].replace(entry, b"")
    with pytest.raises(RecoveryEndedEarly, match="it has 10 entries of 11"):
        read(reader_of(slices, contents), folder)


def test_named_operations_are_looked_for_in_their_slices_only(tmp_path: Path, folder: Path) -> None:
    slices, contents = sliced(str(tmp_path), ENTRIES, cut=10)
    reader = reader_of(slices, contents)
    require_entries(reader, [(1025, 1), (1041, 1)], folder=str(folder))
    assert len(reader.seen) == 2
    with pytest.raises(RequestInvalid, match="no operation at 1025:2") as refused:
        require_entries(reader, [(1025, 2)], folder=str(folder))
    assert "1025:1 and 1026:1" in refused.value.hint
    with pytest.raises(RequestInvalid, match="no operation at 2000:1"):
        require_entries(reader, [(2000, 1)], folder=str(folder))
    assert list(folder.iterdir()) == []


def test_what_a_dead_run_left_is_removed(tmp_path: Path) -> None:
    state = StateDirectory(path=str(tmp_path / "state"))
    with contextlib.suppress(KeyboardInterrupt), slice_folder(state, "id") as path:
        (Path(path) / "old.bson").write_bytes(b"x")
        raise KeyboardInterrupt
    assert not Path(path).exists()
    Path(path).mkdir()
    (Path(path) / "old.bson").write_bytes(b"x")
    with slice_folder(state, "id") as again:
        assert again == path
        assert list(Path(path).iterdir()) == []


def test_facts_that_lie_about_a_count(tmp_path: Path, folder: Path) -> None:
    slices, contents = sliced(str(tmp_path), ENTRIES, cut=10)
    lying = [slices[0], dataclasses.replace(slices[1], entries=12), *slices[2:]]
    with pytest.raises(RecoveryEndedEarly, match="11 entries of 12"):
        read(reader_of(lying, contents), folder)
