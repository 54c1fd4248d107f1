# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each base in a stream needs of it, and what it reaches: the same as the windows say, by one walk for all."""

from __future__ import annotations

import datetime
import random
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_chain import Way, read_chain
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_marks import AOF_LOG_MARKS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_piece import Piece
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_seconds import seconds_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_walk import Walk
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_windows import aof_log_windows
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream
from tests.support.fuzzing import many
from tests.support.stream_hours import Span, hour, later_hours, moments, summed, union, windows_of
from tests.unit.redis.made_pieces import base, increment, stream
from tests.unit.redis.test_aof_log_planning import TWO

APART = datetime.timedelta(microseconds=1)
OFF = increment(1, 20, 30, commands=3, untimed=3, opening=None, closing=None, covered=129, after=119, taken=130)
AGAIN = increment(1, 30, 40, seconds=(140, 150), covered=160, opening=None, after=135, taken=161)
TIMED = increment(1, 0, 20, seconds=(101, 110), covered=119, taken=120)
STREAMS = {
    "two generations": TWO,
    "no base of the second": tuple(piece for piece in TWO if piece != TWO[3]),
    "a base cut short": (*TWO[:3], replace(TWO[3], size=60), TWO[4]),
    "a base in two pieces": (
        replace(TWO[0], name=replace(TWO[0].name, end=20)),
        replace(TWO[0], name=replace(TWO[0].name, offset=20)),
        *TWO[1:],
    ),
    "the first piece is missing": (TWO[0], *TWO[2:]),
    "the second piece is missing": (*TWO[:2], *TWO[3:]),
    "not joined": (*TWO[:3], replace(TWO[3], previous=None, holds=112), replace(TWO[4], previous=None, broken="why")),
    "a generation is missing": (*TWO[:3], base(3, holds=150), increment(3, 0, 9, seconds=(151, 155), covered=160)),
    "without times": (base(1), TIMED, OFF, AGAIN),
    "without times at last": (base(1), TIMED, OFF),
    "a clock set back": (
        base(1),
        increment(1, 0, 10, seconds=(101, 110)),
        increment(1, 10, 20, seconds=(103, 108), covered=120, opening=110),
    ),
    "at rest": (*TWO[:3], increment(1, 20, 20, covered=180), increment(1, 20, 20, covered=190)),
    "at rest, then not": (*TWO[:3], increment(1, 20, 20, covered=130), increment(1, 20, 30, seconds=(131, 139))),
    "overlapping": (TWO[0], TWO[1], increment(1, 5, 20, seconds=(103, 109), covered=None, opening=101), *TWO[3:]),
    "a longer one behind": (TWO[0], TWO[1], increment(1, 0, 20, seconds=(101, 103, 109), opening=None), *TWO[3:]),
    "twice": (*TWO, TWO[1], TWO[2]),
    "the first piece again at last": (*TWO, TWO[1]),
    "the first piece again": (*TWO[:3], TWO[1], increment(1, 20, 30, seconds=(111, 115)), base(3, holds=200)),
    "a hole, then more": (
        *TWO[:2],
        increment(1, 15, 20, seconds=(107,)),
        increment(1, 20, 30, seconds=(111,)),
        *TWO[3:],
    ),
    "a generation without its beginning": (*TWO[:3], increment(2, 5, 9, seconds=(112,)), increment(1, 20, 30)),
    "no base": TWO[1:3],
    "no increment": TWO[:1],
}


def spans(pieces: Stream, *, each: int = 2) -> list[Span]:
    return union(moments(summed(pieces, AOF_LOG_MARKS, (), each=each).entry.windows), apart=APART)


def windows(pieces: Stream) -> list[Span]:
    return union(windows_of(aof_log_windows, (), pieces), apart=APART)


@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("name", STREAMS)
def test_the_spans_are_those_of_the_windows(name: str, each: int) -> None:
    pieces = stream(*STREAMS[name])
    assert spans(pieces, each=each) == windows(pieces)


def test_a_base_is_known_by_the_hour_in_which_its_increment_begins() -> None:
    entry = summed(stream(*TWO[:3], TWO[4], TWO[3]), AOF_LOG_MARKS, (), each=1).entry
    assert entry.own_bases == (hour(0), hour(3))
    assert entry.needed_from == {}
    assert {one.base for one in entry.windows} == {hour(0), hour(3)}


def test_an_increment_that_begins_with_nothing_begins_all_the_same() -> None:
    quiet = increment(2, 0, 0, covered=110, previous=(1, 20))
    entry = summed(stream(*TWO[:3], quiet, *TWO[3:]), AOF_LOG_MARKS, (), each=1).entry
    assert entry.own_bases == (hour(0), hour(3))


def test_what_is_no_base_any_more_is_none() -> None:
    assert summed(stream(*TWO[:2], *TWO[3:4]), AOF_LOG_MARKS, (), each=1).entry.own_bases == (hour(0),)
    assert summed(stream(replace(TWO[0], size=60), *TWO[1:]), AOF_LOG_MARKS, ()).entry.own_bases == (hour(1),)


def test_what_describes_no_piece_is_passed_over() -> None:
    whole = stream(*TWO)
    hurt = whole.segments[2]
    description = replace(hurt.segment.description, facts={})
    damaged = replace(hurt, segment=replace(hurt.segment, description=description))
    pieces = replace(whole, segments=(*whole.segments[:2], damaged, *whole.segments[3:]))
    assert spans(pieces) == windows(pieces)


def way_of(pieces: Stream, number: int) -> Way | None:
    return next((way for way in read_chain(pieces).ways if way.base.increment == number), None)


@many(120, deadline=None)
@given(st.integers(0, 1 << 40))
def test_the_same_of_any_files(seed: int) -> None:
    chance = random.Random(seed)
    pieces = stream(*_any_files(chance))
    each = chance.choice((1, 2, 5))
    found = summed(pieces, AOF_LOG_MARKS, (), each=each).entry
    assert union(moments(found.windows), apart=APART) == windows(pieces)
    for way in read_chain(pieces).ways:
        number = way.base.increment
        if not way.pieces:
            continue  # nothing can be reached from it
        first = next(
            place for place, one in enumerate(pieces.segments) if Piece.of(one.segment).name.increment >= number
        )
        assert hour(first // each) in found.own_bases
        again = way_of(later_hours(pieces, hour(first // each), each=each), number)
        assert again is not None
        assert seconds_of(again) == seconds_of(way)


def _any_files(chance: random.Random) -> list[Piece]:
    """Generations as a server writes them, in the order of their capture; now and then something is missing."""
    made: list[Piece] = []
    clock, previous = 100, (0, 0)
    for number in range(1, chance.randrange(2, 7)):
        begun, length, waiting = clock, 0, chance.randrange(3)
        for turn in range(chance.randrange(1, 5)):
            end = length + (10 if turn == 0 else chance.choice((0, 10, 10, 10)))
            piece, clock = _any_piece(chance, number, length, end, clock=clock)
            if turn == 0 and chance.random() < 0.8:
                piece = replace(piece, previous=previous)
            made.append(piece)
            if turn == waiting:
                made.append(base(number, holds=begun, previous=previous))
            if chance.random() < 0.1:
                made.append(piece)
            length = end
        previous = (number, length)
        clock += chance.randrange(3)
        if chance.random() < 0.1:
            clock -= chance.randrange(20)
    return [one for one in made if chance.random() > 0.04]


def _any_piece(chance: random.Random, number: int, offset: int, end: int, *, clock: int) -> tuple[Piece, int]:
    after = clock - 1
    if offset == end:
        clock += chance.randrange(1, 9)
        return increment(number, offset, end, covered=clock), clock
    if chance.random() < 0.2:
        taken = clock + chance.randrange(1, 9)
        options = {"commands": 2, "untimed": 2, "after": after, "taken": taken}
        return increment(number, offset, end, covered=taken - 1, **options), taken
    seconds = tuple(clock + step for step in sorted(chance.sample(range(9), chance.randrange(1, 4))))
    clock = seconds[-1] + chance.randrange(1, 4)
    options = {"opening": chance.choice((None, after)), "after": after, "taken": clock}
    if chance.random() < 0.1:
        options["closing"] = None
    covered = chance.choice((None, clock - 1))
    return increment(number, offset, end, seconds=seconds, covered=covered, **options), clock


def test_many_generations_are_walked_along_once() -> None:
    class Counting(Walk):
        """Says how many walks are on their way."""

        def most(self) -> int:
            return 0 if self._run is None else len(self._run.own)

    walk, most, previous = Counting(), 0, (1, 10)
    # Commands without a time in the first one leave no trace in those that follow.
    walk.take(increment(1, 0, 10, commands=1, untimed=1, closing=None, covered=5, taken=6))
    for number in range(2, 2000):
        head = increment(number, 0, 10, seconds=(number * 10,), covered=number * 10 + 5, previous=previous)
        walk.take(replace(head, previous=previous))
        walk.take(increment(number, 10, 20, seconds=(number * 10 + 6,), covered=number * 10 + 9))
        previous = (number, 20)
        most = max(most, walk.most())
    found = walk.seconds()
    assert len(found) == 1999
    assert most <= 1
    assert all(found[number].spans() == [(0, 19999)] for number in range(2, 2000))
    assert found[1].spans() == [(7, 19999)]
