# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slices are cut anywhere, also through transactions, and joined again nothing is missing and nothing is new."""

from __future__ import annotations

import hashlib
import itertools
import json
import pathlib
import typing as t

import bson
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import MongoOplogMoved
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.bson_bytes import MalformedBson
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_chain import chain_of, holes
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_marks import mark_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slice import (
    OplogSlice,
    slice_from_facts,
)
from tests.unit.mongodb.oplog_entries import LINEAGE, Slices, end, entry, insert, new_chain, part, sliced

# Three transactions that overlap, one of them prepared long before it is committed, with writes of others between.
HISTORY = (
    insert((1000, 1), 1),
    part((1000, 2), of=1),
    insert((1000, 3), 2),
    part((1000, 4), of=1, before=(1000, 2)),
    part((1001, 1), of=2),
    part((1001, 2), of=1, before=(1000, 4), last=True),
    part((1001, 3), of=2, before=(1001, 1), prepare=True),
    insert((1002, 1), 3),
    part((1003, 1), of=3, last=True),
    end((1004, 1), of=2, before=(1001, 3)),
    insert((1004, 2), 4),
)


Make = t.Callable[..., Slices]


@pytest.fixture
def make(tmp_path: pathlib.Path) -> t.Iterator[Make]:
    """Slicers that are closed in the end."""
    made: list[Slices] = []

    def one(**settings: t.Any) -> Slices:
        made.append(Slices(str(tmp_path), **settings))
        return made[-1]

    yield one
    for slices in made:
        slices.slicer.close()


def documents(joined: bytes) -> list[bytes]:
    return [bson.encode(document) for document in bson.decode_all(joined)]


def joined(pieces: t.Sequence[bytes]) -> list[bytes]:
    """As whoever replays joins them: what has been seen is dropped by its position."""
    found: list[bytes] = []
    for raw in itertools.chain.from_iterable(documents(piece) for piece in pieces):
        if not found or mark_of(raw).position > mark_of(found[-1]).position:
            found.append(raw)
    return found


@pytest.mark.parametrize("cut", range(1, len(HISTORY) + 1))
def test_cut_anywhere_it_is_one_history(cut: int, tmp_path: pathlib.Path) -> None:
    slices, pieces = sliced(str(tmp_path), HISTORY, cut=cut)
    assert joined(pieces) == list(HISTORY)
    for before, after in zip(slices, slices[1:]):
        assert before.last == after.first
    for one, piece in zip(slices, pieces):
        inside = documents(piece)
        assert (one.first, one.last) == (mark_of(inside[0]), mark_of(inside[-1]))
        assert (one.entries, one.size) == (len(inside), len(piece))
        assert one.sha256 == hashlib.sha256(piece).hexdigest()
    assert holes(slices) == ()
    assert [one.beginning is not None for one in slices] == [True] + [False] * (len(slices) - 1)


@pytest.mark.parametrize("cut", range(1, len(HISTORY) + 1))
def test_every_slice_says_how_far_back_its_transactions_reach(cut: int, tmp_path: pathlib.Path) -> None:
    """Reading from needs_from on, each transaction that ends in a slice is whole."""
    slices, _pieces = sliced(str(tmp_path), HISTORY, cut=cut)
    spans = {(1000, 2): (1001, 2), (1001, 1): (1004, 1)}
    for one in slices:
        first, last = one.first.position, one.last.position
        ends_here = [begun for begun, ended in spans.items() if first < ended <= last]
        assert all(one.needs_from <= begun for begun in ends_here)
        open_at_its_end = [begun for begun, ended in spans.items() if begun <= last < ended]
        assert one.open_first == min(open_at_its_end, default=None)
        open_at_its_beginning = [begun for begun, ended in spans.items() if begun <= first < ended]
        assert one.needs_from == min([first, *open_at_its_beginning])


@pytest.mark.parametrize("stop", range(1, len(HISTORY)))
def test_a_capture_that_goes_on_makes_what_one_would_have_made(stop: int, tmp_path: pathlib.Path) -> None:
    """What is open is in the facts of the last slice, so the next run, on whatever host, knows it."""
    earlier, _pieces = sliced(str(tmp_path), HISTORY[:stop])
    known = slice_from_facts(json.loads(json.dumps(earlier[-1].as_facts())))
    later, _pieces = sliced(str(tmp_path), HISTORY[stop - 1 :], chain=chain_of(known))
    whole, _pieces = sliced(str(tmp_path), HISTORY)
    assert later[-1].open == whole[-1].open
    assert later[-1].last == whole[-1].last
    assert later[-1].lineage == LINEAGE
    assert later[-1].beginning is None


def test_a_slice_ends_at_its_size(make: Make) -> None:
    slices = make(chain=new_chain(reads_from=(1000, 1)), size=1)
    for raw in HISTORY:
        slices.slicer.take(raw)
    slices.slicer.finish(until_idle=None)
    assert [one.entries for one in slices.made] == [2] * (len(HISTORY) - 1)


def test_another_entry_in_the_place_of_the_last_one_is_not_gone_on_from(tmp_path: pathlib.Path, make: Make) -> None:
    made, _pieces = sliced(str(tmp_path), HISTORY[:3])
    for other in (insert((1000, 3), 99), insert((1000, 3), 2, term=2), insert((1000, 4), 2)):
        slices = make(chain=chain_of(made[-1]))
        with pytest.raises(MongoOplogMoved):
            slices.slicer.take(other)
    assert make(chain=chain_of(made[-1])).slicer.take(HISTORY[2]) is None


def test_an_oplog_out_of_order_is_not_taken(make: Make) -> None:
    slices = make(chain=new_chain(reads_from=(1000, 1)))
    slices.slicer.take(insert((1000, 1)))
    with pytest.raises(MalformedBson):
        slices.slicer.take(insert((1000, 1)))


def notes(*seconds: int) -> list[bytes]:
    return [entry((second, 1)) for second in seconds]


def idle_slices(folder: pathlib.Path, make: Make, later: t.Sequence[bytes], *, until: float) -> list[OplogSlice]:
    made, _pieces = sliced(str(folder), [insert((1000, 1))])
    slices = make(chain=chain_of(made[-1]))
    for raw in [insert((1000, 1)), *later]:
        slices.slicer.take(raw)
    slices.slicer.finish(until_idle=until)
    return slices.made


def test_while_nobody_writes_a_slice_is_made_once_a_period(tmp_path: pathlib.Path, make: Make) -> None:
    assert idle_slices(tmp_path, make, notes(1010, 1020, 1050), until=60) == []
    assert [one.idle for one in idle_slices(tmp_path, make, notes(1010, 1020, 1060), until=60)] == [True]


@pytest.mark.parametrize(
    "telling",
    [
        insert((1011, 1)),
        entry((1011, 1), o={"msg": "new primary"}),
        entry((1011, 1), o={"lifeboat_label": "before-upgrade"}),
        part((1011, 1), of=1),
    ],
    ids=["a write", "an election", "a label", "a transaction"],
)
def test_anything_else_is_stored_at_once(telling: bytes, tmp_path: pathlib.Path, make: Make) -> None:
    made = idle_slices(tmp_path, make, [*notes(1010), telling, *notes(1020)], until=60)
    assert [(one.idle, one.entries) for one in made] == [(False, 4)]


def test_nothing_new_is_no_slice_and_a_new_chain_is_stored_at_once(tmp_path: pathlib.Path, make: Make) -> None:
    assert idle_slices(tmp_path, make, [], until=0.001) == []
    slices = make(chain=new_chain(reads_from=(1000, 1)))
    slices.slicer.take(entry((1000, 1)))
    slices.slicer.finish(until_idle=3600)
    assert [one.entries for one in slices.made] == [1]


RENAMED = entry((1002, 5), op="c", ns="shop.$cmd", o={"importCollection": "shop.a"})


def test_what_can_not_be_replayed_is_not_taken_and_what_was_before_it_can_be_put(make: Make) -> None:
    slices = make(chain=new_chain(reads_from=(1000, 1)))
    for raw in HISTORY[:7]:
        slices.slicer.take(raw)
    objection = slices.slicer.take(RENAMED)
    assert objection is not None
    assert (objection.position, objection.cause) == ((1002, 5), "not-replayable")
    assert "imported" in objection.reason
    assert slices.slicer.open_first == (1001, 1)
    slices.slicer.finish(until_idle=None)
    assert slices.made[-1].last.position == (1001, 3)


def test_a_chain_that_begins_there_takes_it_and_says_so(make: Make) -> None:
    """Bases of that chain are newer than it; only a transaction that was open then makes it read it at all."""
    chain = new_chain(reads_from=(1001, 1), bases_from=(1002, 5))
    slices = make(chain=chain)
    for raw in (*HISTORY[4:7], RENAMED, *HISTORY[8:]):
        assert slices.slicer.take(raw) is None
    slices.slicer.finish(until_idle=None)
    made = slices.made[0]
    assert [one.position for one in made.objections] == [(1002, 5)]
    assert made.bases_from == (1002, 5)
    assert made.open == ()


def test_large_slices_wait_on_the_disk_of_the_spool_and_leave_nothing(tmp_path: pathlib.Path, make: Make) -> None:
    slices = make(chain=new_chain(reads_from=(1000, 1)))
    pad = "x" * 1_000_000
    raws = [entry((1000, number), op="i", ns="a.b", o={"_id": number, "pad": pad}) for number in range(1, 8)]
    for raw in raws:
        slices.slicer.take(raw)
    slices.slicer.finish(until_idle=None)
    assert slices.bytes == [b"".join(raws)]
    assert list(tmp_path.iterdir()) == []
