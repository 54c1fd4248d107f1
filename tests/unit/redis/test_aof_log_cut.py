# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A growing append-only file is cut behind a complete command only, and whatever it holds raises named errors only."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing as t

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    AofInvalid,
    AofUnstable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis import aof_log_cut
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_commands import CommandWalker
from tests.unit.redis.made_files import command, pieces

SET = command("SET", "key", b"*1\r\n$4\r\nEXEC\r\n#TS:5\r\n")
MULTI, EXEC = command("MULTI"), command("EXEC")
TRANSACTION = MULTI + SET + command("INCR", "n") + EXEC


def stamp(second: int) -> bytes:
    return b"#TS:%d\r\n" % second


@contextlib.contextmanager
def opened(folder: pathlib.Path, data: bytes) -> t.Iterator[int]:
    path = folder / "incr.aof"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def cut(descriptor: int, size: int, *, start: int = 0, limit: int = 1 << 30) -> int:
    return aof_log_cut.find_cut(descriptor, name="incr.aof", start=start, size=size, limit=limit)


WORDS = strategies.lists(strategies.binary(max_size=20), min_size=1, max_size=4).filter(
    lambda words: words[0].upper() not in (b"MULTI", b"EXEC")
)
COMMANDS = WORDS.map(lambda words: command(*words))
PARTS = strategies.lists(
    strategies.one_of(
        COMMANDS,
        strategies.lists(COMMANDS, max_size=3).map(lambda inner: MULTI + b"".join(inner) + EXEC),
        strategies.integers(min_value=0, max_value=10**10).map(stamp),
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(PARTS, strategies.data())
def test_a_cut_is_between_parts_wherever_the_file_ends(
    tmp_path: pathlib.Path, parts: list[bytes], data: strategies.DataObject
) -> None:
    whole = b"".join(parts)
    ends = [0]
    for part in parts:
        ends.append(ends[-1] + len(part))
    size = data.draw(strategies.integers(min_value=0, max_value=len(whole)))
    with opened(tmp_path, whole[:size]) as descriptor:
        # A lone "*1" command that is short is waited for until it can't be MULTI any more.
        found = cut(descriptor, size)
        assert found in ends
        assert found <= size
        facts, _sha256 = aof_log_cut.measure(descriptor, name="incr.aof", start=0, end=found)
        assert facts.torn == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(strategies.binary(max_size=200), strategies.integers(min_value=0, max_value=100))
def test_garbage_raises_named_errors_only(tmp_path: pathlib.Path, garbage: bytes, place: int) -> None:
    data = TRANSACTION + stamp(7) + SET
    for bad in (garbage, data[:place] + garbage + data[place:]):
        with opened(tmp_path, bad) as descriptor, contextlib.suppress(AofInvalid):
            found = cut(descriptor, len(bad))
            aof_log_cut.measure(descriptor, name="incr.aof", start=0, end=found)


def test_a_limit_ends_a_piece_behind_the_command_that_reaches_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aof_log_cut, "_READ", 16)
    whole = SET * 20
    with opened(tmp_path, whole) as descriptor:
        first = cut(descriptor, len(whole), limit=len(SET) + 1)
        assert first == 2 * len(SET)
        assert cut(descriptor, len(whole), start=first) == len(whole)


def test_a_transaction_is_not_cut_by_a_limit(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aof_log_cut, "_READ", 16)
    whole = TRANSACTION * 2
    with opened(tmp_path, whole) as descriptor:
        assert cut(descriptor, len(whole), limit=1) == len(TRANSACTION)


def test_a_span_that_was_measured_is_copied_or_nothing_is(tmp_path: pathlib.Path) -> None:
    whole = SET * 3
    with opened(tmp_path, whole) as descriptor:
        _facts, sha256 = aof_log_cut.measure(descriptor, name="incr.aof", start=0, end=len(whole))
        path = tmp_path / "copy"
        with path.open("wb") as output:
            aof_log_cut.copy_span(descriptor, 0, len(whole), output, name="incr.aof", sha256=sha256)
        assert path.read_bytes() == whole
        (tmp_path / "incr.aof").write_bytes(SET * 2 + SET.lower())
        with path.open("wb") as output, pytest.raises(AofUnstable):
            aof_log_cut.copy_span(descriptor, 0, len(whole), output, name="incr.aof", sha256=sha256)
        os.truncate(tmp_path / "incr.aof", 5)
        with pytest.raises(AofUnstable):
            aof_log_cut.tail_hash(descriptor, len(whole), name="incr.aof")


def test_what_ends_inside_of_a_command_is_no_piece(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path, SET + MULTI + SET) as descriptor, pytest.raises(AofInvalid):
        aof_log_cut.measure(descriptor, name="incr.aof", start=0, end=len(SET + MULTI + SET))


@pytest.mark.parametrize("sizes", [(1,), (3, 7), (1 << 20,)])
@pytest.mark.parametrize(
    ("through", "kept"),
    [
        (9, SET),
        (10, SET + stamp(10) + SET),
        (11, SET + stamp(10) + SET + stamp(11) + TRANSACTION),
        (12, None),
    ],
)
def test_the_cut_at_a_second(sizes: tuple[int, ...], through: int, kept: bytes | None) -> None:
    data = SET + stamp(10) + SET + stamp(11) + TRANSACTION + stamp(12) + SET
    walker = CommandWalker(name="incr.aof", through=through)
    for piece in pieces(data, sizes):
        walker.feed(piece)
    assert walker.cut == (None if kept is None else len(kept))
    facts = walker.finish()
    assert (facts.first_timestamp, facts.lowest_timestamp, facts.highest_timestamp) == (10, 10, 12)
    assert facts.untimed == 1


def test_a_time_inside_of_a_transaction_leaves_all_of_that_out() -> None:
    data = stamp(10) + SET + MULTI + SET + stamp(11) + SET + EXEC
    walker = CommandWalker(name="incr.aof", through=10)
    walker.feed(data)
    assert walker.cut == len(stamp(10) + SET)
