# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder that a base backup is restored into: what is there, and why it can't be used."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from ..core.errors import PostgresDataDirectoryMounted, RestoreTargetInvalid
from ..core.runner import Runner
from .base_restore_options import BaseRestoreOptions
from .instance import SOCKET_LIMIT
from .programs import ServerPrograms, run_as
from .server_state import postmaster_pid

ABSENT, EMPTY, CLUSTER, OTHER = "absent", "empty", "cluster", "other"


@dataclass(frozen=True)
class BaseTarget:
    """The names that a restore works with. *data_directory* is free of links: a rename moves the data itself."""

    data_directory: str
    restore_id: str

    @classmethod
    def of(cls, options: BaseRestoreOptions, *, restore_id: str) -> BaseTarget:
        """From the options."""
        return cls(data_directory=os.path.realpath(options.data_directory), restore_id=restore_id)

    @property
    def staging(self) -> str:
        """Where the cluster is made, on the same file system."""
        return f"{self.data_directory}.restoring-{self.restore_id}"

    @property
    def aside(self) -> str:
        """Where what was there before goes."""
        return f"{self.data_directory}.before-{self.restore_id}"

    def what_is_there(self) -> str:
        """absent, empty, cluster or other."""
        try:
            names = os.listdir(self.data_directory)
        except FileNotFoundError:
            return ABSENT
        except OSError as error:
            raise RestoreTargetInvalid(
                f"{self.data_directory} can't be read: {error.strerror}.", hint=f"Run: ls -ld {self.data_directory}"
            ) from error
        if not names:
            return EMPTY
        return CLUSTER if "PG_VERSION" in names else OTHER

    def check(self, options: BaseRestoreOptions, *, programs: ServerPrograms, runner: Runner) -> list[str]:
        """Refuse what can't be restored into; warnings. Raises RestoreTargetInvalid, PostgresDataDirectoryMounted."""
        found = self.what_is_there()
        if os.path.ismount(self.data_directory):
            raise PostgresDataDirectoryMounted(
                f"{self.data_directory} is a mount point: it can't be renamed, so nothing could be put in its place or "
                "back again.",
                hint=f"Restore into a folder on that disk, such as {self.data_directory}/data; point the server there.",
                details={"path": self.data_directory},
            )
        self._check_parent(programs, runner=runner)
        return self._check_in_place(options, found) if options.in_place else self._check_beside(options, found)

    def _check_parent(self, programs: ServerPrograms, *, runner: Runner) -> None:
        parent = os.path.dirname(self.data_directory)
        if not os.path.isdir(parent) or not os.access(parent, os.W_OK | os.X_OK):
            raise RestoreTargetInvalid(
                f"The folder {parent}, in which the cluster is to lie, is not there or can't be written.",
                hint=f"Run: install -d -o postgres -g postgres {parent}",
            )
        entered = runner.run([*run_as(programs.account), "test", "-x", parent], timeout=20, check=False)
        if entered.status != 0:
            raise RestoreTargetInvalid(
                f"The user {programs.account}, as whom PostgreSQL runs, can't enter {parent}.",
                hint=f"Run: namei -l {parent}   and let that user in.",
            )

    def _check_in_place(self, options: BaseRestoreOptions, found: str) -> list[str]:
        if found == OTHER:
            raise RestoreTargetInvalid(
                f"{self.data_directory} holds something that is no PostgreSQL cluster (there is no PG_VERSION).",
                hint=f"Run: ls -la {self.data_directory}   and name the right folder.",
            )
        pid = postmaster_pid(self.data_directory)
        if pid is not None and options.service_control is None:
            raise RestoreTargetInvalid(
                f"A server (process {pid}) runs on {self.data_directory}, and service_control does not say how it is "
                "stopped.",
                hint="Set service_control, such as {unit: postgresql@15-main}, or stop it first.",
                details={"pid": pid},
            )
        if found == CLUSTER and os.path.islink(os.path.join(self.data_directory, "pg_wal")):
            return ["pg_wal of the present cluster is a link to another disk; the restored one's is not."]
        return []

    def _check_beside(self, options: BaseRestoreOptions, found: str) -> list[str]:
        pid = postmaster_pid(self.data_directory)
        if pid is not None:
            raise RestoreTargetInvalid(
                f"A server (process {pid}) runs on {self.data_directory}.",
                hint="Name an empty folder for a copy beside it, or set in_place: true to replace it.",
                details={"pid": pid},
            )
        if found not in (ABSENT, EMPTY):
            raise RestoreTargetInvalid(
                f"{self.data_directory} is not empty; restoring there would mix two clusters.",
                hint="Name an empty folder, or set in_place: true to replace the cluster that is there.",
            )
        if len(os.fsencode(self.data_directory)) > SOCKET_LIMIT:
            raise RestoreTargetInvalid(
                f"The path {self.data_directory} is too long: the socket of the copy lies in it (at most "
                f"{SOCKET_LIMIT} bytes).",
                hint="Name a shorter folder.",
            )
        if options.start and options.port is not None:
            _require_free(options.port)
        return []


def _require_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise RestoreTargetInvalid(
                f"The port {port} can't be used for the restored cluster: {error.strerror}.",
                hint=f"Run: ss -ltnp sport = :{port}   or set another port.",
                details={"port": port},
            ) from error
