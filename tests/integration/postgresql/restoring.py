# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One restore of a physical backup as the operation runs it: restorer, steps, ledger."""

from __future__ import annotations

import json
import os
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
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restorers import postgresql_base
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ledger import Ledger
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import (
    Restoration,
    RestoreInspection,
    Restorer,
    RestorerContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.steps import (
    Step,
    roll_back,
    run_steps,
)
from sandbox.postgresql import as_user, operating_system_user
from tests.integration.postgresql.physical import Physical
from tests.support.children import environment

RESTORE_ID = "20261122T030000Z-abc123"


@dataclass
class Restoring:
    """*folder* is that of a :class:`Physical`."""

    folder: Path
    bin_directory: str
    backup_id: str
    options: dict[str, t.Any]
    restore_id: str = RESTORE_ID
    identity: str = ""
    host: Host = field(default_factory=lambda: Host(clock=SystemClock(), journal=MemoryJournal(), name="db2"))

    @classmethod
    def of(cls, rig: Physical, backup_id: str, **options: t.Any) -> Restoring:
        return cls(
            folder=rig.folder,
            bin_directory=str(rig.server.bin_directory),
            backup_id=backup_id,
            options=options,
            identity=rig.identity,
        )

    @property
    def state(self) -> StateDirectory:
        return StateDirectory(path=str(self.folder / "state"))

    def _rig(self) -> Physical:
        return Physical(server=t.cast("t.Any", None), folder=self.folder, identity=self.identity)

    def restorer(self) -> Restorer:
        rig = self._rig()
        context = RestorerContext(
            restore_id=self.restore_id,
            host=self.host,
            state=self.state,
            chain=rig.chain(rig.source(self.backup_id)),
        )
        return postgresql_base.base({"bin_directory": self.bin_directory, **self.options})(context)

    def inspect(self) -> RestoreInspection:
        return self.restorer().inspect(source=self._rig().source(self.backup_id))

    def steps(self) -> t.Sequence[Step]:
        return self.restorer().steps(source=self._rig().source(self.backup_id), progress=self.progress())

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
        return self._finish(self._ledger(), self.steps())

    def roll_back(self) -> None:
        """After a death; twice, because the first may die as well."""
        for _turn in range(2):
            roll_back(self.steps(), ledger=self._ledger(), journal=MemoryJournal(), progress=self.progress())
        for step in reversed(self.steps()):
            if self._ledger().step_state(step.name) is not None:
                step.undo(self._ledger().facts(step.name))

    def discard(self) -> tuple[str, ...]:
        return self.restorer().discard(facts=self._facts())

    def die(self, step: str, moment: str) -> None:
        """Run in another process that is killed there."""
        request = {
            "folder": str(self.folder),
            "bin_directory": self.bin_directory,
            "backup_id": self.backup_id,
            "options": self.options,
            "restore_id": self.restore_id,
            "die": [step, moment],
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.postgresql.restore_child", json.dumps(request)],
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

    def _ledger(self) -> Ledger:
        return Ledger.load(state=self.state, clock=self.host.clock, restore_id=self.restore_id)

    def _facts(self) -> dict[str, dict[str, t.Any]]:
        return {entry["name"]: entry["facts"] for entry in self._ledger().as_dict()["steps"]}


@dataclass
class Cluster:
    """A cluster that lies in *data*, spoken to through the socket in it."""

    data: Path
    port: int
    bin_directory: str

    @property
    def service_control(self) -> dict[str, str]:
        """The commands of an operator."""
        words = " ".join([*as_user(operating_system_user()), f"{self.bin_directory}/pg_ctl -D {self.data} -w -s"])
        # Stopping what does not run is no error of an operator's command.
        return {
            "stop_command": f"sh -c '{words} -m fast stop || test ! -e {self.data}/postmaster.pid'",
            "start_command": f"sh -c '{words} -l {self.data}/log start || test -e {self.data}/postmaster.pid'",
        }

    def query(self, statement: str, *, database: str = "postgres") -> str:
        done = subprocess.run(
            [f"{self.bin_directory}/psql", "-XAtq", "-c", statement],
            env={
                **os.environ,
                "PGHOST": str(self.data),
                "PGPORT": str(self.port),
                "PGUSER": "postgres",
                "PGPASSWORD": "correct-horse-battery-staple",
                "PGDATABASE": database,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def stop(self) -> None:
        subprocess.run(
            [
                *as_user(operating_system_user()),
                f"{self.bin_directory}/pg_ctl",
                "-D",
                self.data,
                "-m",
                "immediate",
                "stop",
            ],
            capture_output=True,
            timeout=60,
            check=False,
        )
