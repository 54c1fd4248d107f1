# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data folder that is to be a standby's: what lies there, whose it is, and where its WAL ends."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..core.errors import PostgresDataDirectoryMounted, RestoreTargetInvalid, StandbyRefused
from ..core.host import Host
from .base_folder import control_settings
from .base_target import ABSENT, CLUSTER, EMPTY, OTHER
from .instance import STANDBY_SIGNAL
from .names import parse_lsn
from .programs import ServerPrograms, run_as
from .server_state import postmaster_pid
from .wal_names import USUAL_SEGMENT_SIZE, format_lsn

#: What the control file says of a server that takes writes, or did when it ended.
IN_PRODUCTION, SHUT_DOWN = "in production", "shut down"
#: And of a standby.
IN_RECOVERY, SHUT_DOWN_IN_RECOVERY = "in archive recovery", "shut down in recovery"
#: A base backup that was never started.
_NO_CHECKSUMS = "0"


@dataclass(frozen=True)
class StandbyFolder:
    """A data folder at one moment. *found* is absent, empty, cluster or other; the rest is of a cluster.

    *state* is the control file's. *end* is where its WAL ends by that file: what a crashed server wrote later is not in
    it. *signal*: its next start is a standby's. *restored*: a base backup that was not started yet. *rewindable*: it
    has data checksums, or noted hint bits in its WAL.
    """

    path: str
    found: str
    running: bool = False
    state: str = ""
    system_identifier: str = ""
    timeline: int = 0
    end: str = "0/0"
    segment_size: int = USUAL_SEGMENT_SIZE
    signal: bool = False
    restored: bool = False
    rewindable: bool = False

    @property
    def is_cluster(self) -> bool:
        """Whether it is a data folder at all."""
        return self.found == CLUSTER

    @property
    def was_standby(self) -> bool:
        """Whether it followed somebody when it was last looked after."""
        return self.state in (IN_RECOVERY, SHUT_DOWN_IN_RECOVERY)


def look_at_folder(path: str, *, programs: ServerPrograms, host: Host) -> StandbyFolder:
    """What is there. Raises StandbyRefused for a cluster of another major version."""
    folder = os.path.realpath(path)
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return StandbyFolder(path=folder, found=ABSENT)
    if not names:
        return StandbyFolder(path=folder, found=EMPTY)
    if "PG_VERSION" not in names:
        return StandbyFolder(path=folder, found=OTHER)
    _refuse_another_version(folder, programs)
    said = control_settings(folder, programs=programs, runner=host.runner)
    ends = (said.get(label, "0/0") for label in ("Latest checkpoint location", "Minimum recovery ending location"))
    timelines = (
        int(said.get(label, "0") or 0)
        for label in ("Latest checkpoint's TimeLineID", "Min recovery ending loc's timeline")
    )
    return StandbyFolder(
        path=folder,
        found=CLUSTER,
        running=postmaster_pid(folder) is not None,
        state=said.get("Database cluster state", ""),
        system_identifier=said.get("Database system identifier", ""),
        timeline=max(timelines),
        end=format_lsn(max(parse_lsn(one) for one in ends)),
        segment_size=int(said.get("Bytes per WAL segment", USUAL_SEGMENT_SIZE)),
        signal=os.path.lexists(os.path.join(folder, STANDBY_SIGNAL)),
        restored=os.path.lexists(os.path.join(folder, "backup_label")),
        rewindable=said.get("Data page checksum version", _NO_CHECKSUMS) != _NO_CHECKSUMS
        or said.get("wal_log_hints setting") == "on",
    )


def require_place(path: str, *, programs: ServerPrograms, host: Host) -> None:
    """Raises PostgresDataDirectoryMounted and RestoreTargetInvalid where no folder can be put by a rename."""
    folder = os.path.realpath(path)
    parent = os.path.dirname(folder)
    if os.path.ismount(folder):
        raise PostgresDataDirectoryMounted(
            f"{folder} is a mount point: it can't be renamed, so nothing could be put in its place or back again.",
            hint=f"Name a folder on that disk, such as {folder}/data; point the server there.",
            details={"path": folder},
        )
    entered = host.runner.run([*run_as(programs.account), "test", "-x", parent], timeout=20, check=False)
    if not os.access(parent, os.W_OK | os.X_OK) or entered.status != 0:
        raise RestoreTargetInvalid(
            f"The folder {parent}, in which the standby is to lie, is not there or can't be used by "
            f"{programs.account or 'who runs this'}.",
            hint=f"Run: install -d -o postgres -g postgres {parent}   and look: namei -l {parent}",
        )


def _refuse_another_version(folder: str, programs: ServerPrograms) -> None:
    with open(os.path.join(folder, "PG_VERSION"), encoding="ascii", errors="replace") as file:
        version = file.read().strip()
    if version != str(programs.major):
        raise StandbyRefused(
            f"{folder} holds a cluster of PostgreSQL {version}, and the primary is PostgreSQL {programs.major}.",
            hint="Name another folder: data_directory. A standby has the version of its primary.",
            details={"found": version, "needed": programs.major},
        )
