# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WAL of a PostgreSQL cluster as a stream: the server fills the spool, this looks after it.

A lineage is a system identifier, so a cluster that was made anew has an archive of its own. The spool is tied to one
identifier when it is first shipped; from then on the archive script refuses every other cluster, and so does this.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import typing as t
from dataclasses import dataclass, field

from ..core.clock import Clock
from ..core.errors import (
    LibraryMissing,
    LifeboatError,
    PostgresArchivingOff,
    PostgresForeignCluster,
    RequestInvalid,
    SecretUnavailable,
    StreamError,
    StreamSpoolUnusable,
)
from ..core.journal import Journal
from ..core.progress import Progress
from ..core.runner import Runner
from ..streams.segment import Segment, SegmentDescription, StreamEvent
from ..streams.source import Capture, StreamInspection
from ..streams.spool import Spool, SpoolEntry
from ..streams.stream import Stream
from .connection import PostgresConnection
from .names import parse_lsn
from .wal_archive_script import SETTINGS_NAME, SpoolSettings, read_spool_settings, write_spool_settings
from .wal_continuity import first_identifier, follows, known_histories, segment_size_of
from .wal_description import describe_wal, read_segment_header
from .wal_events import break_events, timeline_events
from .wal_health import ArchivingState, health_facts, health_warnings, lag_of, read_archiving
from .wal_holes import Hole, find_holes
from .wal_names import SEGMENT, next_segment, parse_wal_name, previous_segment
from .wal_repair import WalDirectory, local_wal_directory, mend
from .wal_room import WalLimits, look_at_room, room_alarms, room_facts

_MEBIBYTE = 1024 * 1024
_REMEMBERED = 1024
# The server fills the spool by itself; this is how often its health and holes are looked at.
_CAPTURE_SECONDS = 30.0
#: Errors of connecting that say that the request is wrong; with every other one what waits is shipped all the same.
_REQUEST_ERRORS = (LibraryMissing, RequestInvalid, SecretUnavailable)


@dataclass(frozen=True)
class WalStreamOptions:
    """*archive_timeout*: the longest time until a segment that is not full is to be archived; None: no opinion.

    *limits*: how full ``pg_wal`` may get before that is said.
    """

    archive_timeout: datetime.timedelta | None = None
    limits: WalLimits = field(default_factory=WalLimits)


class WalStreamSource:
    """The stream of kind ``wal``. See :class:`..streams.source.StreamSource` for the promises of its methods."""

    engine = "postgresql"
    kind = "wal"

    def __init__(
        self,
        *,
        connection: PostgresConnection,
        options: WalStreamOptions,
        spool: Spool,
        runner: Runner,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._connection, self._options, self._spool = connection, options, spool
        self._runner, self._clock, self._journal = runner, clock, journal
        self._state: ArchivingState | None = None
        self._identifier: str | None = None
        self._ends: dict[str, datetime.datetime] = {}  # segment to when it was written last
        self._told: list[StreamEvent] = []  # events that may not be in the records yet

    def inspect(self) -> StreamInspection:
        """Ask the server how its archiving is doing, and look at what waits.

        Raises PostgresForeignCluster when server and spool are of two clusters, PostgresArchivingOff when nothing waits
        and archive_mode is off (when something waits, that is shipped, and it is a warning),
        PostgresSpoolSettingsInvalid, and what says that the request itself is wrong. A spool that is not there is no
        error here.
        """
        settings = read_spool_settings(self._spool.path)
        bound = settings.system_identifier if settings is not None else None
        problem = ""
        try:
            with self._connection.connect(runner=self._runner) as session:
                state: ArchivingState | None = read_archiving(session)
        except _REQUEST_ERRORS:
            raise
        except LifeboatError as error:
            state, problem = None, str(error)
        self._state = state
        if state is not None and bound not in (None, state.system_identifier):
            raise self._foreign(state, bound=str(bound))
        entries = self._entries()
        self._identifier = state.system_identifier if state is not None else bound or first_identifier(entries)
        lag = lag_of(state, spooled=entries, now=self._clock.now())
        if state is None:
            facts: dict[str, t.Any] = {
                "lag_seconds": round(lag.seconds, 1),
                "oldest_unshipped": lag.oldest,
                "spooled_count": lag.waiting,
                "spooled_bytes": lag.waiting_bytes,
            }
            return StreamInspection(
                lineage=self._identifier,
                facts=facts,
                reachable=False,
                problem=problem,
                capture_seconds=_CAPTURE_SECONDS,
            )
        warnings = health_warnings(state, spool=self._spool.path, wanted_timeout=self._options.archive_timeout)
        if state.mode == "off" and not entries:
            name, sentence = next(iter(warnings.items()))
            raise PostgresArchivingOff(
                f"Nothing waits, and nothing will: {sentence}",
                hint="Set it as docs/runbooks/wal.md says, section 1, and restart the server when that suits.",
                details={"warning": name, "archive_mode": state.mode, "after_restart": state.mode_in_files},
            )
        room, limits = look_at_room(state, now=self._clock.now()), self._options.limits
        return StreamInspection(
            lineage=self._identifier,
            facts={
                **health_facts(state, lag),
                "pg_wal": None if room is None else room_facts(room, limits),
                "warnings": sorted(warnings),
            },
            warnings=tuple(warnings.values()),
            alarms=() if room is None else room_alarms(room, limits),
            capture_seconds=_CAPTURE_SECONDS,
        )

    def capture(self, *, spool: Spool, stored: Stream | None, progress: Progress) -> Capture:
        """Tie the spool to the cluster, mend holes from ``pg_wal``, and say what happened to the stream.

        The server itself fills the spool. A hole that can't be mended is an event ``break`` with a
        ``full-backup-needed``, each hole once; a new timeline is a ``new-timeline`` and a ``full-backup-needed``.
        """
        progress.stage("looking for holes in the WAL archive")
        self._bind(spool)
        if stored is None:
            return Capture()
        self._note_ends(stored)
        # Before the spool is listed: what the archiver has handed over by now is in that list.
        directory = self._wal_directory()
        archived = directory.archived() if directory is not None else []
        entries = spool.entries()
        histories = known_histories(entries, stored)
        recorded = [*stored.events, *self._told]
        events = list(timeline_events(histories, recorded=recorded))
        segment_size = self._state.segment_size if self._state is not None else segment_size_of(stored)
        if segment_size is None:
            return self._captured(0, events, [])
        holes = find_holes(
            [*(one.segment.name for one in stored.segments), *(entry.name for entry in entries)],
            segment_size=segment_size,
            histories=[history for history, _at in histories.values()],
            archived=archived,
        )
        files, breaks, warnings = self._mend(holes, directory=directory, spool=spool, recorded=recorded)
        return self._captured(files, [*events, *breaks], warnings)

    def describe(self, entry: SpoolEntry) -> tuple[str, SegmentDescription]:
        """See :func:`.wal_description.describe_wal`. The newest segment that waits is searched for commits further."""
        before, is_newest = self._neighbours(entry)
        found = describe_wal(entry, lineage=self._identifier, before=before, thorough=is_newest)
        self._note_end(entry.name, entry.modified)
        return found

    def order(self, name: str) -> tuple[t.Any, ...]:
        """By timeline, its history first, then by number; what is no WAL comes last."""
        parsed = parse_wal_name(name)
        return (1, name) if parsed is None else (0, *parsed.order)

    def follows(self, before: Segment, after: Segment) -> bool:
        """See :func:`.wal_continuity.follows`."""
        return follows(before, after)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _captured(self, files: int, events: t.Sequence[StreamEvent], warnings: t.Sequence[str]) -> Capture:
        self._told += events
        return Capture(files=files, events=tuple(events), warnings=tuple(warnings))

    def _entries(self) -> list[SpoolEntry]:
        try:
            return self._spool.entries()
        except StreamError:  # it is not there yet; whoever ships says so
            return []

    def _foreign(self, state: ArchivingState, *, bound: str) -> PostgresForeignCluster:
        path = os.path.join(self._spool.path, SETTINGS_NAME)
        return PostgresForeignCluster(
            f"The server is the cluster {state.system_identifier}, and {self._spool.path} takes the WAL of {bound}.",
            hint="Give a new cluster a source of its own. If it replaces the old one: ship and empty the spool, then "
            f"run: rm {path}",
            details={"server": state.system_identifier, "spool": bound, "path": self._spool.path},
        )

    def _bind(self, spool: Spool) -> None:
        """Tell the archive script whose WAL it takes, and how much; the first cluster that is seen gets the spool."""
        if self._state is None:
            return
        settings = read_spool_settings(spool.path)
        wanted = SpoolSettings(self._state.system_identifier, max(1, spool.budget // _MEBIBYTE))
        if settings is not None and settings.system_identifier != wanted.system_identifier:
            raise self._foreign(self._state, bound=settings.system_identifier)
        try:
            if write_spool_settings(spool.path, wanted) and settings is None:
                self._journal.info(f"{spool.path} takes the WAL of the cluster {wanted.system_identifier} from now on")
        except OSError as error:
            raise StreamSpoolUnusable(
                f"{SETTINGS_NAME} in the spool {spool.path} can't be written: {error.strerror}.",
                hint=f"Run: ls -ld {spool.path}; df -h {spool.path}",
                details={"path": spool.path},
            ) from error

    def _wal_directory(self) -> WalDirectory | None:
        state = self._state
        if state is None or state.current_lsn is None:
            return None
        path = local_wal_directory(state.data_directory, system_identifier=state.system_identifier)
        if path is None:
            return None
        return WalDirectory(path, state.segment_size, state.timeline, parse_lsn(state.current_lsn))

    def _mend(
        self,
        holes: t.Sequence[Hole],
        *,
        directory: WalDirectory | None,
        spool: Spool,
        recorded: t.Sequence[StreamEvent],
    ) -> tuple[int, list[StreamEvent], list[str]]:
        files = 0
        events: list[StreamEvent] = []
        warnings: list[str] = []
        if holes and (self._state is None or self._identifier is None):
            texts = ", ".join(hole.text for hole in holes[:5])
            return 0, [], [f"{texts} is missing in the archive; the server did not answer, so nothing can be mended."]
        for hole in holes:
            try:
                mending = mend(hole, directory=directory, spool=spool, lineage=str(self._identifier))
            except StreamError as error:
                warnings.append(f"{hole.text} is missing in the archive and is not mended yet: {error.message}")
                break
            files += mending.mended
            if mending.mended:
                self._journal.info(f"{mending.mended} segments of {hole.text} were missing and came from pg_wal again")
            for part, reason in mending.lost:
                fresh = break_events(part, reason=reason, recorded=recorded, at=self._clock.now())
                events += fresh
                warnings += [event.reason for event in fresh]
        return files, events, warnings

    def _note_ends(self, stored: Stream) -> None:
        for one in stored.segments[-_REMEMBERED:]:
            if one.segment.description.ends is not None:
                self._note_end(one.segment.name, one.segment.description.ends)

    def _note_end(self, name: str, at: datetime.datetime) -> None:
        self._ends[name] = at
        if len(self._ends) > _REMEMBERED:
            del self._ends[next(iter(self._ends))]

    def _neighbours(self, entry: SpoolEntry) -> tuple[datetime.datetime | None, bool]:
        """When the segment before it was written last, None when nobody knows; and whether none waits behind it."""
        header = read_segment_header(entry.path)
        name = parse_wal_name(entry.name)
        if header is None or name is None or name.what != SEGMENT:
            return None, False
        folder = os.path.dirname(entry.path)
        try:
            before = previous_segment(entry.name, segment_size=header.segment_size)
            behind = next_segment(entry.name, segment_size=header.segment_size)
        except ValueError:
            return None, False
        is_newest = not os.path.exists(os.path.join(folder, behind))
        if before not in self._ends:
            with contextlib.suppress(OSError):
                seconds = os.stat(os.path.join(folder, before)).st_mtime
                self._note_end(before, datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc))
        return self._ends.get(before), is_newest
