# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single facts of a status document in words, the same in the table and on the page."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import parse_time
from ..core.description.duration import format_duration
from .text import format_age, format_bytes, format_seconds

Json = t.Mapping[str, t.Any]


def age(seconds: float | None) -> str:
    """``3 h 0 min``; a dash when unknown."""
    return format_seconds(seconds)


def when(text: str | None, *, now: datetime.datetime) -> str:
    """``in 3 h 0 min``, ``42 s ago``; a dash when there is none."""
    return format_age(parse_time(text), now=now) if text else "-"


def change(found: Json | None) -> str:
    """``+1.2 %``; a dash for the first backup."""
    if found is None:
        return "-"
    if found["percent"] is None:
        return f"+{format_bytes(found['bytes'])}"
    return f"{found['percent']:+.1f} %"


def verified(found: Json | None) -> str:
    """``4 questioned, 8 h 2 min ago``, with a word when it was not the newest backup."""
    if found is None:
        return "never"
    older = "" if found["is_newest"] else " (an older one)"
    return f"{found['level']} {found['level_name']}, {format_seconds(found['age_seconds'])} ago{older}"


def against(fact: Json | None) -> str:
    """``4 min 2 s of 15m, met``; without an objective the fact alone."""
    if fact is None:
        return "-"
    seconds, asked = fact["seconds"], fact["objective_seconds"]
    if asked is None:
        return "-" if seconds is None else format_seconds(seconds)
    objective = format_duration(datetime.timedelta(seconds=asked))
    said = f"{format_seconds(seconds)} of {objective}" if seconds is not None else f"? of {objective}"
    return f"{said}, {fact['verdict']}"


def spool(found: Json | None) -> str:
    """What waits: ``nothing``, ``3 segments, 48 MB, for 2 min 3 s``; a dash where there is no spool."""
    if not found:
        return "-"
    if not found["segments"]:
        return "nothing"
    waits = f"{found['segments']} segments, {format_bytes(found['used_bytes'])}"
    return f"{waits}, for {format_seconds(found['oldest_age_seconds'])}"


def pg_wal(found: Json) -> str:
    """``pg_wal has 96.0 MB, nothing waits there, 40.1 GB are left on its disk``; what is not known is left out."""
    count = found["waiting_segments"]
    waits = f"{count} segments ({format_bytes(found['waiting_bytes'])}) wait there" if count else "nothing waits there"
    size = f"pg_wal has {format_bytes(found['size_bytes'])}, " if found["size_bytes"] is not None else "pg_wal: "
    left = f", {format_bytes(found['free_bytes'])} are left on its disk" if found["free_bytes"] is not None else ""
    return f"{size}{waits}{left}"


def state(holder: Json) -> str:
    """The state, with ``overdue`` and ``running`` beside it where it does not say so itself."""
    words = [str(holder["state"])]
    if holder["overdue"] and words[0] != "overdue":
        words.append("overdue")
    if holder["running"] and words[0] != "running":
        words.append("running")
    return ", ".join(words)


def verification(found: Json) -> str:
    """``passed at 4 of 4``, ``failed at 1 of 4``."""
    reached = found["reached"] if found["reached"] >= 0 else "none"
    return f"{found['state']} at {reached} of {found['level']}"
