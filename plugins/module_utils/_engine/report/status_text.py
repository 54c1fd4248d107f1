# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A status document as people read it in a terminal."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import format_time, parse_time
from . import status_words as words
from .results import progress_text
from .text import format_age, format_bytes, format_seconds, format_table

Json = t.Mapping[str, t.Any]


def status_text(document: Json, *, now: datetime.datetime) -> str:
    """All jobs as a table, then streams, sources and their objectives, verifications, and what needs attention."""
    parts = []
    if document["jobs"] or not document["streams"]:
        parts.append(_jobs(document["jobs"], now=now))
    if document["streams"]:
        parts.append(_streams(document["streams"], now=now))
    parts += [_windows(document["windows"], now=now)] if document["windows"] else []
    if document["sources"]:
        parts.append(_sources(document["sources"]))
    parts += [text for text in (_verifications(document["sources"], now=now), _left_out(document["left_out"])) if text]
    parts.append(attention_text(document["attention"]))
    return "\n\n".join(parts)


def attention_text(entries: t.Sequence[Json]) -> str:
    """What somebody must look at, each with its next command; a word when there is nothing."""
    if not entries:
        return "All is well."
    lines = []
    for one in entries:
        lines.append(f"{one['severity']}: {one['what']}: {one['message']}")
        if one["hint"]:
            lines.append(f"  hint: {one['hint']}")
    return "\n".join(lines)


def _jobs(jobs: t.Sequence[Json], *, now: datetime.datetime) -> str:
    if not jobs:
        return "No jobs."
    columns = (
        "JOB",
        "STATE",
        "NEWEST",
        "STORED",
        "CHANGE",
        "TOOK",
        "BACKUPS",
        "VERIFIED",
        "NEXT RUN",
        "SCHEDULE",
        "KEPT",
    )
    rows = [_job_row(job, now=now) for job in jobs]
    lines = [format_table(columns, rows, right=("NEWEST", "STORED", "CHANGE", "TOOK", "BACKUPS"))]
    lines += [
        f"running: {job['job']}: {progress_text(job['running'].get('progress') or {})}"
        for job in jobs
        if job["running"]
    ]
    return "\n".join(lines)


def _job_row(job: Json, *, now: datetime.datetime) -> list[str]:
    newest = job["newest"]
    return [
        job["job"],
        words.state(job),
        words.when(newest["started"], now=now) if newest else "-",
        format_bytes(job["stored_bytes"]),
        words.change(job["change"]),
        format_seconds(job["seconds"]),
        str(job["backups"]),
        words.verified(job["verified"]) if newest else "-",
        words.when(job["next_run"], now=now),
        job["schedule"] or "-",
        job["keep"] or "-",
    ]


def _streams(streams: t.Sequence[Json], *, now: datetime.datetime) -> str:
    columns = ("STREAM", "STATE", "STORED UNTIL", "SEGMENT", "WAITING", "SPOOL", "NEXT RUN", "REPOSITORIES")
    rows = [
        [
            stream["job"],
            words.state(stream),
            words.when(stream["stored_until"], now=now),
            str((stream["newest"] or {}).get("name") or "-"),
            words.spool(stream["spool"]),
            f"{stream['spool']['used_percent']} %" if stream["spool"] else "-",
            words.when(stream["next_run"], now=now),
            ", ".join(stream["repositories"]),
        ]
        for stream in streams
    ]
    lines = [format_table(columns, rows, right=("STORED UNTIL", "SPOOL"))]
    lines += [
        f"{stream['job']}: the server keeps what is to be captured next for {stream['oplog_hours']:g} hours more"
        for stream in streams
        if stream["oplog_hours"] is not None
    ]
    lines += [f"{stream['job']}: {words.pg_wal(stream['pg_wal'])}" for stream in streams if stream.get("pg_wal")]
    return "\n".join(lines)


def _windows(windows: t.Mapping[str, Json], *, now: datetime.datetime) -> str:
    return "\n".join(_window(name, found, now=now) for name, found in windows.items())


def _window(name: str, found: Json, *, now: datetime.datetime) -> str:
    if not found["windows"]:
        return f"{name}: no moment can be recovered to; lifeboat windows {name} says why"
    newest = found["windows"][-1]
    begins, ends = parse_time(newest["begins"]), parse_time(newest["ends"])
    gaps = f"; {len(found['gaps'])} gaps: lifeboat windows {name}" if found["gaps"] else ""
    if begins == ends:
        moment = format_time(ends.replace(microsecond=0))
        return f"{name}: can be recovered to the moment {moment}, {format_age(ends, now=now)}{gaps}"
    if begins.microsecond and begins.replace(microsecond=0) + datetime.timedelta(seconds=1) <= ends:
        begins = begins.replace(microsecond=0) + datetime.timedelta(seconds=1)
    return f"{name}: can be recovered to any moment from {format_time(begins)} to {format_age(ends, now=now)}{gaps}"


def _sources(sources: t.Sequence[Json]) -> str:
    columns = ("SOURCE", "ENGINE", "LOST IF IT WERE LOST NOW", "BY", "BACK AGAIN IN", "MEASURED", "WINDOW")
    rows = [
        [
            source["source"],
            source["engine"],
            words.against(source["rpo"]),
            source["rpo"]["by"] or "-",
            words.against(source["rto"]),
            str(source["rto"]["measured"]),
            words.against(source["window"]),
        ]
        for source in sources
    ]
    return format_table(columns, rows, right=("MEASURED",))


def _verifications(sources: t.Sequence[Json], *, now: datetime.datetime) -> str:
    columns = ("VERIFICATION OF", "BACKUP", "RESULT", "WHEN", "RECOVERED IN", "WHERE")
    rows = [
        [
            f"{source['source']}/{one['kind']}",
            one["backup"],
            words.verification(one),
            words.when(one["finished"], now=now),
            format_seconds(one["recovery_seconds"]),
            one["host"],
        ]
        for source in sources
        for one in source["verifications"]
    ]
    return format_table(columns, rows, right=("WHEN", "RECOVERED IN")) if rows else ""


def _left_out(jobs: t.Sequence[Json]) -> str:
    return "\n".join(f"left out: {one['job']}: {one['reason']}" for one in jobs)
