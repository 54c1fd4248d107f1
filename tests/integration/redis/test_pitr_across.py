# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recoveries of Redis in place, one across the other: every history that was left can be reached as it was."""

from __future__ import annotations

import pathlib
import typing as t
from dataclasses import dataclass

import pytest

from tests.integration.redis.aof_log_rig import (
    TIMED,
    Archive,
    LedgerWriter,
    everything,
    next_second,
    rewrite,
)
from tests.integration.redis.conftest import DaemonStarter
from tests.integration.redis.daemons import Daemon

pytestmark = pytest.mark.slow


@dataclass
class Place:
    """A server, its archive, its ledger."""

    of: Daemon
    archive: Archive
    writer: LedgerWriter

    def write(self) -> int:
        """Writes up to the end of a second, which is in the archive afterwards; that second."""
        second = next_second()
        self.writer.until_second(second + 1)
        self.archive.wait_until_complete(second)
        return second

    def lose_everything(self) -> int:
        """Somebody runs FLUSHALL; the second of it, in the archive."""
        second = next_second()
        with self.of.client() as client:
            client.flushall()
        self.archive.wait_until_complete(second)
        return second

    def recover(self, second: int, **target: t.Any) -> None:
        """In place. From now on the ledger is what was there by then."""
        plan = self.archive.plan(second, **target)
        options = {"connection": {"port": self.of.port}, "in_place": True, "service_control": self.of.control}
        outcome = self.archive.restore(plan, {**options, "start_timeout": 5})
        assert outcome.content["through"] == plan.facts["through"]
        through = plan.facts["through"]
        self.writer.written = [one for one in self.writer.written if one.sent <= through]
        self.writer.check(self.of, through=through)

    def check_beside(self, second: int, ledger: LedgerWriter, *, lineage: str) -> None:
        """A copy beside: all of the ledger by then, and nothing later, by that lineage."""
        with self.archive.recovered(second) as found:
            assert found.plan.lineage == lineage
            ledger.check(found, through=second)

    def ledger(self) -> LedgerWriter:
        """The ledger as it is now."""
        return LedgerWriter(self.of, written=list(self.writer.written))

    def lineage(self, second: int) -> str:
        return self.archive.plan(second).lineage


@pytest.fixture
def place(daemon: DaemonStarter, tmp_path: pathlib.Path) -> Place:
    of = daemon(append_only=True, settings=TIMED)
    return Place(of=of, archive=Archive(folder=tmp_path, of=of), writer=LedgerWriter(of))


def test_a_second_recovery_across_the_first(place: Place) -> None:
    place.archive.ship()
    first = place.write()
    rewrite(place.of)
    good = place.write()
    before = place.ledger()
    bad = place.lose_everything()
    one = place.lineage(good)
    place.recover(bad, inclusive=False)
    # The second history, with a rewrite of its own; it goes wrong as well.
    between = place.write()
    rewrite(place.of)
    later = place.write()
    middle = place.ledger()
    worse = place.lose_everything()
    two = place.lineage(later)
    assert two != one
    place.recover(worse, inclusive=False)
    # The third: then back across both, into the first.
    last = place.write()
    three = place.lineage(last)
    assert len({one, two, three}) == 3
    end = place.ledger()
    place.recover(first)
    assert place.archive.plan(first).lineage == one
    final = place.write()
    four = place.lineage(final)
    with place.archive.recovered(final) as found:
        place.writer.check(found, through=final)
        assert found.plan.lineage == four
    # Whatever was left behind can be reached as it was.
    for second, ledger, lineage in (
        (first, before, one),
        (good, before, one),
        (between, middle, two),
        (later, middle, two),
        (last, end, three),
    ):
        place.check_beside(second, ledger, lineage=lineage)
    for second, lineage in ((bad, one), (worse, two)):
        with place.archive.recovered(second) as found, found.client() as copy:
            assert found.plan.lineage == lineage
            assert copy.dbsize() == 0, "the damage itself"
    held = everything(place.of)
    place.of.stop()
    place.of.start()
    assert everything(place.of) == held, "it must also hold after another restart"
    windows = place.archive.windows()
    assert [window.lineage for window in windows.windows] == [one, two, three, four]


def test_twice_in_a_row_before_anything_was_captured(place: Place) -> None:
    """The history between the two is in no archive, and nothing of it is taken for a part of another."""
    place.archive.ship()
    good = place.write()
    ledger = place.ledger()
    bad = place.lose_everything()
    place.recover(bad, inclusive=False)
    with place.of.client() as client:
        client.set("never archived", 1)
    rewrite(place.of)
    place.recover(good)
    with place.of.client() as client:
        assert not client.exists("never archived")
    final = place.write()
    assert place.lineage(final) != place.lineage(good)
    with place.archive.recovered(final) as found, found.client() as copy:
        place.writer.check(found, through=final)
        assert not copy.exists("never archived")
    place.check_beside(good, ledger, lineage=place.lineage(good))
    assert len(place.archive.windows().windows) == 2
