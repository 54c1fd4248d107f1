# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oplog of a replica set as a stream: see :mod:`streams.source`."""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

from ..catalog.layout import Series
from ..core.errors import (
    LifeboatError,
    MongoNoSuitableMember,
    MongoUnknownHost,
    MongoUnreachable,
    StreamSegmentGone,
    StreamSegmentRefused,
)
from ..core.host import Host
from ..core.progress import Progress
from ..core.state import StateDirectory
from ..streams.segment import Segment, SegmentDescription
from ..streams.source import Capture, StreamInspection
from ..streams.spool import Spool, SpoolEntry
from ..streams.stream import Stream
from .oplog_capture import OplogCaptureRun
from .oplog_chain import newest, require_same_set
from .oplog_health import look_at_health
from .oplog_members import opened_set
from .oplog_options import OplogOptions
from .oplog_slice import (
    MEDIA,
    OplogSlice,
    group_of,
    parse_slice_name,
    parse_spool_name,
    slice_from_facts,
)
from .oplog_window_guard import keep_hours
from .timestamps import Position, moment_of

_NOT_THERE = (MongoUnreachable, MongoUnknownHost, MongoNoSuitableMember)
_FOLDER = "mongodb"
# The chain's end is among the newest; holes are looked for among these, too.
_MOST_STORED = 500
_PIECE = 1024 * 1024


class OplogSource:
    """The stream of one replica set into *spool*. *state* remembers where the capture is, beside spool and records."""

    engine = "mongodb"
    kind = "oplog"

    def __init__(
        self, *, options: OplogOptions, series: Series, host: Host, state: StateDirectory, spool: Spool
    ) -> None:
        self._options = options
        self._series = series
        self._host = host
        self._state = state
        self._spool = spool

    def inspect(self) -> StreamInspection:
        """Connect and look: where the capture is and how far behind, how long the oplog still has what comes next.

        Raises MongoSetRenamed, MongoNoOplog, MongoShardedCluster, MongoNotAuthorised and what is wrong with the
        connection itself. A set that does not answer is no error.
        """
        known = [*self._spooled(), *self._remembered()]
        try:
            with opened_set(self._options, host=self._host) as oplog_set:
                head = newest(known, replica_set_id=oplog_set.set_id)
                require_same_set(head, replica_set=oplog_set.name)
                health = look_at_health(oplog_set, options=self._options, head=head)
                warnings = (*health.warnings, *oplog_set.warnings)
        except _NOT_THERE as error:
            head = newest(known, replica_set_id=None)
            return StreamInspection(
                lineage=None if head is None else head.lineage,
                reachable=False,
                problem=error.message,
                capture_seconds=self._options.capture_seconds,
            )
        return StreamInspection(
            lineage=None if head is None else head.lineage,
            facts=health.facts,
            warnings=warnings,
            capture_seconds=self._options.capture_seconds,
        )

    def capture(self, *, spool: Spool, stored: Stream | None, progress: Progress) -> Capture:
        """Put what a majority has and nobody has stored yet into the spool, as slices; mend holes between slices.

        Raises what :meth:`OplogCaptureRun.run` raises, unless something happened to the stream that must be told: then
        the error is among the warnings.
        """
        progress.stage("capturing the oplog")
        spooled = self._spooled()
        remembered = self._remembered()
        recorded = _newest_stored(stored)
        known = [*spooled, *recorded]
        lost: OplogSlice | None = None
        for one in remembered:
            if _counts(one, stored=stored, known=known):
                known.append(one)
            elif all(other.lineage != one.lineage for other in known):
                lost = one
        run = OplogCaptureRun(
            options=self._options,
            host=self._host,
            spool=spool,
            progress=progress,
            known=known,
            lost=lost,
            # Without all records, what seems to be missing may well be stored.
            mends=stored is not None and not stored.problems,
            remember=self._remember,
        )
        for one in _not_told(spooled, before=remembered or recorded):
            run.announce(one)
            self._remember(one)
        try:
            run.run()
            run.warnings += keep_hours(self._options, host=self._host, state=self._state, name=self._note)
        except LifeboatError as error:
            if not run.events:
                raise
            run.warnings.append(error.message)
        return Capture(files=run.files, events=tuple(run.events), warnings=tuple(run.warnings))

    def describe(self, entry: SpoolEntry) -> tuple[str, SegmentDescription]:
        """The lineage and the description of a slice, by its note and its bytes.

        Raises StreamSegmentRefused, and StreamSegmentGone for one that left the spool meanwhile.
        """
        try:
            lineage, first, last = parse_spool_name(entry.name)
        except ValueError as error:
            raise _refused(entry, str(error)) from error
        try:
            found = slice_from_facts(self._spool.note(entry.name))
        except ValueError as error:
            if not os.path.exists(entry.path):  # its note goes with it
                raise _gone(entry) from error
            raise _refused(entry, f"its note can't be read ({error})", lineage=lineage) from error
        if (found.lineage, found.first.position, found.last.position) != (lineage, first, last):
            raise _refused(entry, f"its note is that of {found.lineage} {found.name}", lineage=lineage)
        size, digest = _digest(entry)
        if (size, digest) != (found.size, found.sha256):
            raise _refused(entry, "its bytes are not those that were captured", lineage=lineage)
        return lineage, SegmentDescription(
            name=found.name,
            group=group_of(first),
            media=MEDIA,
            begins=moment_of(first),
            ends=moment_of(last),
            facts=found.as_facts(),
        )

    def order(self, name: str) -> tuple[t.Any, ...]:
        """By the last entry: a chain that begins anew may read again what the one before it has, to end later."""
        try:
            lineage, first, last = parse_spool_name(name)
        except ValueError as error:
            raise StreamSegmentRefused(
                f"{name} is no slice of an oplog: {error}.",
                hint=f"Move it out of the spool: ls -l {self._spool.path}",
                details={"name": name},
            ) from error
        return last, first, lineage

    def follows(self, before: Segment, after: Segment) -> bool:
        """Whether the second slice begins with the very entry that the first one ends with, or before it."""
        try:
            one, other = slice_from_facts(before.facts), slice_from_facts(after.facts)
        except ValueError:
            return False
        if one.lineage != other.lineage:
            return False
        return one.last == other.first or other.first.position < one.last.position

    @property
    def _note(self) -> str:
        return re.sub("[^A-Za-z0-9.-]", "_", f"{self._series.service}.{self._series.source}")

    def _spooled(self) -> list[OplogSlice]:
        """The slices that wait. What has no note that can be read is named when it is described."""
        found: list[OplogSlice] = []
        if not os.path.isdir(self._spool.path):
            return found
        for entry in self._spool.entries():
            try:
                found.append(slice_from_facts(self._spool.note(entry.name)))
            except ValueError:
                continue
        return found

    def _remembered(self) -> list[OplogSlice]:
        document = self._state.read(_FOLDER, f"oplog-{self._note}.json")
        try:
            return [] if document is None else [slice_from_facts(document["slice"])]
        except (KeyError, TypeError, ValueError):
            return []

    def _remember(self, one: OplogSlice) -> None:
        self._state.write(_FOLDER, f"oplog-{self._note}.json", {"slice": one.as_facts()})


def _counts(noted: OplogSlice, *, stored: Stream | None, known: t.Sequence[OplogSlice]) -> bool:
    """Whether the host's own note says where to go on: where records could not be read, or are those of another chain.

    Else spool and records say it: what is in neither is to be captured again.
    """
    if stored is None or stored.problems:
        return True
    if stored.folder.lineage == noted.lineage:
        return False
    return all(noted.bases_from > one.bases_from or noted.lineage == one.lineage for one in known)


def _not_told(spooled: t.Sequence[OplogSlice], *, before: t.Sequence[OplogSlice]) -> list[OplogSlice]:
    """The first slices of lineages newer than all that is known: whoever put them died before it could tell."""
    if not before:
        return []
    known = max(one.bases_from for one in before)
    return [one for one in spooled if one.beginning is not None and one.bases_from > known]


def _newest_stored(stored: Stream | None) -> list[OplogSlice]:
    """The last slices of a stream, by their names; there may be a million of them."""
    named: list[tuple[Position, Position, Segment]] = []
    for one in () if stored is None else stored.segments:
        try:
            first, last = parse_slice_name(one.segment.name)
        except ValueError:
            continue
        named.append((last, first, one.segment))
    found: list[OplogSlice] = []
    for _last, _first, segment in sorted(named, key=lambda one: one[:2])[-_MOST_STORED:]:
        try:
            found.append(slice_from_facts(segment.facts))
        except ValueError:
            continue
    return found


def _digest(entry: SpoolEntry) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    try:
        with open(entry.path, "rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
    except FileNotFoundError as error:
        raise _gone(entry) from error
    except OSError as error:
        raise _refused(entry, f"it can't be read ({error.strerror})") from error
    return size, digest.hexdigest()


def _gone(entry: SpoolEntry) -> StreamSegmentGone:
    return StreamSegmentGone(f"{entry.path} left the spool while it was looked at.", details={"path": entry.path})


def _refused(entry: SpoolEntry, why: str, *, lineage: str | None = None) -> StreamSegmentRefused:
    return StreamSegmentRefused(
        f"{entry.path} is not stored: {why}.",
        hint="Move it out of the spool; while the oplog still has what was in it, the next run captures that again.",
        details={"path": entry.path, **({} if lineage is None else {"lineage": lineage})},
    )
