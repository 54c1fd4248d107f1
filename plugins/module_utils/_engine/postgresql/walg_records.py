# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What WAL-G prints, read: its list of backups, a backup's sentinel, the state of its archive. Pure."""

from __future__ import annotations

import datetime
import json
import typing as t
from dataclasses import dataclass

from ..core.clock import parse_time
from ..core.errors import WalgAnswerUnreadable
from .wal_names import format_lsn, parse_wal_name

OK, WARNING, FAILURE = "OK", "WARNING", "FAILURE"
#: Segments that may still be on their way: asked for again instead of mourned.
UNDER_WAY = ("MISSING_UPLOADING", "MISSING_DELAYED")
FOUND = "FOUND"
#: The key under which a backup's id stands in WAL-G's user data.
USER_DATA = "lifeboat"


@dataclass(frozen=True)
class WalgBackup:
    """One backup in WAL-G's storage. Positions are LSNs as PostgreSQL writes them; sizes in bytes; times UTC."""

    name: str
    timeline: int
    wal_file: str
    started: datetime.datetime
    finished: datetime.datetime
    start_lsn: str
    finish_lsn: str
    system_identifier: str | None
    uncompressed_size: int
    compressed_size: int
    is_permanent: bool
    backup_id: str | None


@dataclass(frozen=True)
class WalgSentinel:
    """What a backup says of itself that the list does not: its ancestry. None for a full backup."""

    delta_from: str | None
    delta_full: str | None
    delta_count: int


@dataclass(frozen=True)
class ArchiveState:
    """What wal-verify found. *missing* are ranges of segments (first, last, status of WAL-G)."""

    integrity: str
    timeline: str
    missing: tuple[tuple[str, str, str], ...]
    current_timeline: int
    highest_timeline: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return self.integrity == OK and self.timeline == OK and not self.missing

    @property
    def may_become_whole(self) -> bool:
        """Whether all that is missing may be on its way, and the timeline is the archive's newest."""
        late = all(status in UNDER_WAY for _first, _last, status in self.missing)
        return FAILURE not in (self.integrity, self.timeline) and late

    @property
    def words(self) -> str:
        """For people."""
        parts = [
            f"{first} is {status}" if first == last else f"{first} to {last} are {status}"
            for first, last, status in self.missing
        ]
        if self.timeline != OK:
            parts.append(f"the server is on timeline {self.current_timeline}, the archive on {self.highest_timeline}")
        return "; ".join(parts) or f"integrity is {self.integrity}"


def parse_backups(text: str) -> tuple[WalgBackup, ...]:
    """``backup-list --detail --json``, oldest first. Raises WalgAnswerUnreadable."""
    rows = _json(text, of="backup-list")
    if not isinstance(rows, list):
        raise _unreadable("backup-list", f"it is no list: {text[:200]!r}")
    try:
        found = [_backup(row) for row in rows]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable("backup-list", repr(error)) from error
    return tuple(sorted(found, key=lambda one: (one.finished, one.name)))


def parse_sentinel(text: str) -> WalgSentinel:
    """``backup_stop_sentinel.json``. Raises WalgAnswerUnreadable."""
    found = _json(text, of="the sentinel")
    if not isinstance(found, dict) or "LSN" not in found:
        raise _unreadable("the sentinel", f"it is not one: {text[:200]!r}")
    count = found.get("DeltaCount")
    return WalgSentinel(
        delta_from=found.get("DeltaFrom"),
        delta_full=found.get("DeltaFullName"),
        delta_count=count if isinstance(count, int) else 0,
    )


def parse_damage(text: str) -> tuple[str, ...]:
    """The files with damaged pages that ``files_metadata.json`` notes. Raises WalgAnswerUnreadable."""
    found = _json(text, of="files_metadata.json")
    files = found.get("Files") if isinstance(found, dict) else None
    if not isinstance(files, dict) or not files:
        raise _unreadable("files_metadata.json", "it names no files")
    return tuple(
        f"{name} ({damage.get('CorruptBlocksCount', '?')} pages)"
        for name, facts in sorted(files.items())
        for damage in (facts.get("CorruptBlocks"),)
        if damage
    )


def parse_archive(text: str) -> ArchiveState:
    """``wal-verify integrity timeline --json``. Raises WalgAnswerUnreadable: its exit status says nothing."""
    found = _json(text, of="wal-verify")
    try:
        integrity, timeline = found["integrity"], found["timeline"]
        missing = tuple(
            (str(row["start_segment"]), str(row["end_segment"]), str(row["status"]))
            for row in integrity["details"] or ()
            if row["status"] != FOUND
        )
        state = ArchiveState(
            integrity=str(integrity["status"]),
            timeline=str(timeline["status"]),
            missing=missing,
            current_timeline=int(timeline["details"]["current_timeline_id"]),
            highest_timeline=int(timeline["details"]["highest_storage_timeline_id"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable("wal-verify", repr(error)) from error
    if state.integrity not in (OK, WARNING, FAILURE) or state.timeline not in (OK, WARNING, FAILURE):
        raise _unreadable("wal-verify", f"the states are {state.integrity!r} and {state.timeline!r}")
    return state


@dataclass(frozen=True)
class StoredTimeline:
    """The WAL of one timeline in the storage: from *first* to *last*, less *missing* (names of segments)."""

    timeline: int
    first: str
    last: str
    missing: frozenset[str]

    def has(self, name: str) -> bool:
        """Whether a segment is there."""
        return int(name[:8], 16) == self.timeline and self.first <= name <= self.last and name not in self.missing


def parse_timelines(text: str) -> tuple[StoredTimeline, ...]:
    """``wal-show --detailed-json``. Raises WalgAnswerUnreadable."""
    rows = _json(text, of="wal-show") if text.strip() else None
    try:
        return tuple(
            StoredTimeline(
                timeline=int(row["id"]),
                first=str(row["start_segment"]),
                last=str(row["end_segment"]),
                missing=frozenset(map(str, row["missing_segments"] or ())),
            )
            for row in rows or ()
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable("wal-show", repr(error)) from error


def parse_warnings(said: str) -> tuple[str, ...]:
    """The lines of a log that are warnings or errors, without their time."""
    found: list[str] = []
    for line in said.splitlines():
        for word in ("WARNING: ", "ERROR: "):
            _before, marker, rest = line.partition(word)
            if marker:
                text = rest.partition(" ")[2].strip()
                # The log's own time: a date and a time of day, or a date only.
                text = text.partition(" ")[2] if text[:2].isdigit() and text[2:3] == ":" else text
                if text and text not in found:
                    found.append(text)
                break
    return tuple(found)


@dataclass(frozen=True)
class FullPolicy:
    """When the next backup must be a full one; see :class:`.walg_options.WalgOptions`."""

    max_steps: int
    max_age: datetime.timedelta
    full_after_timeline_change: bool


def why_full(
    policy: FullPolicy,
    *,
    backups: t.Sequence[WalgBackup],
    newest_sentinel: WalgSentinel | None,
    newest_damaged: bool,
    timeline: int,
    now: datetime.datetime,
) -> str | None:
    """Why the next backup must be a full one, None when it may be a delta. *backups* are the oldest first."""
    if not backups:
        return "it is the first one"
    newest = backups[-1]
    if policy.max_steps == 0:
        return "max_steps is 0"
    # WAL-G looks at the position only, and the new timeline passes that of an abandoned backup sooner or later.
    if newest.timeline != timeline and policy.full_after_timeline_change:
        return f"the server is on timeline {timeline}, and the newest backup is of timeline {newest.timeline}"
    if newest_damaged:
        return f"the newest backup {newest.name} holds damaged pages"
    return _why_no_delta(policy, backups=backups, sentinel=newest_sentinel, now=now)


def _why_no_delta(
    policy: FullPolicy, *, backups: t.Sequence[WalgBackup], sentinel: WalgSentinel | None, now: datetime.datetime
) -> str | None:
    newest = backups[-1].name
    if sentinel is None:
        return f"the newest backup {newest} does not say what it builds on"
    if sentinel.delta_count >= policy.max_steps:
        return f"the newest backup is the last of {policy.max_steps} steps"
    full_name = sentinel.delta_full or newest
    full = next((one for one in backups if one.name == full_name), None)
    if full is None:
        return f"the full backup {full_name} is gone"
    if now - full.finished >= policy.max_age:
        return f"the full backup {full_name} is older than max_age"
    return None


def _backup(row: t.Mapping[str, t.Any]) -> WalgBackup:
    wal_file = str(row["wal_file_name"])
    parsed = parse_wal_name(wal_file)
    if parsed is None:
        raise ValueError(f"wal_file_name is {wal_file!r}")
    user_data = row.get("user_data")
    identifier = row.get("system_identifier")
    return WalgBackup(
        name=str(row["backup_name"]),
        timeline=parsed.timeline,
        wal_file=wal_file,
        started=_time(row["start_time"]),
        finished=_time(row["finish_time"]),
        start_lsn=format_lsn(int(row["start_lsn"])),
        finish_lsn=format_lsn(int(row["finish_lsn"])),
        system_identifier=None if identifier is None else str(identifier),
        uncompressed_size=int(row["uncompressed_size"]),
        compressed_size=int(row["compressed_size"]),
        is_permanent=bool(row.get("is_permanent")),
        backup_id=str(user_data[USER_DATA]) if isinstance(user_data, dict) and USER_DATA in user_data else None,
    )


def _time(text: str) -> datetime.datetime:
    return parse_time(str(text)).astimezone(datetime.timezone.utc)


def _json(text: str, *, of: str) -> t.Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _unreadable(of, f"{error}: {text[:200]!r}") from error


def _unreadable(of: str, why: str) -> WalgAnswerUnreadable:
    return WalgAnswerUnreadable(
        f"What WAL-G said ({of}) can't be understood: {why}.",
        hint="Run it by hand and look; another version of WAL-G may speak otherwise (3.0.9 was tried).",
    )
