# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of spool and repositories after every death of a shipper."""

from __future__ import annotations

import itertools
import os
import pathlib
import shutil
import typing as t
from dataclasses import replace

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory, running_jobs
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.support.ship_child import Shipment, ShipNursery
from tests.support.streams import Tape, assert_true, in_spool, name_of, read_one, recorded
from tests.support.waiting import wait_for

_KEYS = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
_CREDENTIALS = tuple(f"{who}_{key}" for who in ("STREAMS", "WRITER") for key in _KEYS)


class Rig:
    """One stream, its spool and its repositories. The tape's files are numbered on and on."""

    def __init__(
        self, nursery: ShipNursery, folder: pathlib.Path, repositories: t.Mapping[str, dict[str, t.Any]]
    ) -> None:
        self.nursery = nursery
        self.tape = Tape(folder / "tape")
        self.spool = folder / "spool"
        self.deaths = 0
        self.made: list[str] = []
        self.plain = Shipment(
            tape=str(self.tape.folder),
            spool=str(self.spool),
            state=str(folder / "state"),
            repositories=dict(repositories),
            environment={name: os.environ[name] for name in _CREDENTIALS if name in os.environ},
        )
        self.storages: dict[str, Storage] = {
            name: open_storage(description, name=name, clock=SystemClock(), runner=SubprocessRunner())
            for name, description in repositories.items()
        }

    def make(self, count: int, *, size: int = 3000) -> None:
        """The server makes so many more files."""
        numbers = range(len(self.made) + 1, len(self.made) + count + 1)
        self.tape.put(*numbers, size=size)
        self.made += [name_of(number) for number in numbers]

    def ship(self, **where: t.Any) -> dict[str, t.Any]:
        """Ship to the end."""
        outcome = self.nursery.run(replace(self.plain, **where))
        assert outcome.status == 0, outcome
        assert outcome.document is not None
        return outcome.document

    def die(self, **where: t.Any) -> bool:
        """Ship until the death that is meant for the run, and judge what is left; False when it survived."""
        outcome = self.nursery.run(replace(self.plain, target="it", **where))
        if not outcome.was_killed:
            assert outcome.status == 0, f"{where}: {outcome}"
            assert (outcome.document or {}).get("state") == "complete", f"{where}: {outcome.document}"
            return False
        self.deaths += 1
        self.assert_nothing_lost(where)
        return True

    def die_everywhere(self, point: str, *, files: int = 3, at_least: int, every: int = 1, **more: t.Any) -> None:
        """Die at the first step, at the next one, and so on, until a run survives because it has fewer."""
        for number in itertools.count(1, every):
            self.make(files)
            if not self.die(**{point: number}, **more):
                break
            self.finish({point: number, **more})
            self.assert_no_leftovers()
            self.begin_anew()
        assert self.deaths >= at_least

    def begin_anew(self) -> None:
        """Empty repositories and no notes: a run reads the records of its hour, and would have more steps each time."""
        for storage in self.storages.values():
            storage.delete([found.key for found in storage.list()])
        shutil.rmtree(pathlib.Path(self.plain.state) / "ship", ignore_errors=True)
        self.made = []

    def finish(self, where: t.Any) -> None:
        """The next run ends what the dead one began."""
        document = self.ship()
        assert document.get("state") == "complete", f"after a death at {where}: {document}"
        self.assert_complete(where)

    def assert_nothing_lost(self, where: t.Any) -> None:
        """Whatever was made is on the tape, in the spool, or recorded truly in every repository, in order."""
        # A program that was just being started holds the dead one's lock until it has begun.
        state = StateDirectory(path=self.plain.state)
        wait_for(lambda: running_jobs(state) == [], what=f"the lock, after a death at {where}", seconds=10)
        waiting = {*in_spool(self.spool), *in_spool(self.tape.folder)}
        for name, storage in self.storages.items():
            found = recorded(storage)
            assert found == self.made[: len(found)], f"{name}, after a death at {where}: not in order, or twice"
            assert_true(storage)
            missing = set(self.made) - set(found) - waiting
            assert not missing, f"{name}, after a death at {where}: {missing} are nowhere"

    def assert_complete(self, where: t.Any) -> None:
        """Everything is recorded, once, in order, everywhere; nothing waits."""
        assert in_spool(self.spool) == [], f"after a death at {where}"
        for name, storage in self.storages.items():
            assert recorded(storage) == self.made, f"{name}, after a death at {where}"
            assert_true(storage)
        stream = read_one(self.storages)
        assert [each.segment.name for each in stream.segments] == self.made, f"after a death at {where}"
        assert stream.problems == (), f"after a death at {where}"
        for each in stream.segments:
            assert set(each.copies) == set(self.storages), f"after a death at {where}"

    def assert_no_leftovers(self) -> None:
        """Every object of the groups is named by a record."""
        for name, storage in self.storages.items():
            keys = {found.key.rpartition("/")[2] for found in storage.list("shop/main/oplog/one/segments/")}
            assert keys == {each.copies[name].payload.name for each in read_one(self.storages).segments}
