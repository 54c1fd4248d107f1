# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a WAL stream and has to be recorded with it: breaks, and timelines that begin. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..streams.segment import StreamEvent
from .timeline_history import TimelineHistory
from .wal_holes import Hole
from .wal_names import format_lsn

BREAK, FULL_BACKUP_NEEDED, NEW_TIMELINE = "break", "full-backup-needed", "new-timeline"


def break_events(
    hole: Hole, *, reason: str, recorded: t.Sequence[StreamEvent], at: datetime.datetime
) -> tuple[StreamEvent, ...]:
    """The events of a hole that can't be mended; none when it is recorded already, alone or as a part of another."""
    if any(_is_within(hole, event) for event in recorded if event.what == BREAK):
        return ()
    first, last = hole.names
    facts = {"timeline": hole.timeline, "first": first, "last": last, "first_number": hole.first}
    facts.update(last_number=hole.last, segment_size=hole.segment_size)
    return (
        StreamEvent(BREAK, at, f"{hole.text} is lost: {reason}.", facts),
        StreamEvent(
            FULL_BACKUP_NEEDED, at, f"What comes behind {last} can be recovered from a new base backup only.", facts
        ),
    )


def timeline_events(
    histories: t.Mapping[int, tuple[TimelineHistory, datetime.datetime]], *, recorded: t.Sequence[StreamEvent]
) -> tuple[StreamEvent, ...]:
    """The events of timelines that began and are not recorded yet. *histories*: each with the time of its file."""
    known = {event.facts.get("timeline") for event in recorded if event.what == NEW_TIMELINE}
    events: list[StreamEvent] = []
    for timeline in sorted(set(histories) - known):
        history, at = histories[timeline]
        if not history.ancestors:
            continue
        parent = history.ancestors[-1]
        facts = {"timeline": timeline, "parent": parent.timeline, "lsn": format_lsn(parent.switch)}
        reason = f"Timeline {timeline} began at {facts['lsn']} of timeline {parent.timeline}"
        events.append(StreamEvent(NEW_TIMELINE, at, f"{reason}.", facts))
        events.append(StreamEvent(FULL_BACKUP_NEEDED, at, f"{reason}: begin it with a base backup of its own.", facts))
    return tuple(events)


def _is_within(hole: Hole, event: StreamEvent) -> bool:
    facts = event.facts
    first, last = facts.get("first_number"), facts.get("last_number")
    if facts.get("timeline") != hole.timeline or not isinstance(first, int) or not isinstance(last, int):
        return False
    return facts.get("segment_size") == hole.segment_size and first <= hole.first and hole.last <= last
