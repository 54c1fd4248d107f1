# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One restore as the operation runs it: look, ledger, steps; and its death in another process."""

from __future__ import annotations

import abc
import json
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ledger import Ledger
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.payload_source import PayloadSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import (
    Restoration,
    RestoreInspection,
    Restorer,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.steps import (
    Step,
    roll_back,
    run_steps,
)
from tests.support.children import environment

RESTORE_ID = "20261122T030000Z-abc123"


@dataclass(kw_only=True)
class RestoreRun(abc.ABC):
    """*folder* is that of a :class:`Physical`; *options* are the restorer's."""

    folder: Path
    backup_id: str
    options: dict[str, t.Any]
    restore_id: str = RESTORE_ID
    host: Host = field(default_factory=lambda: Host(clock=SystemClock(), journal=MemoryJournal(), name="db2"))

    @abc.abstractmethod
    def source(self) -> PayloadSource:
        """The backup."""

    @abc.abstractmethod
    def restorer(self) -> Restorer:
        """A new one, as each process makes its own."""

    @property
    def state(self) -> StateDirectory:
        return StateDirectory(path=str(self.folder / "state"))

    def inspect(self) -> RestoreInspection:
        return self.restorer().inspect(source=self.source())

    def steps(self) -> t.Sequence[Step]:
        return self.restorer().steps(source=self.source(), progress=self.progress())

    def begin(self) -> Ledger:
        return Ledger.begin(
            state=self.state,
            clock=self.host.clock,
            restore_id=self.restore_id,
            target=self.restorer().target,
            request={},
        )

    def progress(self) -> Progress:
        return Progress(clock=self.host.clock)

    def run(self, *, steps: t.Sequence[Step] | None = None) -> Restoration:
        """From a look at the target to the last step."""
        self.inspect()
        return self._finish(self.begin(), steps or self.steps())

    def resume(self) -> Restoration:
        """After a death."""
        return self._finish(self.ledger(), self.steps())

    def roll_back(self) -> None:
        """After a death or an end; twice, because the first may die as well."""
        for _turn in range(2):
            roll_back(self.steps(), ledger=self.ledger(), journal=MemoryJournal(), progress=self.progress())
        for step in reversed(self.steps()):
            if self.ledger().step_state(step.name) is not None:
                step.undo(self.ledger().facts(step.name))

    def discard(self) -> tuple[str, ...]:
        return self.restorer().discard(facts=self._facts())

    def ledger(self) -> Ledger:
        return Ledger.load(state=self.state, clock=self.host.clock, restore_id=self.restore_id)

    def _die_in(self, module: str, *, step: str, moment: str, **words: t.Any) -> None:
        """Run in another process that is killed there; *module* is its program."""
        request = {
            "folder": str(self.folder),
            "backup_id": self.backup_id,
            "options": self.options,
            "restore_id": self.restore_id,
            "die": [step, moment],
            **words,
        }
        done = subprocess.run(
            [sys.executable, "-m", f"tests.integration.postgresql.{module}", json.dumps(request)],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == -9, done.stderr

    def _finish(self, ledger: Ledger, steps: t.Sequence[Step]) -> Restoration:
        run_steps(steps, ledger=ledger, journal=MemoryJournal(), progress=self.progress())
        return self.restorer().outcome(facts=self._facts())

    def _facts(self) -> dict[str, dict[str, t.Any]]:
        return {entry["name"]: entry["facts"] for entry in self.ledger().as_dict()["steps"]}
