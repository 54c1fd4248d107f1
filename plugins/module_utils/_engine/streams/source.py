# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database room and the shipping operation agree on: how bytes that never end get into the spool of the host.

A *stream source* knows one kind of stream of one source. The operation (``operations/ship.py``) lets it capture into
the spool, asks it what each file there is, stores the files in order of commitment in every repository, writes the
record, and removes from the spool what every repository that must have it has. Nothing else removes a file from it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.progress import Progress
from .segment import Segment, SegmentDescription, StreamEvent

if t.TYPE_CHECKING:
    from .spool import Spool, SpoolEntry
    from .stream import Stream


@dataclass(frozen=True)
class SourceAlarm:
    """What a source says by a stable *name*; *is_critical*: data, or the database itself, is at risk."""

    name: str
    message: str
    hint: str = ""
    is_critical: bool = False
    details: t.Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StreamInspection:
    """What a look at the source found.

    *lineage* is the folder of the history that the source is in now; None where only a capture can tell, which is then
    given the lineage that was recorded last. *facts* are JSON values for people and monitoring:
    versions, lag in bytes and seconds, failures of the archiver, hours left in the oplog. *warnings* are sentences,
    *alarms* what has a name of its own.
    *reachable* is False when the server did not answer: what lies in the spool is shipped all the same, and *problem*
    says why. *capture_seconds* is how long who follows the stream waits between two captures.
    """

    lineage: str | None
    facts: t.Mapping[str, t.Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    alarms: tuple[SourceAlarm, ...] = ()
    reachable: bool = True
    problem: str = ""
    capture_seconds: float = 10.0


@dataclass(frozen=True)
class Capture:
    """What capture() put into the spool: how many files, and what happened to the stream."""

    files: int = 0
    events: tuple[StreamEvent, ...] = ()
    warnings: tuple[str, ...] = ()


class StreamSource(t.Protocol):
    """One kind of stream of one source. ``engine`` and ``kind`` name its place in the repository."""

    engine: str
    kind: str

    def inspect(self) -> StreamInspection:
        """Connect and read. Changes nothing; a server that does not answer is no error here.

        Raises what says that the request itself is wrong: a foreign system identifier, a set of another name.
        """

    def capture(self, *, spool: Spool, stored: Stream | None, progress: Progress) -> Capture:
        """Put what the source has and nobody has stored yet into the spool, and mend holes where it can.

        *stored* is what the repositories' records say (None when no repository could be read). A source that is filled
        by the server itself (WAL) has only holes to mend. Whatever is cut short leaves whole files only.
        """

    def describe(self, entry: SpoolEntry) -> tuple[str, SegmentDescription]:
        """The lineage and the description of one file. Raises StreamSegmentRefused for one that must not be stored:
        it stays in the spool, is named, and nothing behind it in its lineage is recorded. Where its lineage is known
        all the same, ``details["lineage"]`` says so; else nothing at all behind it is recorded.
        """

    def order(self, name: str) -> tuple[t.Any, ...]:
        """The sort key of a spooled file's name: order of commitment. Raises StreamSegmentRefused for what is no name
        of this stream; such a file is named, and holds up nobody.
        """

    def follows(self, before: Segment, after: Segment) -> bool:
        """Whether there is no hole between two neighbours of one lineage."""
