# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One restore of a physical backup in a process of its own, which may not survive it: argument 1 is its request.

``{"folder", "bin_directory", "backup_id", "options", "restore_id", "die": [step, "before" | "after" | "renamed"]}``
"""

from __future__ import annotations

import json
import os
import signal
import sys
import typing as t
from dataclasses import replace
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.steps import Facts, Step, run_steps
from tests.integration.postgresql.restoring import Restoring


def die() -> t.NoReturn:
    """As a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives this")


def deadly(step: Step, moment: str) -> Step:
    """The step that dies at that moment."""

    def do(facts: Facts) -> Facts | None:
        if moment == "before":
            die()
        if moment == "renamed":
            rename = os.rename

            def rename_once(source: str, target: str) -> None:
                rename(source, target)
                die()

            os.rename = rename_once  # type: ignore[assignment]
        step.do(facts)
        die()

    return replace(step, do=do)


def main() -> None:
    """Restore until death."""
    asked = json.loads(sys.argv[1])
    restoring = Restoring(
        folder=Path(asked["folder"]),
        bin_directory=asked["bin_directory"],
        backup_id=asked["backup_id"],
        options=asked["options"],
        restore_id=asked["restore_id"],
    )
    name, moment = asked["die"]
    steps = [deadly(step, moment) if step.name == name else step for step in restoring.steps()]
    run_steps(steps, ledger=restoring.begin(), journal=MemoryJournal(), progress=restoring.progress())


if __name__ == "__main__":
    main()
