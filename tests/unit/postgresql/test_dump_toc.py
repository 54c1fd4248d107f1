# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of a dump comes from anywhere: whatever the bytes are, it is read or refused by name, in little memory."""

from __future__ import annotations

import io
import random
import tracemalloc

import pytest
from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import PostgresDumpInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.dump_toc import DumpToc, read_toc
from tests.support.fuzzing import growth, many
from tests.support.pg_dumps import Entry, dump_head, integer

MIB = 1024 * 1024
ENTRIES = (
    Entry(1, "ENCODING", "ENCODING"),
    Entry(2, "SCHEMA", "größe"),
    Entry(3, "TABLE", "orders", schema="größe", needs=(2,)),
    Entry(4, "TABLE DATA", "orders", schema="größe", needs=(3,), has_data=True),
    Entry(5, "INDEX", "orders_by_price", schema="größe", needs=(3, 2)),
)
GOOD = tuple(dump_head(ENTRIES, minor=minor) for minor in (14, 15, 16))
LENGTHS = (0, 1, -1, 255, 65536, 20_000_000, 20_000_001, 256 * MIB, 256 * MIB + 1, 2**31 - 1, 2**32 - 1, -(2**31))


def outcome(data: bytes) -> DumpToc | None:
    """What was read; None when it was refused by name."""
    try:
        return read_toc(io.BytesIO(data))
    except PostgresDumpInvalid:
        return None


@pytest.mark.parametrize("data", GOOD, ids=["1.14", "1.15", "1.16"])
def test_what_pg_dump_writes_is_read_and_every_cut_of_it_is_refused(data: bytes) -> None:
    file = io.BytesIO(data + b"rows")
    toc = read_toc(file)
    assert file.read() == b"rows", "nothing behind it is touched"
    assert (toc.database, toc.server_version, toc.created.isoformat()) == ("shop", "15.10", "2026-11-21T02:30:07")
    assert [(one.id, one.kind, one.name, one.schema, one.needs) for one in toc.entries] == [
        (one.id, one.kind, one.name, one.schema, one.needs) for one in ENTRIES
    ]
    assert [one.id for one in toc.entries if one.has_data] == [4]
    for end in range(len(data)):
        assert outcome(data[:end]) is None


@many(1000)
@given(st.binary(max_size=600), st.sampled_from((b"", b"PGDMP", GOOD[0][:20], GOOD[1][:80], GOOD[2])))
def test_random_bytes(data: bytes, start: bytes) -> None:
    assert (outcome(start + data) is not None) == (start == GOOD[2])


def test_a_refusal_says_what_is_wrong_and_what_to_do() -> None:
    with pytest.raises(PostgresDumpInvalid, match="does not begin with PGDMP") as refused:
        read_toc(io.BytesIO(b"PGDUMP" + GOOD[0]))
    assert "lifeboat list" in refused.value.hint


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """A good one after some cuts, copies and false lengths."""
    data = bytearray(draw(st.sampled_from(GOOD)))
    for _change in range(draw(st.integers(1, 5))):
        here = draw(st.integers(0, max(0, len(data) - 1)))
        there = min(len(data), here + draw(st.integers(0, 100)))
        kind = draw(st.sampled_from(("byte", "length", "cut", "copy", "zero", "insert")))
        if kind == "byte" and data:
            data[here] = draw(st.integers(0, 255))
        elif kind == "length":
            data[here : here + 5] = integer(draw(st.sampled_from(LENGTHS)))
        elif kind == "cut":
            del data[here:there]
        elif kind == "copy":
            data[there:there] = data[here:there]
        elif kind == "zero":
            data[here:there] = bytes(there - here)
        else:
            data[here:here] = draw(st.binary(max_size=20))
    return bytes(data)


@pytest.mark.thorough
@many(2000)
@given(altered())
def test_altered_heads(data: bytes) -> None:
    outcome(data)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_length_alone_takes_no_memory(length: int) -> None:
    """Neither the number of entries nor the length of a text is believed before the bytes are there."""
    count = dump_head(())[: -len(integer(0))] + integer(length)
    name = dump_head(())[: -len(integer(0))] + integer(1) + integer(1) + integer(0) + integer(length)
    tracemalloc.start()
    try:
        for data in (count, name):
            outcome(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_number_of_bad_heads() -> None:
    chance = random.Random(1)

    def read_some(count: int) -> None:
        for _number in range(count):
            data = bytearray(GOOD[chance.randrange(3)])
            for _change in range(3):
                data[chance.randrange(len(data))] = chance.randrange(256)
            outcome(bytes(data))

    assert growth(read_some, warm=100, first=50, more=1000) < MIB / 4
