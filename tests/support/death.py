# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a repository after every death of a run."""

from __future__ import annotations

import itertools
import pathlib
import random
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import (
    SourceLock,
    StateDirectory,
    running_jobs,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.support.backup_child import Nursery, Run
from tests.support.backups import broken_payloads, leftovers, listed
from tests.support.children import processes_that_name
from tests.support.clocks import FakeClock

NEXT_DAY = 24 * 3600.0


@dataclass
class Rig:
    """A source and one repository that holds one backup, with what is asked of them after each death."""

    nursery: Nursery
    plain: Run
    storage: Storage
    first: str = ""
    deaths: int = 0

    def prepare(self) -> None:
        """Make the backup that must survive everything."""
        outcome = self.nursery.run(replace(self.plain, script="head -c 1000 data"))
        assert outcome.document is not None
        self.first = outcome.document["id"]

    def die(self, **where: t.Any) -> bool:
        """Run until the death that is meant for the run, and judge what is left; False when it survived."""
        outcome = self.nursery.run(replace(self.plain, target="it", **where))
        if not outcome.was_killed:
            assert outcome.status == 0, f"{where}: ended with {outcome}"
            assert outcome.document is not None
            assert outcome.document.get("state") == "complete", f"{where}: {outcome.document}"
            return False
        self.deaths += 1
        before = self.whole_backups(where)
        self.assert_lock_is_free(where)
        self.run_again(where, before=before)
        return True

    def whole_backups(self, where: t.Any) -> set[str]:
        """The ids of all backups that are shown, each of which is whole."""
        assert broken_payloads(self.storage) == [], f"after a death at {where}"
        found = {backup.manifest.backup_id for backup in listed(self.storage)}
        assert self.first in found, f"after a death at {where}"
        return found

    def assert_lock_is_free(self, where: t.Any) -> None:
        state = StateDirectory(path=self.plain.state)
        assert running_jobs(state) == [], f"after a death at {where}"
        lock = SourceLock(state=state, name="shop.main", clock=FakeClock())
        lock.acquire(holder={}, timeout=0)
        lock.release()

    def run_again(self, where: t.Any, *, before: set[str]) -> None:
        """The next run makes its backup and leaves nothing of the dead one, unless that was whole.

        A run that comes at once may leave the upload of a few hundred bytes that nobody can know the owner of; the run
        of the next day removes that as well.
        """
        for later in (0.0, NEXT_DAY):
            outcome = self.nursery.run(replace(self.plain, script="head -c 1000 data", later=later))
            assert outcome.document is not None, f"after a death at {where}: {outcome}"
            assert outcome.document.get("state") == "complete", f"after a death at {where}: {outcome.document}"
            before = before | {outcome.document["id"]}
            assert self.whole_backups(where) == before
            left = leftovers(self.storage)
            if not left:
                break
            small = [name for name in left if name.endswith(("/started.json", "unfinished .lifeboat-check"))]
            assert (left, later) == (small, 0.0), f"after a death at {where}"
            assert all(name.startswith("unfinished ") for name in left), f"after a death at {where}: {left}"
        self.forget(before - {self.first})

    def forget(self, ids: set[str]) -> None:
        """So that judging the next death takes no longer than judging the first."""
        keys = [found.key for found in self.storage.list()]
        self.storage.delete([key for key in keys if key.split("/")[3] in ids])

    def die_everywhere(self, point: str, *, at_least: int, **more: t.Any) -> None:
        """Die at the first step, then at the second, until a run survives because it has fewer."""
        for number in itertools.count(1):
            if not self.die(**{point: number}, **more):
                break
        assert self.deaths >= at_least
        deadline = time.monotonic() + 5
        while processes_that_name(self.plain.source) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert processes_that_name(self.plain.source) == [], "the source was read on after its reader had died"

    def leave_something(self) -> None:
        """Die with one payload stored and another on its way."""
        outcome = self.nursery.run(replace(self.plain, target="it", at_byte=("writer.zst", 900), copied=200_000))
        assert outcome.was_killed


def make_rig(
    nursery: Nursery, folder: pathlib.Path, description: dict[str, t.Any], environment: t.Mapping[str, str]
) -> Rig:
    plain = Run(
        source=str(folder / "source"),
        state=str(folder / "state"),
        repositories={"it": description},
        copied=2000,
        environment=dict(environment),
    )
    storage = open_storage(
        description, name="it", clock=SystemClock(), runner=SubprocessRunner(), environment=environment
    )
    made = Rig(nursery=nursery, plain=plain, storage=storage)
    made.prepare()
    return made


def die_at_any_byte(rig: Rig, *, size: int, places: t.Sequence[tuple[str, int]] = (), chances: int = 6) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    drawn = [("process.zst", chance.randrange(1, size)) for _turn in range(chances)]
    for place in [("process.zst", 1), ("process.zst", size), ("writer.zst", 1), *places, *drawn]:
        assert rig.die(at_byte=place), f"seed {seed}: there is no {place}"
