# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which transactions are open: begun in the oplog, and ended neither there nor by an election."""

from __future__ import annotations

import typing as t

import bson

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_entry import read_entry
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_transactions import (
    OpenTransactions,
)
from tests.unit.mongodb.oplog_entries import end, entry, insert, part


def fed(*entries: bytes) -> OpenTransactions:
    tracker = OpenTransactions()
    for raw in entries:
        parsed = read_entry(raw)
        tracker.take(parsed, position=parsed.position())
    return tracker


def first(*entries: bytes) -> t.Any:
    return fed(*entries).first


def test_small_transactions_are_never_open() -> None:
    assert first(insert((5, 1)), part((5, 2), of=1, last=True)) is None


def test_a_large_one_is_open_until_its_last_entry() -> None:
    begun = part((5, 1), of=1)
    assert first(begun, part((5, 2), of=1, before=(5, 1))) == (5, 1)
    assert first(begun, part((5, 2), of=1, before=(5, 1), last=True)) is None
    # The same session's next one is another one.
    assert first(begun, part((5, 2), of=2, last=True)) == (5, 1)


def test_a_prepared_one_is_open_until_it_is_decided() -> None:
    prepared = part((5, 1), of=1, prepare=True)
    assert first(prepared, insert((9, 1))) == (5, 1)
    for command in ("commitTransaction", "abortTransaction"):
        assert first(prepared, end((9, 1), of=1, before=(5, 1), command=command)) is None


def test_an_election_ends_what_was_not_prepared() -> None:
    elected = entry((8, 1), o={"msg": "new primary"}, term=2)
    assert first(part((5, 1), of=1), elected) is None
    assert first(part((5, 1), of=1, prepare=True), elected) == (5, 1)
    assert first(part((5, 1), of=1), entry((8, 1))) == (5, 1)


def test_a_vectored_insert_is_no_transaction() -> None:
    several = entry(
        (5, 1),
        op="c",
        ns="admin.$cmd",
        o={"applyOps": []},
        lsid={"id": bson.Binary(b"s" * 16, 4)},
        txnNumber=bson.Int64(1),
        multiOpType=bson.Int64(1),
    )
    assert first(part((4, 1), of=1), several) == (4, 1)


def test_the_middle_of_one_whose_beginning_was_never_read_is_of_no_use() -> None:
    assert first(part((5, 2), of=1, before=(5, 1))) is None


def test_a_retried_write_outside_of_transactions_is_none() -> None:
    assert first(entry((5, 1), op="c", ns="a.$cmd", o={"applyOps": []})) is None


def test_what_goes_on_with_a_transaction_that_was_not_read_is_told() -> None:
    none, begun = fed(), fed(part((5, 1), of=1))
    later = part((5, 2), of=1, before=(5, 1))
    last = part((5, 3), of=1, before=(5, 2), last=True)
    for entry_of_it in (later, last, end((5, 3), of=1, before=(5, 2))):
        assert none.lacks_beginning(read_entry(entry_of_it))
        assert not begun.lacks_beginning(read_entry(entry_of_it))
    aborted = end((5, 3), of=1, before=(5, 2), command="abortTransaction")
    for other in (insert((5, 1)), part((5, 1), of=1), part((5, 1), of=1, last=True), aborted):
        assert not none.lacks_beginning(read_entry(other))
