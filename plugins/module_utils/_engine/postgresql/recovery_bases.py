# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base backups as places where a recovery can begin: from their manifests alone. Pure."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup
from ..catalog.standing import FAILED, ORDER
from ..core.clock import parse_time
from .names import parse_lsn
from .wal_names import SEGMENT_SIZES, USUAL_SEGMENT_SIZE

KINDS = ("base", "incremental")
#: The tools whose backups hold the WAL between their own start and end; the second one is our own.
_CARRIES_WAL = ("pg_basebackup", "lifeboat")


@dataclass(frozen=True)
class RecoveryBase:
    """One backup that a recovery can begin with, positions in bytes.

    It is consistent from *end* on, which was written before *finished* (aware, UTC). *first_number* is the first
    segment that must come from the archive: what lies before it the backup holds itself.
    """

    backup: Backup
    timeline: int
    start: int
    end: int
    finished: datetime.datetime
    segment_size: int
    carries_wal: bool
    first_number: int

    @property
    def backup_id(self) -> str:
        """The id of the backup."""
        return self.backup.manifest.backup_id

    @property
    def system_identifier(self) -> str:
        """Whose it is: the lineage."""
        return str(self.backup.manifest.content.get("system_identifier"))

    @property
    def preference(self) -> tuple[int, int, str]:
        """The later, the better; of two that end at one position the one that was proved."""
        return (self.end, ORDER.index(self.backup.state), self.backup_id)


@dataclass(frozen=True)
class Bases:
    """The *usable* ones, and for each of the others a sentence that says why it is not."""

    usable: tuple[RecoveryBase, ...]
    passed_over: tuple[str, ...]


def usable_bases(backups: t.Sequence[Backup]) -> Bases:
    """Sort out what failed a verification, stands on one that did, or does not say where it begins and ends."""
    known = {one.manifest.backup_id: one for one in backups}
    usable: list[RecoveryBase] = []
    passed_over: list[str] = []
    for backup in backups:
        manifest = backup.manifest
        if manifest.engine != "postgresql" or manifest.kind not in KINDS:
            continue
        problem = _problem(backup, known)
        if problem is None:
            try:
                usable.append(_base(backup))
                continue
            except (KeyError, TypeError, ValueError) as error:
                problem = f"its manifest does not say where it begins and ends ({error!r})"
        passed_over.append(f"The backup {manifest.backup_id} is passed over: {problem}.")
    return Bases(
        usable=tuple(sorted(usable, key=lambda one: (one.finished, one.backup_id))), passed_over=tuple(passed_over)
    )


def _problem(backup: Backup, known: t.Mapping[str, Backup]) -> str | None:
    if backup.state == FAILED:
        return "its verification failed"
    if backup.manifest.kind != "incremental":
        return None
    chain = [str(one) for one in (backup.manifest.content.get("parent") or {}).get("chain", ())]
    if not chain:
        return "it does not name what it builds on"
    for name in chain:
        if name not in known:
            return f"{name}, which it builds on, is gone"
        if known[name].state == FAILED:
            return f"the verification of {name}, which it builds on, failed"
    return None


def _base(backup: Backup) -> RecoveryBase:
    manifest = backup.manifest
    content = manifest.content
    wal = content.get("wal") or {}
    segment_size = int(wal.get("segment_size") or USUAL_SEGMENT_SIZE)
    if segment_size not in SEGMENT_SIZES:
        raise ValueError(f"segments of {segment_size} bytes")
    start, end = parse_lsn(str(content["start_lsn"])), parse_lsn(str(content["end_lsn"]))
    if not 0 < start <= end or content.get("system_identifier") is None:
        raise ValueError("positions or identity")
    # The content says when the server was done, the manifest when all was stored.
    noted = content.get("finished")
    finished = parse_time(str(noted)) if noted else manifest.finished
    carries_wal = (content.get("tool") or {}).get("name") in _CARRIES_WAL
    last = (end - 1) // segment_size
    # A primary leaves the last segment when the backup ends, so the backup has it whole; a standby can't.
    first = start // segment_size if not carries_wal else last if content.get("in_recovery") else last + 1
    return RecoveryBase(
        backup=backup,
        timeline=int(content["timeline"]),
        start=start,
        end=end,
        finished=finished.astimezone(datetime.timezone.utc),
        segment_size=segment_size,
        carries_wal=carries_wal,
        first_number=first,
    )
