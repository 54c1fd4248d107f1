# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A slice's facts say enough to prove a chain, and survive the way through JSON."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import is_name
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_chain import lineage_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slice import (
    Beginning,
    EntryMark,
    Objection,
    OpenTransaction,
    OplogSlice,
    group_of,
    parse_slice_name,
    parse_spool_name,
    slice_from_facts,
    slice_name,
    spool_name,
)

WHOLE = OplogSlice(
    lineage="rs0-65a1b2c3d4e5-1000.1",
    first=EntryMark((1000, 1), 1, "a" * 64),
    last=EntryMark((1060, 4), 2, "b" * 64),
    entries=7,
    size=900,
    sha256="c" * 64,
    replica_set="rs0",
    replica_set_id="65a1b2c3d4e5f6a7b8c9d0e1",
    server_version="6.0.5",
    feature_compatibility="6.0",
    member="db1:27017",
    bases_from=(1000, 1),
    needs_from=(990, 2),
    open=(OpenTransaction("d" * 16, (990, 2), 1, prepared=True), OpenTransaction("e" * 16, (1050, 1), 2, False)),
    objections=(Objection((1000, 1), "feature-compatibility", "the version was changed"),),
    beginning=Beginning("rolled-over", "It is gone.", before="rs0-65a1b2c3d4e5-900.1", ended=(950, 3)),
    idle=True,
)
PLAIN = dataclasses.replace(
    WHOLE, replica_set_id=None, feature_compatibility=None, open=(), objections=(), beginning=None, idle=False
)
positions = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


@pytest.mark.parametrize("one", [WHOLE, PLAIN], ids=["whole", "plain"])
def test_facts_come_back_as_they_were(one: OplogSlice) -> None:
    assert slice_from_facts(json.loads(json.dumps(one.as_facts()))) == one


def test_the_oldest_open_transaction_is_named() -> None:
    assert WHOLE.as_facts()["open_txn_first_ts"] == "990:2"
    assert PLAIN.as_facts()["open_txn_first_ts"] is None


MAY_BE_MISSING = {
    "member",
    "replica_set_id",
    "objections",
    "idle",
    "feature_compatibility_version",
    "beginning",
    "open_txn_first_ts",
}


@pytest.mark.parametrize("missing", sorted(set(WHOLE.as_facts()) - MAY_BE_MISSING))
def test_facts_without_what_a_chain_needs_are_refused(missing: str) -> None:
    facts = WHOLE.as_facts()
    del facts[missing]
    with pytest.raises(ValueError, match=r"lack|contradict|is no"):
        slice_from_facts(facts)


@pytest.mark.parametrize(
    "change",
    [
        {"first": "1061:1"},
        {"first": "x"},
        {"first": None},
        {"last_sha256": "B" * 64},
        {"entries": 0},
        {"lineage": "../x"},
        {"open_transactions": [{"key": "a"}]},
        {"open_transactions": None},
        {"beginning": "why"},
    ],
)
def test_facts_that_can_not_be_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        slice_from_facts({**WHOLE.as_facts(), **change})


@given(first=positions, last=positions)
def test_names_hold_both_ends(first: tuple[int, int], last: tuple[int, int]) -> None:
    first, last = sorted((first, last))
    name = slice_name(first, last)
    assert parse_slice_name(name) == (first, last)
    assert parse_spool_name(spool_name(WHOLE.lineage, name)) == (WHOLE.lineage, first, last)


@pytest.mark.parametrize(
    "name", ["", "1.1", "1.1-2", "2.1-1.1", "1.1-2.2.bson", "a.1-2.2", "-1.1-2.2", "1.1-2.99999999999"]
)
def test_other_names_are_no_slices(name: str) -> None:
    with pytest.raises(ValueError, match=r"slice|ends before"):
        parse_slice_name(name)


@pytest.mark.parametrize("name", ["1.1-2.2", "@1.1-2.2", "RS0@1.1-2.2", "a/b@1.1-2.2", "rs0@x"])
def test_files_of_others_are_no_slices(name: str) -> None:
    with pytest.raises(ValueError, match=r"lineage|slice"):
        parse_spool_name(name)


def test_slices_lie_in_folders_of_their_day() -> None:
    assert group_of((1795215599, 9)) == "20261120"
    assert group_of((1795215600, 1)) == "20261120"
    assert group_of((1795219200, 0)) == "20261121"


@given(name=st.text(min_size=1, max_size=80), set_id=st.none() | st.text("0123456789abcdef", min_size=24, max_size=24))
def test_a_lineage_is_a_folder_whatever_the_set_is_called(name: str, set_id: str | None) -> None:
    assert is_name(lineage_of(name, set_id, bases_from=(2**32 - 1, 2**32 - 1)))


def test_a_set_that_was_initiated_again_has_another_lineage() -> None:
    first = lineage_of("rs0", "65a1b2c3d4e5f6a7b8c9d0e1", bases_from=(5, 1))
    assert first == "rs0-65a1b2c3d4e5-5.1"
    assert first != lineage_of("rs0", "65a1b2c4d4e5f6a7b8c9d0e1", bases_from=(5, 1))
    assert first != lineage_of("rs0", "65a1b2c3d4e5f6a7b8c9d0e1", bases_from=(5, 2))
