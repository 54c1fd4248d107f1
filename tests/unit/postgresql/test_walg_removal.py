# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is never done when WAL-G says that all went well; the program is made up here.

What the genuine one does is in tests/integration/postgresql/test_walg_prune_s3.py.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import WalgRemovalDenied
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.walg_options import WalgSettings
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.walg_program import WalgProgram
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.walg_removal import WalgStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.vendor_storage import VendorBackup

BACKUP = VendorBackup(tool="wal-g", storage="s3://acme/main", name="base_000000010000000000000002", backup_id="one")


@dataclass
class Refused:
    """A bucket that refuses every version: WAL-G lists what it says that it removed."""

    path: str = "wal-g"
    settings: WalgSettings = field(
        default_factory=lambda: WalgSettings(environment={}, config="", kind="S3_PREFIX", prefix=BACKUP.storage)
    )
    asked: list[str] = field(default_factory=list)

    def names(self) -> frozenset[str]:
        return frozenset({BACKUP.name})

    def would_delete(self, *_command: str) -> tuple[str, ...]:
        return (f"{BACKUP.name}/metadata.json",)

    def delete(self, *command: str) -> None:
        self.asked.append(" ".join(command))

    def leftovers(self, _name: str) -> int:
        return 1

    def remove_leftovers(self, name: str) -> None:
        self.asked.append(f"st rm {name}")


def test_of_a_backup_that_is_still_listed_nothing_is_hidden() -> None:
    """``st rm`` puts delete markers: WAL-G would go on to list a backup whose data nobody sees."""
    program = Refused()
    with pytest.raises(WalgRemovalDenied, match="still there"):
        WalgStorage(t.cast(WalgProgram, program)).remove(BACKUP)
    assert program.asked == [f"target {BACKUP.name}"]
