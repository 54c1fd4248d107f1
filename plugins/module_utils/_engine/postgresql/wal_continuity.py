# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs together in a WAL archive: which file follows which, whose WAL waits, which timelines are known."""

from __future__ import annotations

import contextlib
import datetime
import typing as t

from ..streams.segment import Segment
from ..streams.spool import SpoolEntry
from ..streams.stream import Stream
from .timeline_history import TimelineHistory, history_from_facts, parse_history
from .wal_description import read_segment_header
from .wal_names import HISTORY, SEGMENT, WalName, parse_wal_name

_LARGEST_HISTORY = 1024 * 1024


def follows(before: Segment, after: Segment) -> bool:
    """Whether *after* begins where *before* ends, on its own timeline or on one that branched off from it. Pure.

    Notes and unfinished copies stand beside their segment.
    """
    one, other = parse_wal_name(before.name), parse_wal_name(after.name)
    if one is None or other is None:
        return False
    if other.what == HISTORY:
        return one.timeline < other.timeline
    if one.what == HISTORY:
        return _follows_history(before, one, after, other)
    size = before.facts.get("segment_size") or after.facts.get("segment_size")
    if not isinstance(size, int):
        # Two notes of base backups.
        return one.order <= other.order
    number, next_number = one.number(size), other.number(size)
    if one.timeline == other.timeline:
        return next_number in (number, number + 1)
    return one.timeline < other.timeline and next_number <= number + 1


def _follows_history(before: Segment, one: WalName, after: Segment, other: WalName) -> bool:
    size = after.facts.get("segment_size")
    if one.timeline != other.timeline or not isinstance(size, int):
        return one.timeline <= other.timeline
    try:
        history = history_from_facts(before.facts.get("history"), timeline=one.timeline)
    except ValueError:
        return False
    return other.number(size) <= history.begins // size


def first_identifier(entries: t.Iterable[SpoolEntry]) -> str | None:
    """Whose WAL waits, by the first segment that says so."""
    for entry in entries:
        name = parse_wal_name(entry.name)
        if name is not None and name.what == SEGMENT:
            header = read_segment_header(entry.path)
            if header is not None:
                return header.system_identifier
    return None


def segment_size_of(stored: Stream) -> int | None:
    """How long segments are, by what is stored, in bytes."""
    sizes = (one.segment.facts.get("segment_size") for one in stored.segments)
    return next((size for size in sizes if isinstance(size, int)), None)


def known_histories(
    entries: t.Iterable[SpoolEntry], stored: Stream
) -> dict[int, tuple[TimelineHistory, datetime.datetime]]:
    """Every timeline of which a history is stored or waits, with the time at which it began."""
    found: dict[int, tuple[TimelineHistory, datetime.datetime]] = {}
    for one in stored.segments:
        name = parse_wal_name(one.segment.name)
        if name is not None and name.what == HISTORY:
            with contextlib.suppress(ValueError):  # planning a recovery says what is wrong with it
                history = history_from_facts(one.segment.facts.get("history"), timeline=name.timeline)
                found[name.timeline] = (history, one.segment.description.ends or one.segment.stored)
    for entry in entries:
        name = parse_wal_name(entry.name)
        if name is not None and name.what == HISTORY:
            with contextlib.suppress(ValueError, OSError), open(entry.path, "rb") as file:  # refused when described
                found[name.timeline] = (
                    parse_history(file.read(_LARGEST_HISTORY), timeline=name.timeline),
                    entry.modified,
                )
    return found
