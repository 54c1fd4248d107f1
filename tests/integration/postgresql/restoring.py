# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One restore of a physical backup as the operation runs it: restorer, steps, ledger."""

from __future__ import annotations

import os
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restorers import postgresql_base
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.payload_source import PayloadSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import (
    Restorer,
    RestorerContext,
)
from sandbox.postgresql import as_user, operating_system_user
from tests.integration.postgresql.physical import Physical
from tests.integration.postgresql.restore_run import RestoreRun


@dataclass(kw_only=True)
class Restoring(RestoreRun):
    """Of a physical backup."""

    bin_directory: str
    identity: str = ""

    @classmethod
    def of(cls, rig: Physical, backup_id: str, **options: t.Any) -> Restoring:
        return cls(
            folder=rig.folder,
            bin_directory=str(rig.server.bin_directory),
            backup_id=backup_id,
            options=options,
            identity=rig.identity,
        )

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

    def source(self) -> PayloadSource:
        return self._rig().source(self.backup_id)

    def die(self, step: str, moment: str) -> None:
        """Run in another process that is killed there."""
        self._die_in("restore_child", step=step, moment=moment, bin_directory=self.bin_directory)


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
