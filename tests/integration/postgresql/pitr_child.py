# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One recovery to a point in time in a process of its own, which does not survive it: argument 1 is its request.

``{"folder", "bin_directory", "backup_id", "options", "restore_id", "target", "identifier", "die": [step, moment]}``;
the moment ``fetched``, of the step ``replay``, is when the second segment was asked for.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.steps import run_steps
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment
from tests.integration.postgresql.pitr_rig import FolderReader, Recovering
from tests.integration.postgresql.restore_child import deadly, die


class DeadlyReader(FolderReader):
    """Dies in the middle of the replay."""

    def fetch(self, segment: StoredSegment, path: str) -> None:
        if sum(name.endswith(".history") is False for name in self.fetched) >= 1:
            die()
        super().fetch(segment, path)


def main() -> None:
    """Recover until death."""
    asked = json.loads(sys.argv[1])
    name, moment = asked.pop("die")
    asked["folder"] = Path(asked["folder"])
    recovering = Recovering(**asked)
    if moment == "fetched":
        recovering.reader = DeadlyReader(plan=recovering.segments.plan, folder=recovering.folder / "spool")
    steps = [deadly(step, moment) if step.name == name and moment != "fetched" else step for step in recovering.steps()]
    run_steps(steps, ledger=recovering.begin(), journal=MemoryJournal(), progress=recovering.progress())


if __name__ == "__main__":
    main()
