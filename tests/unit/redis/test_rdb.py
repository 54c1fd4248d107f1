# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An RDB is taken when it is whole, and named when it is not."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import tracemalloc

import pytest
from hypothesis import given, settings, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RdbInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.rdb import (
    RdbChecker,
    RdbFacts,
    check_descriptor,
    needed_server,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.rdb_head import parse_head
from tests.support.fuzzing import damaged, growth, many
from tests.unit.redis.made_files import bitwise_crc64, make_rdb, pieces, rdb_string

WHOLE = make_rdb(keys={"a": b"1", "b": b"\xff" * 40}, expires=1)


def check(data: bytes, *, cuts: tuple[int, ...] = (1 << 20,)) -> RdbFacts:
    checker = RdbChecker()
    for piece in pieces(data, cuts):
        checker.feed(piece)
    return checker.finish()


@pytest.mark.parametrize("cuts", [(1,), (8,), (9,), (3, 11), (len(WHOLE),)])
def test_a_whole_one_in_any_pieces(cuts: tuple[int, ...]) -> None:
    facts = check(WHOLE, cuts=cuts)
    assert facts.size == len(WHOLE)
    assert facts.crc64 == WHOLE[-8:][::-1].hex()
    assert (facts.head.magic, facts.head.version) == ("REDIS", 10)
    assert facts.head.created == 1795252516
    assert facts.head.first_database == {"index": 0, "keys": 2, "expires": 1}


def test_valkey_9_has_a_magic_of_its_own() -> None:
    facts = check(make_rdb(magic=b"VALKEY080", auxiliary={"valkey-ver": "9.0.1"}))
    assert (facts.head.magic, facts.head.version) == ("VALKEY", 80)
    assert needed_server(facts.head) == "Valkey 9.0"


def test_an_empty_data_set() -> None:
    assert check(make_rdb()).head.first_database is None


def test_every_truncation_is_found() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(RdbInvalid):
            check(WHOLE[:length])


def test_every_flipped_bit_is_found() -> None:
    for position in range(len(WHOLE)):
        for bit in range(8):
            damaged = bytearray(WHOLE)
            damaged[position] ^= 1 << bit
            with pytest.raises(RdbInvalid):
                check(bytes(damaged))


@pytest.mark.parametrize("extra", [b"\n", b"0" * 40, WHOLE[:-1]])
def test_bytes_that_follow_are_found(extra: bytes) -> None:
    with pytest.raises(RdbInvalid):
        check(WHOLE + extra)


def test_without_a_checksum_the_ends_are_checked_and_that_is_said() -> None:
    unchecked = make_rdb(keys={"a": b"1"}, checksum=False)
    assert check(unchecked).crc64 is None
    with pytest.raises(RdbInvalid, match="end mark"):
        check(unchecked[:-9] + unchecked[-8:])


@pytest.mark.parametrize("start", [b"-ERR no", b"*3\r\n$3\r\nSET", b"REDIS00xx" + bytes(20), b"VALKEY", b""])
def test_what_is_no_rdb(start: bytes) -> None:
    with pytest.raises(RdbInvalid, match="no RDB"):
        check(start)


def test_a_stranger_is_refused_at_its_first_bytes() -> None:
    checker = RdbChecker()
    with pytest.raises(RdbInvalid):
        checker.feed(b"not an RDB at all")


def test_too_old_to_be_checked() -> None:
    with pytest.raises(RdbInvalid, match="version 4"):
        check(make_rdb(magic=b"REDIS0004"))


def test_through_a_descriptor_whose_position_stays(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "dump.rdb"
    file.write_bytes(WHOLE)
    descriptor = os.open(file, os.O_RDONLY)
    try:
        assert check_descriptor(descriptor).size == len(WHOLE)
        assert os.read(descriptor, 5) == b"REDIS"
    finally:
        os.close(descriptor)


def test_numbers_compressed_and_long_fields_in_the_head() -> None:
    head = (
        b"REDIS0009\xfa"
        + rdb_string("redis-bits") + b"\xc0\x40"
        + b"\xfa" + rdb_string("ctime") + b"\xc2" + (1795252516).to_bytes(4, "little")
        + b"\xfa" + rdb_string("small") + b"\xc1" + (-2).to_bytes(2, "little", signed=True)
        + b"\xfa" + rdb_string("lua") + b"\xc3\x03\x14abc"
        + b"\xfa" + rdb_string("long") + rdb_string("x" * 300)
        + b"\xfe\x41\x00\xfb\x80\x00\x01\x00\x00\x81" + (1 << 40).to_bytes(8, "big")
    )  # fmt: skip
    found = parse_head(head)
    assert found.auxiliary == {
        "redis-bits": "64", "ctime": "1795252516", "small": "-2", "lua": "", "long": "x" * 300
    }  # fmt: skip
    assert found.first_database == {"index": 256, "keys": 65536, "expires": 1 << 40}


@given(strategies.binary(max_size=400))
@settings(max_examples=500)
def test_no_head_breaks_the_parser(data: bytes) -> None:
    head = parse_head(b"REDIS0011" + data)
    assert all(len(value) <= len(data) * 2 for value in head.auxiliary.values())


@given(strategies.binary(max_size=400), strategies.lists(strategies.integers(1, 50), min_size=1, max_size=5))
@settings(max_examples=300)
def test_no_stream_breaks_the_checker(data: bytes, cuts: list[int]) -> None:
    with pytest.raises(RdbInvalid):
        check(b"REDIS0011" + data + b"\x01", cuts=tuple(cuts))


def _recomputed(data: bytes) -> bytes:
    """With the checksum of what is there now: only the structure can tell."""
    return data[:-8] + bitwise_crc64(data[:-8]).to_bytes(8, "little") if len(data) > 8 else data


@pytest.mark.thorough
@many(2000)
@given(strategies.integers(0, 2**32), strategies.booleans(), strategies.lists(strategies.integers(1, 50), min_size=1))
def test_altered_ones_are_taken_or_refused_by_name(seed: int, is_sealed: bool, cuts: list[int]) -> None:
    """Cut, flipped, repeated, with others put in; whatever is taken has its ends and its checksum right."""
    data = damaged(WHOLE, random.Random(seed))
    data = _recomputed(data) if is_sealed else data
    checker = RdbChecker()
    try:
        for piece in pieces(data, cuts):
            checker.feed(piece)
        facts = checker.finish()
    except RdbInvalid:
        return
    assert facts.size == len(data)
    assert data[-9] == 0xFF
    assert int.from_bytes(data[-8:], "little") in (0, bitwise_crc64(data[:-8]))
    assert is_sealed or data == WHOLE or facts.crc64 is None


def test_memory_does_not_grow_with_the_number_of_bad_ones() -> None:
    chance = random.Random(7)

    def refuse(count: int) -> None:
        for _turn in range(count):
            with contextlib.suppress(RdbInvalid):
                check(damaged(WHOLE, chance))

    assert growth(refuse, warm=200, first=100, more=1000) < 64 * 1024


def test_memory_does_not_grow_with_the_stream() -> None:
    checker = RdbChecker()
    checker.feed(WHOLE[:60])
    piece = bytes(range(256)) * 4096
    for _turn in range(4):  # until every buffer has its size
        checker.feed(piece)
    tracemalloc.start()
    try:
        for _turn in range(24):
            checker.feed(piece)
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert checker.size > 28 * len(piece)
    assert now < 4 * 1024 * 1024
    assert peak < 8 * 1024 * 1024
