# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows are what manifests and records prove, and what lies between them is a gap with its reason."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StorageUnreachable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slice import (
    Beginning,
    OplogSlice,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_windows import windows_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.timestamps import Position
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.windows import Windows
from tests.support.manifests import manifest
from tests.unit.mongodb.oplog_entries import SET_ID, entry, insert, new_chain, part, sliced, stream

IDS = ("20261121T020000Z-000001", "20261121T020000Z-000002", "20261121T020000Z-000003")


def moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc)


def base(position: Position, *, number: int = 0, state: str = "complete", **changes: t.Any) -> Backup:
    how = changes.pop("how", {"mode": "snapshot", "cluster_time": {"t": position[0], "i": position[1]}})
    content = {
        "tool": {"name": "native", "version": "0.1.0"},
        "database": None,
        "server_version": "6.0.5",
        "feature_compatibility_version": "6.0",
        "replica_set": "rs0",
        "replica_set_id": SET_ID,
        "users_and_roles": True,
        "consistency": {"reason": "", **how},
        "databases": {},
        **changes,
    }
    return Backup(manifest=manifest(backup_id=IDS[number], content=content), repositories={"it": state})


@pytest.fixture
def slices(tmp_path: pathlib.Path) -> list[OplogSlice]:
    """From 1000:1 to 1100:1, a slice every ten seconds."""
    made, _bytes = sliced(str(tmp_path), [insert((second, 1)) for second in range(1000, 1101, 10)], cut=1)
    return made


def only(windows: Windows) -> tuple[str, str, tuple[str, ...], int]:
    assert len(windows.windows) == 1
    one = windows.windows[0]
    return one.first, one.last, one.bases, one.segments


def test_a_window_reaches_from_the_first_base_to_the_last_entry(slices: list[OplogSlice]) -> None:
    found = windows_of([base((1035, 0), number=1), base((1012, 4))], [stream(slices)])
    assert only(found) == ("1012:4", "1100:1", (IDS[0], IDS[1]), 9)
    window = found.windows[0]
    # What comes later in the second of the last entry is not known.
    assert (window.begins, window.ends) == (moment(1012), moment(1099))
    assert window.stored_bytes == sum(one.size for one in slices[1:])
    assert [(gap.begins, gap.ends) for gap in found.gaps] == [(moment(1000), moment(1012))]
    assert found.warnings == ()
    found.as_dict()


def test_a_base_on_the_boundary_needs_no_slice_before_it(slices: list[OplogSlice]) -> None:
    assert only(windows_of([base((1040, 1))], [stream(slices)]))[3] == 6


def test_a_base_at_the_end_is_a_window_of_a_moment(slices: list[OplogSlice]) -> None:
    found = windows_of([base((1100, 1))], [stream(slices)])
    assert only(found)[:2] == ("1100:1", "1100:1")
    assert found.windows[0].begins == found.windows[0].ends == moment(1100)


def test_without_a_base_nothing_is_a_window_and_it_is_said(slices: list[OplogSlice]) -> None:
    found = windows_of([], [stream(slices)])
    assert found.windows == ()
    assert [(gap.begins, gap.ends) for gap in found.gaps] == [(moment(1000), moment(1100))]
    assert "a full backup is missing" in found.warnings[0]
    assert windows_of([], []) == Windows(windows=())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"how": {"mode": "none"}}, "different moments"),
        ({"state": "failed"}, "verification"),
        ({"replica_set_id": "f" * 24}, "another replica set"),
        ({"feature_compatibility_version": "5.0"}, "feature compatibility"),
    ],
)
def test_a_backup_that_can_not_be_brought_forward_opens_no_window(
    changes: dict[str, t.Any], reason: str, slices: list[OplogSlice]
) -> None:
    found = windows_of([base((1012, 4), **changes)], [stream(slices)])
    assert found.windows == ()
    assert any(reason in text for text in (*found.warnings, *(gap.reason for gap in found.gaps)))


@pytest.mark.parametrize("position", [(999, 9), (1100, 2)])
def test_a_base_beside_the_chain_opens_no_window(position: Position, slices: list[OplogSlice]) -> None:
    assert windows_of([base(position)], [stream(slices)]).windows == ()


def test_the_end_of_the_capture_counts_for_a_dump_with_its_oplog(slices: list[OplogSlice]) -> None:
    oplog = {"start": {"t": 1011, "i": 1}, "end": {"t": 1033, "i": 7}, "entries": 3}
    found = windows_of([base((0, 0), how={"mode": "oplog", "oplog": oplog})], [stream(slices)])
    assert only(found)[0] == "1033:7"


def test_a_dump_of_mongodump_is_read_from_before_and_usable_from_after(slices: list[OplogSlice]) -> None:
    how = {"mode": "oplog", "not_before": {"t": 1011, "i": 1}, "not_after": {"t": 1033, "i": 7}}
    found = windows_of([base((0, 0), how=how)], [stream(slices)])
    assert only(found)[0] == "1033:7"
    assert only(found)[3] == 9


@pytest.mark.parametrize("missing", range(2, 9))
def test_a_missing_slice_ends_a_window_and_is_named(missing: int, slices: list[OplogSlice]) -> None:
    gone = slices[missing]
    left = [one for one in slices if one is not gone]
    found = windows_of([base((1000, 1)), base((1095, 1), number=1)], [stream(left)])
    assert [(one.first, one.last) for one in found.windows] == [
        ("1000:1", f"{gone.first.position[0]}:1"),
        ("1095:1", "1100:1"),
    ]
    gap = next(gap for gap in found.gaps if "no slice is stored" in gap.reason)
    assert gap.reason.startswith(f"Between {gone.first.position[0]}:1 and {gone.last.position[0]}:1 ")
    assert (gap.begins, gap.ends) == (moment(gone.first.position[0]), moment(gone.last.position[0]))


def broken(folder: pathlib.Path, *, cause: str, from_second: int) -> list[OplogSlice]:
    chain = dataclasses.replace(
        new_chain(reads_from=(from_second, 1)),
        lineage=f"rs0-65a1b2c3d4e5-{from_second}.1",
        beginning=Beginning(cause, f"It was {cause}.", before="rs0-65a1b2c3d4e5-1000.1", ended=(1100, 1)),
    )
    entries = [insert((second, 1)) for second in range(from_second, from_second + 51, 10)]
    made, _bytes = sliced(str(folder), entries, cut=1, chain=chain)
    return made


def test_a_break_is_a_gap_with_its_reason_until_the_next_base(slices: list[OplogSlice], tmp_path: pathlib.Path) -> None:
    later = broken(tmp_path, cause="rolled-over", from_second=1200)
    streams = [stream(later, lineage=later[0].lineage), stream(slices)]
    found = windows_of([base((1000, 1)), base((1225, 1), number=1)], streams)
    assert [(one.first, one.last) for one in found.windows] == [("1000:1", "1100:1"), ("1225:1", "1250:1")]
    assert [(gap.begins, gap.ends) for gap in found.gaps] == [
        (moment(1100), moment(1200)),
        (moment(1200), moment(1225)),
    ]
    assert found.gaps[0].reason == "It was rolled-over."
    # The old base is of no use to the new lineage.
    assert windows_of([base((1000, 1))], streams).windows[0].last == "1100:1"
    assert "Nothing since 1200:1 can be recovered" in windows_of([base((1000, 1))], streams).warnings[0]


def transactions(folder: pathlib.Path) -> list[OplogSlice]:
    """One is open from 1020:1 to 1080:1."""
    entries = [insert((second, 1)) for second in range(1000, 1101, 10)]
    entries[2] = part((1020, 1), of=1, prepare=True)
    entries[8] = entry((1080, 1), op="c", ns="admin.$cmd", o={"commitTransaction": 1}, **_session())
    made, _bytes = sliced(str(folder), entries, cut=1)
    return made


def _session() -> dict[str, t.Any]:
    import bson

    decoded = bson.decode(part((1020, 1), of=1))
    return {key: decoded[key] for key in ("lsid", "txnNumber")}


def test_a_base_inside_a_transaction_needs_the_slices_where_it_began(tmp_path: pathlib.Path) -> None:
    slices = transactions(tmp_path)
    assert only(windows_of([base((1055, 1))], [stream(slices)]))[3] == 8
    # Without a slice in which it began nothing behind the base can be replayed whole.
    found = windows_of([base((1055, 1))], [stream(slices[3:])])
    assert found.windows == ()
    assert any("a transaction began at 1020:1" in gap.reason for gap in found.gaps)
    # Once it has ended the earlier slices are of no concern any more.
    assert only(windows_of([base((1085, 1))], [stream(slices[6:])]))[3] == 2


def test_a_base_must_not_be_older_than_what_its_lineage_takes(tmp_path: pathlib.Path) -> None:
    chain = new_chain(reads_from=(1000, 1), bases_from=(1030, 1))
    made, _bytes = sliced(str(tmp_path), [insert((second, 1)) for second in range(1000, 1101, 10)], chain=chain)
    assert windows_of([base((1029, 9))], [stream(made)]).windows == ()
    assert only(windows_of([base((1030, 1))], [stream(made)]))[0] == "1030:1"


def test_what_could_not_be_read_is_said(slices: list[OplogSlice]) -> None:
    problem = StorageUnreachable("offsite does not answer.")
    found = windows_of([base((1000, 1))], [dataclasses.replace(stream(slices), problems=(problem,))])
    assert found.warnings == ("offsite does not answer.",)


def test_a_slice_whose_facts_are_damaged_is_a_hole(slices: list[OplogSlice]) -> None:
    whole = stream(slices)
    hurt = whole.segments[4]
    description = dataclasses.replace(hurt.segment.description, facts={"first": "x"})
    damaged = dataclasses.replace(hurt, segment=dataclasses.replace(hurt.segment, description=description))
    segments = (*whole.segments[:4], damaged, *whole.segments[5:])
    found = windows_of([base((1000, 1))], [dataclasses.replace(whole, segments=segments)])
    assert found.windows[0].last == f"{slices[4].first.position[0]}:1"
    assert any(slices[4].name in text for text in found.warnings)
