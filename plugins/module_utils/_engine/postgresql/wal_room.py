# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How full ``pg_wal`` is, and what an operator should hear of it: what waits there to be archived, what room is left.

While the archive takes nothing the server keeps its WAL there, and when that disk is full it stops. Nothing here drops
or holds back WAL: how much waits is said early enough to act (ADR 70).
"""

from __future__ import annotations

import contextlib
import datetime
import os
import typing as t
from dataclasses import dataclass, replace

from ..core.description.duration import describe_duration
from ..streams.source import SourceAlarm
from .names import parse_lsn
from .wal_health import ArchivingState
from .wal_names import PARTIAL, SEGMENT, parse_wal_name
from .wal_repair import local_wal_directory

DEFAULT_BUDGET_MIB = 1024
DEFAULT_FREE_PERCENT = 10
_MEBIBYTE = 1024 * 1024
#: From this share of the budget on, in percent, an operator hears that it will not last.
_GROWING = 80
_READY = ".ready"
_WHOLE = (SEGMENT, PARTIAL)
#: A rate over less than this says nothing.
_LEAST_SECONDS = 10.0
_NEXT = (
    "lifeboat ship --status says what keeps the archive from taking it. Nothing is dropped; remove nothing from pg_wal "
    "by hand: docs/runbooks/wal.md, section 8."
)


@dataclass(frozen=True)
class WalLimits:
    """*budget*: how many bytes may wait in ``pg_wal``. *free_percent* of its disk should be left; 0: no opinion."""

    budget: int = DEFAULT_BUDGET_MIB * _MEBIBYTE
    free_percent: int = DEFAULT_FREE_PERCENT


@dataclass(frozen=True)
class WalRoom:
    """``pg_wal`` by one look, in bytes; None is what nobody could tell from here.

    *path* is where it lies on this host. *size* is all of it, with what is kept to be used again, *waiting_bytes* the
    *waiting* segments that the archiver has yet to take. *free* and *disk* are of its file system. *rate* is how many
    bytes a second were written since the oldest of them was finished. *slot* is the replication slot that needs the
    oldest WAL, *slot_bytes* how much.
    """

    segment_size: int
    size: int | None
    waiting: int
    path: str | None = None
    free: int | None = None
    disk: int | None = None
    rate: float | None = None
    slot: str | None = None
    slot_bytes: int = 0

    @property
    def waiting_bytes(self) -> int:
        """What the archiver has yet to take."""
        return self.waiting * self.segment_size

    @property
    def seconds_left(self) -> float | None:
        """How long the disk lasts when nothing is archived meanwhile."""
        return self.free / self.rate if self.free is not None and self.rate else None


def look_at_room(state: ArchivingState, *, now: datetime.datetime) -> WalRoom | None:
    """How full it is, by the folder where it lies on this host, else by what the server says; None when neither can."""
    path = local_wal_directory(state.data_directory, system_identifier=state.system_identifier)
    found: WalRoom | None = None
    if path is not None:
        found = look_at_folder(path, segment_size=state.segment_size)
    elif state.ready is not None:
        waiting = sum(one.name.what in _WHOLE for one in state.ready)
        found = WalRoom(segment_size=state.segment_size, size=state.wal_size, waiting=waiting)
    if found is None:
        return None
    return replace(found, rate=_rate(state, now=now), slot=state.slot, slot_bytes=state.slot_bytes)


def look_at_folder(path: str, *, segment_size: int) -> WalRoom | None:
    """How full it is, without asking the server, which may be down by now; None when it can't be read."""
    size = 0
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # taken to be used again meanwhile
                    size += entry.stat().st_size if entry.is_file() else 0
        ready = (name[: -len(_READY)] for name in os.listdir(f"{path}/archive_status") if name.endswith(_READY))
        names = [parsed for parsed in map(parse_wal_name, ready) if parsed is not None and parsed.what in _WHOLE]
        disk = os.statvfs(path)
    except OSError:
        return None
    return WalRoom(
        segment_size=segment_size,
        size=size,
        waiting=len(names),
        path=path,
        free=disk.f_bavail * disk.f_frsize,
        disk=disk.f_blocks * disk.f_frsize,
    )


def _rate(state: ArchivingState, *, now: datetime.datetime) -> float | None:
    segments = [one for one in state.ready or () if one.name.what == SEGMENT]
    oldest = min(segments, key=lambda one: one.since, default=None)
    if oldest is None or state.current_lsn is None:
        return None
    seconds = (now - oldest.since).total_seconds()
    if seconds < _LEAST_SECONDS:
        return None
    return max(0, parse_lsn(state.current_lsn) - oldest.name.end(state.segment_size)) / seconds


def room_facts(room: WalRoom, limits: WalLimits) -> dict[str, t.Any]:
    """As JSON values, for people and monitoring."""
    left = room.seconds_left
    return {
        "path": room.path,
        "segment_size": room.segment_size,
        "size_bytes": room.size,
        "waiting_segments": room.waiting,
        "waiting_bytes": room.waiting_bytes,
        "budget_bytes": limits.budget,
        "free_bytes": room.free,
        "disk_bytes": room.disk,
        "free_percent": limits.free_percent,
        "free_wanted_bytes": None if room.disk is None else _wanted(room.disk, limits),
        "bytes_per_second": None if room.rate is None else round(room.rate),
        "seconds_left": None if left is None else round(left),
        "slot": room.slot,
        "slot_bytes": room.slot_bytes,
    }


def look_again(facts: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The same facts by a look at the folder now; as they were where it is not on this host, or can't be read."""
    room = look_at_folder(str(facts["path"]), segment_size=int(facts["segment_size"])) if facts["path"] else None
    return dict(facts) if room is None else room_facts(room, _limits(facts))


def alarms_of(facts: t.Mapping[str, t.Any]) -> tuple[SourceAlarm, ...]:
    """What to hear of it, by its facts alone."""
    room = WalRoom(
        segment_size=facts["segment_size"],
        size=facts["size_bytes"],
        waiting=facts["waiting_segments"],
        path=facts["path"],
        free=facts["free_bytes"],
        disk=facts["disk_bytes"],
        rate=facts["bytes_per_second"],
        slot=facts["slot"],
        slot_bytes=facts["slot_bytes"],
    )
    return room_alarms(room, _limits(facts))


def _limits(facts: t.Mapping[str, t.Any]) -> WalLimits:
    return WalLimits(budget=facts["budget_bytes"], free_percent=facts["free_percent"])


def room_alarms(room: WalRoom, limits: WalLimits) -> tuple[SourceAlarm, ...]:
    """What to hear of it. One segment is always on its way; with more of them waiting a short disk is an emergency."""
    details = room_facts(room, limits)
    found: list[SourceAlarm] = []
    waits = f"{room.waiting} segments ({_mib(room.waiting_bytes)}) wait in pg_wal to be archived"
    budget = f"the {_mib(limits.budget)} that may (pg_wal_budget_mib)"
    if room.waiting_bytes > limits.budget:
        said = f"{waits}, more than {budget}.{_disk(room)}"
        found.append(SourceAlarm("pg_wal_over_budget", said, hint=_NEXT, is_critical=True, details=details))
    elif room.waiting_bytes * 100 >= limits.budget * _GROWING:
        said = f"{waits}, nearly {budget}.{_disk(room)}"
        found.append(SourceAlarm("pg_wal_growing", said, hint=_NEXT, details=details))
    if room.free is not None and room.disk is not None and room.free < _wanted(room.disk, limits):
        said = (
            f"The disk of pg_wal has {_mib(room.free)} left of {_mib(room.disk)}, less than {limits.free_percent} % "
            f"(pg_wal_free_percent); when it is full, the server stops.{_holds(room)}{_lasts(room)}"
        )
        hint = f"Make room there, and see what holds WAL back. {_NEXT}"
        is_behind = room.waiting > 1
        found.append(SourceAlarm("pg_wal_disk_nearly_full", said, hint=hint, is_critical=is_behind, details=details))
    return tuple(found)


def _disk(room: WalRoom) -> str:
    if room.free is None:
        return ""
    return f" Its disk has {_mib(room.free)} left.{_lasts(room)}"


def _lasts(room: WalRoom) -> str:
    left = room.seconds_left
    if left is None or not room.waiting:
        return ""
    lasts = describe_duration(datetime.timedelta(seconds=max(60, 60 * (int(left) // 60))))
    return f" At the rate since the oldest of them that lasts for about {lasts}."


def _holds(room: WalRoom) -> str:
    """What keeps WAL there, the larger first."""
    if room.slot is not None and room.slot_bytes > room.waiting_bytes:
        return f" The replication slot {room.slot} keeps {_mib(room.slot_bytes)} of WAL."
    if room.waiting:
        return f" {room.waiting} segments ({_mib(room.waiting_bytes)}) wait there to be archived."
    return ""


def _wanted(disk: int, limits: WalLimits) -> int:
    return disk * limits.free_percent // 100


def _mib(count: int) -> str:
    return f"{count // _MEBIBYTE} MiB"
