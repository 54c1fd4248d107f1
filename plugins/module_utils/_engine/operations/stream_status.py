# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the streams of a host are doing: newest segment, what waits and since when, last run."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..catalog.layout import Series
from ..core.clock import Clock, format_time, parse_time
from ..core.errors import LifeboatError, StorageForbidden, StreamSpoolUnusable
from ..core.state import StateDirectory, running_jobs
from ..postgresql.wal_room import look_again
from ..storage.base import Storage
from ..streams.notes import read_notes
from ..streams.reader import read_newest
from ..streams.segment import Segment
from ..streams.spool import Spool
from ..streams.stream import Stream
from .ship_noted import read_look
from .ship_values import BLOCKED, COMPLETE, PARTIAL, ShipRequest, SpoolState
from .status_due import Due

OK, LATE, FAILED, NEVER = "ok", "late", "failed", "never"
#: States that somebody must look at.
BAD = frozenset({BLOCKED, LATE, FAILED, NEVER})


@dataclass(frozen=True)
class StreamStatus:
    """One stream as it stands. *spool* is None where there is none on this host.

    *newest* is the last segment of the newest record, by the repositories, or by this host's notes where they can't be
    read (*newest_by*). *look* is what the server said of itself when it was asked last (see :mod:`ship_noted`).
    """

    job: str
    engine: str
    newest: t.Mapping[str, t.Any] | None
    newest_by: str
    spool: SpoolState | None
    alarm_age: datetime.timedelta
    last_run: t.Mapping[str, t.Any] | None
    running: t.Mapping[str, t.Any] | None
    repositories: tuple[str, ...]
    seen: datetime.datetime
    due: Due | None = None
    look: t.Mapping[str, t.Any] | None = None

    @property
    def _noted(self) -> t.Mapping[str, t.Any]:
        """An older version kept it in the records of its runs alone."""
        return self.look or self.last_run or {}

    @property
    def pg_wal(self) -> t.Mapping[str, t.Any] | None:
        """How full the ``pg_wal`` of a PostgreSQL server is (see :func:`..postgresql.wal_room.room_facts`)."""
        return self._noted.get("pg_wal")

    @property
    def overdue(self) -> bool:
        """Whether the run that was due has no success (see :mod:`status_due`)."""
        return self.due is not None and self.due.overdue

    @property
    def proven(self) -> datetime.datetime | None:
        """Up to when everything is stored, as far as it is known: the newest write that is, or what a run proved.

        A server that writes nothing leaves no newer segment, and yet loses nothing.
        """
        newest = self.newest_time
        known = [parse_time(newest)] if newest else []
        noted = self._noted.get("stored_until")
        if noted and newest:
            known.append(parse_time(str(noted)))
        return max(known, default=None)

    @property
    def last_success(self) -> datetime.datetime | None:
        """When the last run ended that left nothing waiting, or something was stored last (UTC)."""
        stored = (self.newest or {}).get("stored")
        known = [parse_time(str(stored))] if stored else []
        last = self.last_run or {}
        if last.get("state") == COMPLETE and last.get("finished"):
            known.append(parse_time(str(last["finished"])))
        return max(known, default=None)

    @property
    def state(self) -> str:
        """ok, late (something waits for longer than the alarm's age), partial, blocked, failed or never."""
        last = str((self.last_run or {}).get("state") or "")
        if last in (BLOCKED, FAILED):
            return last
        if self.spool is not None and self.spool.age(self.seen) > self.alarm_age.total_seconds():
            return LATE
        if last == PARTIAL:
            return last
        return OK if self.newest is not None or last == COMPLETE else NEVER

    @property
    def newest_time(self) -> str | None:
        """When the last write in the newest segment happened, as far as it is known, else when that was stored."""
        newest = self.newest or {}
        found = newest.get("ends") or newest.get("stored")
        return str(found) if found else None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "job": self.job,
            "engine": self.engine,
            "state": self.state,
            "newest": dict(self.newest) if self.newest else None,
            "newest_by": self.newest_by,
            "spool": self.spool.as_dict(now=self.seen) if self.spool else None,
            "last_run": dict(self.last_run) if self.last_run else None,
            "running": dict(self.running) if self.running else None,
            "repositories": list(self.repositories),
            "stored_until": format_time(self.proven) if self.proven else None,
            "last_success": format_time(self.last_success) if self.last_success else None,
            "oplog_hours": self._noted.get("oplog_hours"),
            "pg_wal": self.pg_wal,
            "due": self.due.as_dict() if self.due else None,
            "overdue": self.overdue,
        }


Known = t.Union[t.Sequence[Stream], LifeboatError]


def read_stream_status(
    requests: t.Sequence[ShipRequest],
    *,
    storages: t.Mapping[str, Storage],
    state: StateDirectory,
    clock: Clock,
    known: t.Mapping[Series, Known] | None = None,
) -> tuple[list[StreamStatus], list[LifeboatError]]:
    """Look at every stream, and what could not be read. Changes nothing, and asks no database.

    *known* are streams that were read already, or why that could not be; those are not read again.
    """
    running = {str(document.get("job")): document for document in running_jobs(state)}
    problems: list[LifeboatError] = []
    found = []
    for request in requests:
        names = [repository.name for repository in request.repositories]
        newest, by = _newest_noted(state, request), "notes"
        try:
            streams = _streams(request, storages, clock=clock, known=(known or {}).get(request.series))
            ends = [(lineage, end) for lineage, end in _ends(streams, names) if end is not None]
            if ends or not newest:
                newest, by = _newest_of(ends), "repositories"
            problems += [
                problem
                for stream in streams
                for problem in stream.problems
                if problem.details.get("repository") in (None, *names)
            ]
        except StorageForbidden:
            pass  # credentials that may only write: the notes have to do
        except LifeboatError as error:
            problems.append(error)
        records = state.records(request.record_name)
        found.append(
            StreamStatus(
                job=request.job,
                engine=request.engine,
                newest=newest,
                newest_by=by,
                spool=_spool(request, problems),
                alarm_age=request.alarm_age,
                last_run=records[-1] if records else None,
                running=running.get(request.job),
                repositories=tuple(names),
                seen=clock.now(),
                look=_look(state, request),
            )
        )
    return found, problems


def _look(state: StateDirectory, request: ShipRequest) -> dict[str, t.Any] | None:
    """The newest look, but for pg_wal: that is looked at now, since nobody may ship and the server may be down."""
    look = read_look(state, request.record_name)
    if look is not None and isinstance(look.get("pg_wal"), dict):
        look["pg_wal"] = look_again(look["pg_wal"])
    return look


def _streams(
    request: ShipRequest, storages: t.Mapping[str, Storage], *, clock: Clock, known: Known | None
) -> t.Sequence[Stream]:
    if isinstance(known, LifeboatError):
        raise known
    if known is not None:
        return known
    names = {repository.name for repository in request.repositories}
    asked = {name: storage for name, storage in storages.items() if name in names}
    return read_newest(asked, request.series, clock=clock)


def _ends(streams: t.Sequence[Stream], names: t.Collection[str]) -> t.Iterator[tuple[str, Segment | None]]:
    """The newest segment of each lineage in the job's own repositories."""
    for stream in streams:
        own = (each.segment for each in reversed(stream.segments) if any(name in names for name in each.copies))
        yield stream.folder.lineage, next(own, None)


def _spool(request: ShipRequest, problems: list[LifeboatError]) -> SpoolState | None:
    try:
        entries = Spool(path=request.spool_directory, budget=request.spool_budget).entries()
    except StreamSpoolUnusable as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            problems.append(error)
        return None
    return SpoolState.of(request.spool_directory, request.spool_budget, entries)


def _newest_of(ends: t.Sequence[tuple[str, Segment]]) -> dict[str, t.Any] | None:
    if not ends:
        return None
    lineage, segment = max(ends, key=lambda pair: pair[1].stored)
    last = segment.description.ends
    return {
        "lineage": lineage,
        "name": segment.name,
        "ends": format_time(last) if last else None,
        "stored": format_time(segment.stored),
    }


def _newest_noted(state: StateDirectory, request: ShipRequest) -> dict[str, t.Any] | None:
    repositories = read_notes(state, request.record_name).get("repositories")
    noted = [
        notes["newest"]
        for notes in (repositories.values() if isinstance(repositories, dict) else ())
        if isinstance(notes, dict) and isinstance(notes.get("newest"), dict)
    ]
    return max(noted, key=lambda one: str(one.get("stored")), default=None)
