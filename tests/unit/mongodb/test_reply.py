# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reply's documents are cut out byte by byte, and their number follows from the lengths alone."""

from __future__ import annotations

import bson
import pytest
from hypothesis import given, settings, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.bson_bytes import MalformedBson
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.reply import (
    array_documents,
    count_in_array,
    each_document,
    join_documents,
    parse_reply,
)


def array_of(documents: list[bytes]) -> bytes:
    """The bytes of a BSON array of these documents."""
    body = b"".join(b"\x03" + str(index).encode() + b"\x00" + document for index, document in enumerate(documents))
    return (len(body) + 5).to_bytes(4, "little") + body + b"\x00"


def test_first_batch_with_a_cluster_time() -> None:
    documents = [{"_id": number} for number in range(12)]
    reply = bson.encode(
        {
            "cursor": {
                "firstBatch": documents,
                "atClusterTime": bson.Timestamp(100, 2),
                "id": bson.Int64(2**50),
                "ns": "a.b",
            },
            "ok": 1.0,
        }
    )
    batch = parse_reply(reply)
    assert batch.documents == b"".join(bson.encode(document) for document in documents)
    assert (batch.count, batch.cursor_id, batch.at_cluster_time) == (12, 2**50, (100, 2))


def test_an_empty_last_batch() -> None:
    batch = parse_reply(bson.encode({"cursor": {"nextBatch": [], "id": bson.Int64(0), "ns": "a.b"}, "ok": 1.0}))
    assert (batch.documents, batch.count, batch.cursor_id, batch.at_cluster_time) == (b"", 0, 0, None)


@pytest.mark.parametrize(
    "reply",
    [
        {"ok": 1.0},
        {"cursor": 1},
        {"cursor": {"id": bson.Int64(0)}},
        {"cursor": {"firstBatch": []}},
        {"cursor": {"firstBatch": {}, "id": bson.Int64(0)}},
        {"cursor": {"firstBatch": [], "id": "0"}},
    ],
)
def test_a_reply_without_a_batch_is_refused(reply: dict[str, object]) -> None:
    with pytest.raises(MalformedBson):
        parse_reply(bson.encode(reply))


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 10_000, 10_001, 123_456])
def test_the_count_follows_from_the_lengths(count: int) -> None:
    document = bson.encode({})
    array = array_of([document] * count)
    assert count_in_array(array_length=len(array), documents_length=count * len(document)) == count


def test_keys_that_do_not_count_up_are_refused() -> None:
    with pytest.raises(MalformedBson):
        count_in_array(array_length=5 + 5 + 7, documents_length=5)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(alphabet="abc", max_size=3), st.integers(0, 9), max_size=3), max_size=120))
def test_both_ways_to_join_agree(values: list[dict[str, int]]) -> None:
    documents = [bson.encode(value) for value in values]
    array = memoryview(array_of(documents))
    assert array_documents(array) == join_documents(array) == b"".join(documents)
    assert count_in_array(array_length=len(array), documents_length=len(b"".join(documents))) == len(documents)
    assert list(each_document(b"".join(documents))) == documents


def test_duplicate_keys_and_broken_text_pass_unchanged() -> None:
    body = b"\x10a\x00\x01\x00\x00\x00" * 2 + b"\x02t\x00\x03\x00\x00\x00\xff\xfe\x00"
    odd = (len(body) + 5).to_bytes(4, "little") + body + b"\x00"
    assert array_documents(memoryview(array_of([odd]))) == odd
