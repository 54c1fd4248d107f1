# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Append-only files are walked to their end, whatever pieces they come in."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import AofInvalid, RdbInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_check import AofChecker, AofFacts
from tests.unit.redis.made_files import command, make_rdb, pieces

SELECT = command("SELECT", "0")
SET = command("SET", "key", b"a value with *3\r\n$1\r\n in it")
LOG = SELECT + SET + command("RPUSH", "list", b"x" * 300) + command("SET", "empty", "")
RDB = make_rdb(keys={"a": b"1", "fake": b"\xff12345678*1\r\n$4\r\nPING\r\n"})
TRANSACTION = command("MULTI") + SET + command("INCR", "n") + command("EXEC")


def check(data: bytes, *, cuts: tuple[int, ...] = (1 << 20,), last: bool = True) -> AofFacts:
    checker = AofChecker(name="incr.aof")
    for piece in pieces(data, cuts):
        checker.feed(piece)
    return checker.finish(last=last)


@pytest.mark.parametrize("cuts", [(1,), (2,), (7, 13), (1 << 20,)])
def test_commands(cuts: tuple[int, ...]) -> None:
    facts = check(LOG, cuts=cuts)
    assert (facts.size, facts.commands, facts.torn, facts.rdb) == (len(LOG), 4, 0, None)


def test_an_empty_file() -> None:
    assert check(b"") == AofFacts(size=0, rdb=None)


@pytest.mark.parametrize("cuts", [(1,), (5,), (64,), (1 << 20,)])
def test_an_rdb_with_commands_after_it(cuts: tuple[int, ...]) -> None:
    facts = check(RDB + LOG, cuts=cuts)
    assert facts.rdb is not None
    assert (facts.rdb.size, facts.rdb.crc64) == (len(RDB), RDB[-8:][::-1].hex())
    assert (facts.size, facts.commands, facts.torn) == (len(RDB + LOG), 4, 0)


@pytest.mark.parametrize("cuts", [(1,), (64,), (1 << 20,)])
def test_an_rdb_alone(cuts: tuple[int, ...]) -> None:
    facts = check(RDB, cuts=cuts, last=False)
    assert facts.rdb is not None
    assert (facts.size, facts.rdb.size, facts.commands) == (len(RDB), len(RDB), 0)


def test_an_rdb_without_a_checksum_before_commands() -> None:
    plain = make_rdb(keys={"a": b"1"}, checksum=False)
    facts = check(plain + LOG)
    assert facts.rdb is not None
    assert (facts.rdb.size, facts.rdb.crc64, facts.commands) == (len(plain), None, 4)


@pytest.mark.parametrize("tail", [b"", LOG])
def test_a_damaged_rdb_is_found(tail: bytes) -> None:
    damaged = bytearray(RDB + tail)
    damaged[30] ^= 4
    with pytest.raises(RdbInvalid):
        check(bytes(damaged))


def test_a_truncated_rdb_is_never_torn_but_invalid() -> None:
    with pytest.raises(RdbInvalid):
        check(RDB[:-3])


@pytest.mark.parametrize("cuts", [(1,), (1 << 20,)])
def test_every_torn_end_is_measured(cuts: tuple[int, ...]) -> None:
    for length in range(len(SELECT), len(SELECT + SET)):
        facts = check((SELECT + SET)[:length], cuts=cuts)
        assert facts.torn == length - len(SELECT)
        assert facts.size == length


def test_a_torn_file_before_the_last_is_refused() -> None:
    with pytest.raises(AofInvalid, match="another file follows"):
        check(LOG[:-1], last=False)


@pytest.mark.parametrize("spelling", [str.upper, str.lower])
def test_an_open_transaction_is_torn_as_a_whole(spelling: type[str]) -> None:
    begun = command(spelling("multi")) + SET + command("INCR", "n")
    assert check(SELECT + begun).torn == len(begun)
    assert check(SELECT + begun + command(spelling("exec"))).torn == 0
    assert check(SELECT + TRANSACTION + SET[:-1]).torn == len(SET) - 1


def test_timestamps_are_noted() -> None:
    facts = check(b"#TS:1795252516\r\n" + LOG + b"#TS:1795252520\r\n" + SET + b"# other note\r\n")
    assert (facts.first_timestamp, facts.last_timestamp, facts.torn) == (1795252516, 1795252520, 0)


@pytest.mark.parametrize(
    "damage",
    [
        b"SET key value\r\n",
        b"*x\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*2\n$3\r\nGET\r\n$1\r\nk\r\n",
        b"*2\r\n*3\r\nGET\r\n",
        b"*2\r\n$x\r\n",
        b"*2\r\n$-1\r\n",
        b"*2\r\n$3\r\nGETTT\r\n$1\r\nk\r\n",
        b"*2\r\n$5\r\nGET\r\n$1\r\nk\r\n",
        b"*2\r\n$3\r\nGETxx$1\r\nk\r\n",
        b"*2\r\n$" + b"9" * 5000 + b"\r\n",
        b"*" + b"9" * 5000 + b"\r\n",
        b"*1\r\n$99999999999999\r\n",
        b"*2\r\n$3\r\nGET\r\n" + b"$" + b"1" * 70_000,
        b"\x00" * 4096,
    ],
)
def test_damage_in_the_middle_is_named_with_its_place(damage: bytes) -> None:
    for cuts in ((1 << 20,), (3,)):
        with pytest.raises(AofInvalid) as caught:
            check(LOG + damage + LOG, cuts=cuts)
        assert len(LOG) <= caught.value.details["offset"] <= len(LOG + damage)


def test_large_arguments_are_skipped_and_still_checked() -> None:
    large = command("SET", "large", bytes(3_000_000))
    assert check(LOG + large + SET, cuts=(70_000,)).commands == 6
    assert check(LOG + large, cuts=(70_000,)).torn == 0
    assert check(LOG + large[:-1], cuts=(70_000,)).torn == len(large) - 1
    assert check(LOG + large[:-2], cuts=(70_000,)).torn == len(large) - 2
    longer = large[:-2] + b"xx" + SET
    with pytest.raises(AofInvalid, match="another length"):
        check(LOG + longer, cuts=(70_000,))


@given(strategies.binary(max_size=300), strategies.integers(1, 40))
@settings(max_examples=500)
def test_nothing_breaks_the_walker(data: bytes, cut: int) -> None:
    try:
        facts = check(LOG + data, cuts=(cut,))
    except AofInvalid:
        return
    assert facts.size == len(LOG + data)
    assert 0 <= facts.torn <= len(data)


@given(
    strategies.lists(strategies.lists(strategies.binary(max_size=30), min_size=1, max_size=4), max_size=8),
    strategies.integers(1, 30),
    strategies.integers(0, 400),
)
@settings(max_examples=300)
def test_any_commands_cut_anywhere(commands: list[list[bytes]], cut: int, length: int) -> None:
    # Names that open or close a transaction would be another test.
    parts = [command("SET", *words) for words in commands]
    log = b"".join(parts)[:length]
    whole = 0
    for part in parts:
        if whole + len(part) > len(log):
            break
        whole += len(part)
    assert check(log, cuts=(cut,)).torn == len(log) - whole


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_file() -> None:
    checker = AofChecker(name="incr.aof")
    batch = SET * 2000
    large_head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (40 << 20)
    checker.feed(batch)
    tracemalloc.start()
    try:
        for _turn in range(15):
            checker.feed(batch)
        checker.feed(large_head)
        zeros = bytes(1 << 20)
        for _turn in range(40):
            checker.feed(zeros)
        checker.feed(b"\r\n")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert checker.finish(last=False).commands == 16 * 2000 + 1
    assert peak < 4 * 1024 * 1024
