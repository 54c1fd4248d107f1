# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hash over what a repository held before a moment: another hash means that somebody changed it since. Pure.

What came later doesn't count (a plan is applied minutes or days after it was made, and backups go on), nor do clocks,
places in storage classes and locks, which change nothing of what is decided.
"""

from __future__ import annotations

import datetime
import hashlib
import typing as t

from ..core.clock import format_time
from ..streams.layout import hour_of
from .values import Entry, Pin, StreamEntry


def came_later(entry: Entry, *, now: datetime.datetime) -> bool:
    """Whether a backup was not there yet: not begun, not finished, or stored only after *now*."""
    return entry.finished > now or entry.started > now or (entry.stored is not None and entry.stored > now)


def state_hash(present: t.Iterable[Entry], streams: t.Iterable[StreamEntry], *, now: datetime.datetime) -> str:
    """SHA-256 (hexadecimal) over the backups that were there at *now*, and the whole hours of streams, in any order."""
    lines = [_entry_line(entry, now) for entry in present]
    lines += [line for stream in streams for line in _stream_lines(stream, now=now)]
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8")).hexdigest()


def _entry_line(entry: Entry, now: datetime.datetime) -> str:
    series = entry.series
    pins = ",".join(sorted(_pin_words(pin) for pin in entry.pins if pin.made <= now)) if entry.pins else ""
    # The checksum is that of the manifest, which says everything else.
    content = entry.checksum or f"{format_time(entry.started)} {format_time(entry.finished)} {entry.stored_bytes}"
    place = f"{series.service}/{series.source}/{series.kind}/{entry.backup_id}"
    return f"{place} {entry.state} {entry.parent or '-'} {content} {pins}"


def _pin_words(pin: Pin) -> str:
    return f"{pin.pin_id}:{'-' if pin.until is None else format_time(pin.until)}:{pin.hold}"


def _stream_lines(stream: StreamEntry, *, now: datetime.datetime) -> t.Iterator[str]:
    place, current = f"{stream.series.folder}{stream.lineage}", hour_of(now)
    yield f"{place} floor {stream.floor or '-'}"
    for hour in stream.hours:
        if hour.key < current:
            yield f"{place} {hour.key} {hour.segments} {hour.stored_bytes}"
