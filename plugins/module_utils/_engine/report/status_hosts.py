# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of several hosts as one table with one verdict."""

from __future__ import annotations

import datetime
import typing as t

from . import status_words as words
from .text import format_bytes, format_table

Json = t.Mapping[str, t.Any]

_COLUMNS = (
    "HOST",
    "JOB",
    "STATE",
    "NEWEST",
    "STORED",
    "CHANGE",
    "VERIFIED",
    "LOST IF IT WERE LOST NOW",
    "BACK AGAIN IN",
    "NEXT RUN",
)
_RIGHT = ("NEWEST", "STORED", "CHANGE")


def hosts_table(hosts: t.Sequence[Json], *, now: datetime.datetime) -> str:
    """A line for each job and stream. *hosts* are as :func:`status_page` takes them."""
    rows: list[list[str]] = []
    for host in hosts:
        name, status = str(host["host"]), host["status"]
        if status is None:
            rows.append([name, "-", "not asked", *("-" * (len(_COLUMNS) - 3))])
            continue
        sources = {source["source"]: source for source in status["sources"]}
        for job in status["jobs"]:
            figures = [format_bytes(job["stored_bytes"]), words.change(job["change"]), words.verified(job["verified"])]
            newest = words.when((job["newest"] or {}).get("started"), now=now)
            rows.append(_row(name, job, newest, figures, sources, now=now))
        for stream in status["streams"]:
            newest = words.when(stream["stored_until"], now=now)
            rows.append(_row(name, stream, newest, ["-", "-", "-"], sources, now=now))
    return format_table(_COLUMNS, rows, right=_RIGHT) if rows else "No jobs."


def hosts_verdict(hosts: t.Sequence[Json]) -> str:
    """How many hosts answered, and what needs attention, host by host."""
    silent = [host for host in hosts if host["status"] is None]
    lines = [f"{len(hosts) - len(silent)} of {len(hosts)} hosts answered." if hosts else "No host has jobs."]
    lines += [f"not asked: {host['host']}: {host['error']}" for host in silent]
    entries = [(host["host"], one) for host in hosts if host["status"] for one in host["status"]["attention"]]
    for name, one in sorted(entries, key=lambda pair: str(pair[1]["severity"])):
        hint = f" Next: {one['hint']}" if one["hint"] else ""
        lines.append(f"{one['severity']}: {name}: {one['what']}: {one['message']}{hint}")
    if hosts and not silent and not entries:
        lines.append("All is well.")
    return "\n".join(lines)


def _row(
    host: str,
    job: Json,
    newest: str,
    figures: t.Sequence[str],
    sources: t.Mapping[str, Json],
    *,
    now: datetime.datetime,
) -> list[str]:
    source = sources.get(f"{job['service']}/{job['source']}") or {}
    return [
        host,
        job["job"],
        words.state(job),
        newest,
        *figures,
        words.against(job.get("rpo") or source.get("rpo")),
        words.against(job.get("rto") or source.get("rto")),
        words.when(job["next_run"], now=now),
    ]
