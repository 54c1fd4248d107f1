# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look into a spool that is being filled: nothing is taken before what came before it."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StreamSpoolUnusable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import Spool, SpoolEntry
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.waiting import SpoolView, SpoolWatch
from tests.support.streams import SERIES, Tape, content_of, name_of


@pytest.fixture
def spool(tmp_path: pathlib.Path) -> Spool:
    (tmp_path / "spool").mkdir()
    return Spool(path=str(tmp_path / "spool"), budget=1000)


def put(spool: Spool, number: int, *, lineage: str = "one") -> None:
    (pathlib.Path(spool.path) / name_of(number, lineage=lineage)).write_bytes(content_of(number, size=20))


def watch(spool: Spool, tape: Tape | None = None) -> SpoolWatch:
    return SpoolWatch(spool=spool, source=tape or Tape(pathlib.Path(spool.path)), series=SERIES)


def names(view: SpoolView) -> list[str]:
    return [each.name for each in view.segments]


def test_a_file_that_came_while_the_folder_was_listed_does_not_overtake(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel lists a folder as it is read: 4 may be seen, and 3, which came before it, not."""
    for number in (1, 2, 4):
        put(spool, number)
    put(spool, 1, lineage="two")
    listings = iter([{1, 2, 4}, {1, 2, 3, 4, 5}])
    entries = Spool.entries

    def listed(self: Spool) -> list[SpoolEntry]:
        shown = next(listings)
        for number in shown - {1, 2, 4}:
            put(self, number)
        return [entry for entry in entries(self) if int(entry.name[-8:]) in shown]

    monkeypatch.setattr(Spool, "entries", listed)
    found = names(watch(spool).look())
    assert [name for name in found if name.startswith("one")] == [name_of(number) for number in (1, 2, 3, 4)]


def test_nothing_is_taken_that_was_not_there_at_first(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    put(spool, 1)
    entries = Spool.entries

    def filled(self: Spool) -> list[SpoolEntry]:
        found = entries(self)
        put(self, 2)
        return found

    monkeypatch.setattr(Spool, "entries", filled)
    assert names(watch(spool).look()) == [name_of(1)]


def test_a_file_is_described_once(spool: Spool) -> None:
    class Counting(Tape):
        count = 0

        def describe(self, entry: SpoolEntry) -> t.Any:
            self.count += 1
            return super().describe(entry)

    tape = Counting(pathlib.Path(spool.path))
    watched = watch(spool, tape)
    put(spool, 1)
    assert names(watched.look()) == names(watched.look()) == [name_of(1)]
    assert tape.count == 1
    (pathlib.Path(spool.path) / name_of(1)).write_bytes(b"others now")
    watched.look()
    assert tape.count == 2


def test_what_is_behind_a_refused_file_is_held_in_its_lineage_only(spool: Spool) -> None:
    for number in (1, 3):
        put(spool, number)
        put(spool, number, lineage="two")
    (pathlib.Path(spool.path) / name_of(2)).write_bytes(b"refuse")
    view = watch(spool).look()
    assert names(view) == [name_of(1), name_of(1, lineage="two"), name_of(3, lineage="two")]
    assert [entry.name for entry in view.held] == [name_of(3)]
    assert [error.details["segment"] for error in view.refused] == [name_of(2)]


def test_a_spool_that_is_not_there_is_an_error(spool: Spool) -> None:
    pathlib.Path(spool.path).rmdir()
    with pytest.raises(StreamSpoolUnusable, match="No such file"):
        watch(spool).look()
