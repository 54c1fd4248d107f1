# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a member's oplog means to a chain: only the very same entry continues it, and nothing breaks it by mistake."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import MongoSetRenamed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_chain import (
    BEHIND,
    CONTINUES,
    ROLLED_BACK,
    ROLLED_OVER,
    Found,
    broken_by,
    chain_of,
    holes,
    judge,
    newest,
    require_same_set,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slice import (
    EntryMark,
    OplogSlice,
)
from tests.unit.mongodb.oplog_entries import SET_ID, insert, sliced

END = EntryMark((1000, 5), 3, "a" * 64)


def mark(position: tuple[int, int], *, term: int = 3, sha256: str = "a" * 64) -> EntryMark:
    return EntryMark(position, term, sha256)


@pytest.mark.parametrize(
    ("entry", "oldest", "majority", "verdict"),
    [
        (END, (900, 1), (1000, 5), CONTINUES),
        (END, (1000, 5), (1000, 5), CONTINUES),
        # A new primary may not know yet that a majority has it; it has it, and that is enough.
        (END, (900, 1), (999, 1), CONTINUES),
        (None, (900, 1), (999, 1), BEHIND),
        (None, None, (0, 0), BEHIND),
        (mark((1001, 1)), (1000, 6), (1001, 1), ROLLED_OVER),
        (mark((1001, 1)), (1000, 6), (999, 1), ROLLED_OVER),
        (mark((1000, 5), term=4), (900, 1), (1000, 5), ROLLED_BACK),
        (mark((1000, 5), sha256="b" * 64), (900, 1), (1002, 5), ROLLED_BACK),
        (mark((1001, 1)), (900, 1), (1001, 1), ROLLED_BACK),
        # Cut off from the others it can't know: what it wrote instead may be rolled back itself.
        (mark((1000, 5), term=2), (900, 1), (1000, 4), BEHIND),
        (mark((1001, 1)), (900, 1), (1000, 9), BEHIND),
    ],
)
def test_verdicts(
    entry: EntryMark | None, oldest: tuple[int, int] | None, majority: tuple[int, int], verdict: str
) -> None:
    assert judge(END, Found(entry=entry, oldest=oldest, majority=majority)) == verdict


@pytest.mark.parametrize(
    ("verdicts", "primary", "cause"),
    [
        ([ROLLED_OVER, ROLLED_OVER], True, ROLLED_OVER),
        # A member that was synced anew begins later; who is down or behind may still have it.
        ([ROLLED_OVER], False, None),
        ([ROLLED_OVER, BEHIND], True, None),
        ([BEHIND], True, None),
        ([], False, None),
        ([BEHIND, ROLLED_BACK], False, ROLLED_BACK),
        ([ROLLED_OVER, ROLLED_BACK], True, ROLLED_BACK),
    ],
)
def test_a_chain_is_given_up_only_on_proof(verdicts: list[str], primary: bool, cause: str | None) -> None:
    assert broken_by(verdicts, primary_was_asked=primary) == cause


def some(tmp_path: pathlib.Path, count: int = 6) -> list[OplogSlice]:
    made, _bytes = sliced(str(tmp_path), [insert((1000, number)) for number in range(1, count + 2)], cut=1)
    return made


def test_the_newest_chain_of_this_set_goes_on(tmp_path: pathlib.Path) -> None:
    slices = some(tmp_path)
    assert newest([], replica_set_id=SET_ID) is None
    assert newest(reversed(slices), replica_set_id=SET_ID) == slices[-1]
    later = dataclasses.replace(slices[0], lineage="rs0-65a1b2c3d4e5-1000.2", bases_from=(1000, 2))
    assert newest([*slices, later], replica_set_id=SET_ID) == later
    # A set that was initiated again on a host whose clock was ahead before.
    other = dataclasses.replace(slices[0], replica_set_id="f" * 24, bases_from=(9000, 1))
    assert newest([*slices, other], replica_set_id=SET_ID) == slices[-1]
    assert newest([*slices, other], replica_set_id="f" * 24) == other


def test_a_chain_is_where_its_last_slice_ends(tmp_path: pathlib.Path) -> None:
    last = some(tmp_path)[-1]
    chain = chain_of(last)
    assert (chain.end, chain.reads_from, chain.is_new) == (last.last, last.last.position, False)
    assert (chain.lineage, chain.bases_from, chain.beginning) == (last.lineage, last.bases_from, None)


def test_a_set_of_another_name_is_refused(tmp_path: pathlib.Path) -> None:
    last = some(tmp_path)[-1]
    require_same_set(None, replica_set="other")
    require_same_set(last, replica_set="rs0")
    with pytest.raises(MongoSetRenamed, match=r"belongs to the replica set other; this stream is that of rs0"):
        require_same_set(last, replica_set="other")


@pytest.mark.parametrize("missing", [{1}, {2, 3}, {1, 3}, {1, 2, 3, 4}])
def test_holes_lie_between_what_is_there(missing: set[int], tmp_path: pathlib.Path) -> None:
    slices = some(tmp_path)
    left = [one for number, one in enumerate(slices) if number not in missing]
    found = holes(reversed(left))
    covered = {(hole.before.last.position, hole.after.first.position) for hole in found}
    spans = [(one.first.position, one.last.position) for number, one in enumerate(slices) if number in missing]
    assert {first for first, _last in covered} <= {first for first, _last in spans}
    assert sum(last[1] - first[1] for first, last in covered) == len(missing)


def test_slices_that_overlap_have_no_hole(tmp_path: pathlib.Path) -> None:
    slices = some(tmp_path)
    entries = [insert((1000, number)) for number in range(1, 8)]
    wide, _bytes = sliced(str(tmp_path), entries[1:6])
    assert holes([slices[0], *wide, slices[-1]]) == ()
    assert holes([wide[0], *slices]) == ()
