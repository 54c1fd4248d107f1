# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the files in a WAL archive, and the arithmetic between them and positions. Pure.

A segment's name is its timeline, then its number in two parts, eight hexadecimal digits each: the second part counts up
to 4 GiB of WAL (src/include/access/xlog_internal.h). Beside segments an archive holds ``00000002.history`` (where a
timeline branched off), ``….00000028.backup`` (a base backup's own note; the digits are the offset in the segment) and
``….partial`` (the unfinished last segment of a timeline that was left by a promotion).
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .names import wal_segment

MEBIBYTE = 1024 * 1024
#: What ``initdb --wal-segsize`` allows, in bytes.
SEGMENT_SIZES = frozenset(MEBIBYTE << exponent for exponent in range(11))
USUAL_SEGMENT_SIZE = 16 * MEBIBYTE

SEGMENT, PARTIAL, BACKUP, HISTORY = "segment", "partial", "backup", "history"
_NAME = re.compile(
    r"(?P<timeline>[0-9A-F]{8})"
    r"(?:\.history"
    r"|(?P<log>[0-9A-F]{8})(?P<segment>[0-9A-F]{8})(?:(?P<partial>\.partial)|\.(?P<offset>[0-9A-F]{8})\.backup)?)"
)
_SPAN = 1 << 32
_RANK = {HISTORY: 0, SEGMENT: 1, PARTIAL: 2, BACKUP: 3}


@dataclass(frozen=True)
class WalName:
    """A name taken apart. *what* is ``segment``, ``partial``, ``backup`` or ``history``.

    *log* and *segment* are the two parts of the segment's number, 0 for a history file; *offset* is the position
    inside of the segment that the name of a backup's note holds, else 0.
    """

    name: str
    what: str
    timeline: int
    log: int = 0
    segment: int = 0
    offset: int = 0

    @property
    def group(self) -> str:
        """The folder of the archive that it belongs into: its timeline and log; ``history`` for history files."""
        return "history" if self.what == HISTORY else self.name[:16]

    @property
    def segment_name(self) -> str:
        """The name of the segment itself (24 digits), also for its note and its unfinished copy."""
        if self.what == HISTORY:
            raise ValueError(f"{self.name} belongs to no segment")
        return self.name[:24]

    @property
    def order(self) -> tuple[int, int, int, int, str]:
        """The sort key by which a server writes them: by timeline, its history file first, then by number."""
        history = -1 if self.what == HISTORY else self.log
        return (self.timeline, history, self.segment, _RANK[self.what], self.name)

    def number(self, segment_size: int) -> int:
        """The segment's number, counted from position 0. Raises ValueError when no segment of that size is so named."""
        if self.what == HISTORY:
            raise ValueError(f"{self.name} belongs to no segment")
        each = segments_per_log(segment_size)
        if self.segment >= each:
            raise ValueError(f"{self.name} is no name with segments of {segment_size} bytes")
        return self.log * each + self.segment

    def start(self, segment_size: int) -> int:
        """The position of the segment's first byte."""
        return self.number(segment_size) * segment_size

    def end(self, segment_size: int) -> int:
        """The position behind the segment's last byte."""
        return self.start(segment_size) + segment_size


def parse_wal_name(text: str) -> WalName | None:
    """The name taken apart; None for anything that PostgreSQL would not archive."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    timeline = int(found["timeline"], 16)
    if timeline == 0:  # the first timeline is 1; 0 is what PostgreSQL itself takes for "none"
        return None
    if found["log"] is None:
        # The first timeline branched off from nothing.
        return WalName(text, HISTORY, timeline) if timeline > 1 else None
    what = PARTIAL if found["partial"] else BACKUP if found["offset"] else SEGMENT
    log, segment = int(found["log"], 16), int(found["segment"], 16)
    return WalName(text, what, timeline, log, segment, int(found["offset"] or "0", 16))


def wal_name(text: str) -> WalName:
    """The same. Raises ValueError for what is no such name."""
    name = parse_wal_name(text)
    if name is None:
        raise ValueError(f"{text!r} is no name of a file in a WAL archive")
    return name


def is_segment_name(text: str) -> bool:
    """Whether it is a whole segment's name: 24 digits."""
    name = parse_wal_name(text)
    return name is not None and name.what == SEGMENT


def segments_per_log(segment_size: int) -> int:
    """How many segments share the first 16 digits. Raises ValueError for a size that PostgreSQL does not have."""
    if segment_size not in SEGMENT_SIZES:
        raise ValueError(f"{segment_size} bytes is no size of a WAL segment")
    return _SPAN // segment_size


def segment_name(*, timeline: int, number: int, segment_size: int) -> str:
    """The name of a segment by its number."""
    each = segments_per_log(segment_size)
    if not 1 <= timeline < _SPAN or not 0 <= number < each * _SPAN:
        raise ValueError(f"there is no segment {number} of timeline {timeline}")
    return wal_segment(timeline=timeline, position=number * segment_size, segment_size=segment_size)


def history_name(timeline: int) -> str:
    """``00000002.history``. Raises ValueError for the first timeline, which has none."""
    if not 2 <= timeline < _SPAN:
        raise ValueError(f"timeline {timeline} has no history file")
    return f"{timeline:08X}.history"


def next_segment(name: str, *, segment_size: int) -> str:
    """The name of the segment behind *name* on the same timeline."""
    before = wal_name(name)
    return segment_name(timeline=before.timeline, number=before.number(segment_size) + 1, segment_size=segment_size)


def previous_segment(name: str, *, segment_size: int) -> str:
    """The name of the segment before *name* on the same timeline. Raises ValueError for the very first."""
    after = wal_name(name)
    return segment_name(timeline=after.timeline, number=after.number(segment_size) - 1, segment_size=segment_size)


def segment_at(position: int, *, timeline: int, segment_size: int) -> str:
    """The segment that holds the byte at *position*."""
    return segment_name(timeline=timeline, number=position // segment_size, segment_size=segment_size)


def segment_before(position: int, *, timeline: int, segment_size: int) -> str:
    """The segment that holds the last byte before *position*: the one that ``pg_walfile_name(position)`` names.

    Raises ValueError for position 0, before which there is nothing.
    """
    if position < 1:
        raise ValueError("there is no WAL before position 0")
    return segment_at(position - 1, timeline=timeline, segment_size=segment_size)


def segments_between(first: str, last: str, *, segment_size: int) -> t.Iterator[str]:
    """Every segment from *first* to *last*, both included, of one timeline; nothing when *last* lies before.

    Raises ValueError, once iterated, when they are of two timelines.
    """
    one, other = wal_name(first), wal_name(last)
    if one.timeline != other.timeline:
        raise ValueError(f"{first} and {last} are on two timelines")
    for number in range(one.number(segment_size), other.number(segment_size) + 1):
        yield segment_name(timeline=one.timeline, number=number, segment_size=segment_size)


def segments_covering(start: int, end: int, *, timeline: int, segment_size: int) -> t.Iterator[str]:
    """Every segment with a byte from *start* up to, and without, *end*."""
    segments_per_log(segment_size)
    for number in range(start // segment_size, -(-end // segment_size) if end > start else start // segment_size):
        yield segment_name(timeline=timeline, number=number, segment_size=segment_size)


def format_lsn(position: int) -> str:
    """A position as PostgreSQL writes it, ``16/B374D848``; :func:`.names.parse_lsn` reads it."""
    if not 0 <= position < 1 << 64:
        raise ValueError(f"{position} is no position in the WAL")
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
