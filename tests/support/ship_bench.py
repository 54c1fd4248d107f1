# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the shipping operation with a small real stream, into repositories that a test chooses."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import ship_run
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship import plan_ship, run_ship
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_values import (
    ShipPlan,
    ShipRequest,
    ShipResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage
from tests.support.streams import Tape, assert_true, content_of, in_spool, name_of, recorded, ship_request


class ShipBench:
    """A tape, a spool, a state directory, and repositories that runs are given in place of those they describe."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tape = Tape(folder / "tape")
        self.spool = folder / "spool"
        self.spool.mkdir()
        self.state = StateDirectory(path=str(folder / "state"))
        self.storages: dict[str, Storage] = {"near": MemoryStorage(name="near"), "far": MemoryStorage(name="far")}
        self.clock = FakeClock()
        self.journal = MemoryJournal()

        def opened(_description: t.Any, *, name: str, clock: t.Any, runner: t.Any) -> Storage:
            del clock, runner
            return self.storages[name]

        monkeypatch.setattr(ship_run, "open_storage", opened)

    @property
    def host(self) -> Host:
        """Who runs it."""
        return Host(clock=self.clock, journal=self.journal, name="db1")

    def request(self, **changes: t.Any) -> ShipRequest:
        """The request of a run; *changes* replace fields of it."""
        descriptions = {name: {"type": "memory"} for name in self.storages}
        return ship_request(self.tape, descriptions, state=self.state.path, spool=str(self.spool), **changes)

    def fill(self, *numbers: int, lineage: str = "one", size: int = 3000) -> None:
        """Put files into the spool as if they came just now, by the bench's clock."""
        for number in numbers:
            self.write(name_of(number, lineage=lineage), content_of(number, size=size, lineage=lineage))

    def write(self, name: str, data: bytes) -> None:
        """Put one file there."""
        path = self.spool / name
        path.write_bytes(data)
        moment = self.clock.now().timestamp()
        os.utime(path, (moment, moment))

    def run(self, **changes: t.Any) -> ShipResult:
        """Ship, a second later than the last."""
        self.clock.advance(1)
        return run_ship(self.request(**changes), host=self.host)

    def plan(self, **changes: t.Any) -> ShipPlan:
        """Plan."""
        return plan_ship(self.request(**changes), host=self.host)

    @property
    def waiting(self) -> list[str]:
        """What is in the spool."""
        return in_spool(self.spool)

    def assert_recorded(self, *numbers: int, lineage: str = "one", where: t.Sequence[str] = ()) -> None:
        """Exactly these, each once, in that order, and every record is true; in all repositories or in *where*."""
        for name in where or self.storages:
            found = recorded(self.storages[name], lineage=lineage)
            assert found == [name_of(number, lineage=lineage) for number in numbers], name
            assert_true(self.storages[name], lineage=lineage)


def names(*numbers: int) -> list[str]:
    """The names of segments."""
    return [name_of(number) for number in numbers]
