# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One restore of a logical backup as the operation runs it; as a program: one that dies where it is told to.

Argument 1 of the program: ``{"folder", "backup_id", "options", "restore_id", "die": [step, moment]}``. *moment* is
before, after, or a part of a statement: then it dies when that statement was answered.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restorers import postgresql_logical
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.session import Session
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ledger import Ledger
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.payload_source import PayloadSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import (
    Restoration,
    RestoreInspection,
    Restorer,
    RestorerContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.steps import (
    Facts,
    Step,
    roll_back,
    run_steps,
)
from tests.integration.postgresql.physical import Physical
from tests.support.children import environment

RESTORE_ID = "20261122T030000Z-abc123"
SUFFIX = "20261122t030000z_abc123"


def address(rig: Physical, **changes: t.Any) -> dict[str, t.Any]:
    """A connection to the rig's server, as a description."""
    return {
        "host": "127.0.0.1",
        "port": rig.server.port,
        "user": "postgres",
        "password_file": str(rig.folder / "password"),
        "bin_directory": str(rig.server.bin_directory),
        **changes,
    }


@dataclass
class LogicalRestoring:
    """*folder* is that of a :class:`Physical`; *options* are the restorer's."""

    folder: Path
    backup_id: str
    options: dict[str, t.Any]
    restore_id: str = RESTORE_ID
    host: Host = field(default_factory=lambda: Host(clock=SystemClock(), journal=MemoryJournal(), name="db2"))

    @classmethod
    def of(cls, rig: Physical, backup_id: str, *, to: dict[str, t.Any] | None = None, **options: t.Any) -> t.Self:
        return cls(folder=rig.folder, backup_id=backup_id, options={"connection": to or address(rig), **options})

    @property
    def state(self) -> StateDirectory:
        return StateDirectory(path=str(self.folder / "state"))

    def source(self) -> PayloadSource:
        return Physical(server=t.cast("t.Any", None), folder=self.folder).source(self.backup_id)

    def restorer(self) -> Restorer:
        context = RestorerContext(restore_id=self.restore_id, host=self.host, state=self.state)
        return postgresql_logical.logical(self.options)(context)

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

    def die(self, step: str, moment: str) -> None:
        """Run in another process that is killed there."""
        request = {
            "folder": str(self.folder),
            "backup_id": self.backup_id,
            "options": self.options,
            "restore_id": self.restore_id,
            "die": [step, moment],
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.postgresql.logical_restoring", json.dumps(request)],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == -9, done.stderr

    def ledger(self) -> Ledger:
        return Ledger.load(state=self.state, clock=self.host.clock, restore_id=self.restore_id)

    def _finish(self, ledger: Ledger, steps: t.Sequence[Step]) -> Restoration:
        run_steps(steps, ledger=ledger, journal=MemoryJournal(), progress=self.progress())
        return self.restorer().outcome(facts=self._facts())

    def _facts(self) -> dict[str, dict[str, t.Any]]:
        return {entry["name"]: entry["facts"] for entry in self.ledger().as_dict()["steps"]}


def _die() -> t.NoReturn:
    """As a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives this")


def _deadly(step: Step, moment: str) -> Step:
    """The step that dies at that moment."""

    def do(facts: Facts) -> Facts | None:
        if moment == "before":
            _die()
        if moment != "after":
            rows = Session.rows

            def last_rows(self: Session, statement: str, parameters: t.Any = None) -> t.Any:
                found = rows(self, statement, parameters)
                return _die() if moment in statement else found

            Session.rows = last_rows  # type: ignore[method-assign]
        step.do(facts)
        _die()

    return replace(step, do=do)


def _main() -> None:
    asked = json.loads(sys.argv[1])
    restoring = LogicalRestoring(
        folder=Path(asked["folder"]),
        backup_id=asked["backup_id"],
        options=asked["options"],
        restore_id=asked["restore_id"],
    )
    name, moment = asked["die"]
    assert name in [step.name for step in restoring.steps()]
    steps = [_deadly(step, moment) if step.name == name else step for step in restoring.steps()]
    run_steps(steps, ledger=restoring.begin(), journal=MemoryJournal(), progress=restoring.progress())


if __name__ == "__main__":
    _main()
