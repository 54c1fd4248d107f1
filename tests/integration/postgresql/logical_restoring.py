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
import sys
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restorers import postgresql_logical
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.session import Session
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.payload_source import PayloadSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import (
    Restorer,
    RestorerContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.steps import (
    Facts,
    Step,
    run_steps,
)
from tests.integration.postgresql.physical import Physical
from tests.integration.postgresql.restore_run import RestoreRun

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


@dataclass(kw_only=True)
class LogicalRestoring(RestoreRun):
    """Of a logical backup."""

    @classmethod
    def of(cls, rig: Physical, backup_id: str, *, to: dict[str, t.Any] | None = None, **options: t.Any) -> t.Self:
        return cls(folder=rig.folder, backup_id=backup_id, options={"connection": to or address(rig), **options})

    def source(self) -> PayloadSource:
        return Physical(server=t.cast("t.Any", None), folder=self.folder).source(self.backup_id)

    def restorer(self) -> Restorer:
        context = RestorerContext(restore_id=self.restore_id, host=self.host, state=self.state)
        return postgresql_logical.logical(self.options)(context)

    def die(self, step: str, moment: str) -> None:
        """Run in another process that is killed there."""
        self._die_in("logical_restoring", step=step, moment=moment)


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
