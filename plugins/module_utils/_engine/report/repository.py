# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What repositories hold, what is wrong with them, and who holds their lease, as people read it."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import format_time
from ..operations.check_values import ERROR, NOTE, WARNING, CheckResult, Finding, RepositoryChecked
from ..operations.repo_stats import Amount, RepositoryStats, SeriesStats
from ..operations.repo_unlock import LeaseState
from .text import format_age, format_bytes, format_seconds, format_table

# Of each kind so many are shown; --json has more, and all are counted.
_MOST_SHOWN = 20
_WORDS: t.Mapping[str | None, str] = {
    ERROR: "DAMAGED: data can't be restored from here",
    WARNING: "whole, and something is lacking",
    NOTE: "whole, with leftovers",
    None: "whole",
}


def check_text(result: CheckResult) -> str:
    """What was looked at in each repository, and what is wrong, with the next command."""
    return "\n".join(_checked_text(one) for one in result.repositories)


def stats_text(found: t.Sequence[RepositoryStats]) -> str:
    """A table for each repository, and below it growth and what takes space unseen."""
    return "\n\n".join(_stats_text(one) for one in found)


def leases_text(states: t.Sequence[LeaseState], *, now: datetime.datetime) -> str:
    """Who prunes, since when, and what can be done about it."""
    return "\n".join(_lease_text(state, now=now) for state in states)


def _checked_text(checked: RepositoryChecked) -> str:
    looked = checked.looked
    objects = f"{looked.objects} objects, {format_bytes(looked.bytes)}"
    parts = f"{looked.backups} backups, {looked.segments} segments of {looked.lineages} streams"
    lines = [
        f"{checked.name} ({checked.url}): {_WORDS[checked.worst]}",
        f"  {objects}: {parts}, in {format_seconds(checked.seconds)}",
    ]
    if looked.payloads_read or looked.segments_read:
        lines.append(
            f"  read and hashed: {looked.payloads_read} payloads and {looked.segments_read} segments, "
            f"{format_bytes(looked.bytes_read)}"
        )
    by_code: dict[str, list[Finding]] = {}
    for finding in checked.findings:
        by_code.setdefault(finding.code, []).append(finding)
    for code, findings in by_code.items():
        lines += _findings_text(code, findings, count=checked.counts[code])
    return "\n".join(lines)


def _findings_text(code: str, findings: t.Sequence[Finding], *, count: int) -> list[str]:
    lines = [f"  {findings[0].severity}: {code}: {count}"]
    hint = ""
    for finding in findings[:_MOST_SHOWN]:
        if hint and finding.hint != hint:
            lines.append(f"      hint: {hint}")
        hint = finding.hint
        lines.append(f"    {finding.key}: {finding.message}" if finding.key else f"    {finding.message}")
    if hint:
        lines.append(f"      hint: {hint}")
    if count > _MOST_SHOWN:
        lines.append(f"    and {count - _MOST_SHOWN} more; --json names up to 1000 of a kind")
    return lines


def _stats_text(stats: RepositoryStats) -> str:
    lines = [f"{stats.name} ({stats.url})"]
    if stats.error is not None:
        return "\n".join([*lines, f"  could not be read: {stats.error.message} [{stats.error.code}]"])
    columns = ("SERIES", "BACKUPS", "SEGMENTS", "OBJECTS", "STORED", "OLDEST", "NEWEST", "STORAGE CLASSES")
    rows = [_series_row(name, series, now=stats.now) for name, series in sorted(stats.series.items())]
    whole = ["all", "", "", str(stats.total.objects), format_bytes(stats.total.bytes), "", "", _classes(stats.classes)]
    right = ("BACKUPS", "SEGMENTS", "OBJECTS", "STORED", "OLDEST", "NEWEST")
    lines.append(format_table(columns, [*rows, whole], right=right))
    lines.append(
        f"growth: {format_bytes(stats.per_day(7))} a day in the last week, {format_bytes(stats.per_day(30))} a day in "
        "the last 30 days (of what is still there)"
    )
    if stats.noncurrent is None:
        lines.append("old versions: not known, the credentials may not ask")
    elif stats.noncurrent.objects or stats.markers:
        lines.append(
            f"old versions: {stats.noncurrent.objects}, {format_bytes(stats.noncurrent.bytes)}; "
            f"{stats.markers} delete markers"
        )
    if stats.unfinished:
        lines.append(f"unfinished uploads: {stats.unfinished}")
    if stats.free_bytes is not None:
        lines.append(f"free: {format_bytes(stats.free_bytes)}{_lasts(stats)}")
    return "\n".join(lines)


def _lasts(stats: RepositoryStats) -> str:
    """For how long the space lasts as it grew in the last week, when that is soon enough to matter."""
    daily = stats.per_day(7)
    if not daily or stats.free_bytes is None:
        return ""
    days = stats.free_bytes // daily
    return f", enough for {days} days at the rate of the last week if nothing is removed" if days < 3650 else ""


def _series_row(name: str, series: SeriesStats, *, now: datetime.datetime) -> list[str]:
    return [
        name,
        str(series.backups) if series.backups else "",
        str(series.segments) if series.segments else "",
        str(series.total.objects),
        format_bytes(series.total.bytes),
        format_age(series.oldest, now=now) if series.oldest else "-",
        format_age(series.newest, now=now) if series.newest else "-",
        _classes(series.classes),
    ]


def _classes(classes: t.Mapping[str, Amount]) -> str:
    return ", ".join(f"{name} {format_bytes(amount.bytes)}" for name, amount in sorted(classes.items()) if name) or "-"


def _lease_text(state: LeaseState, *, now: datetime.datetime) -> str:
    if state.error is not None:
        return f"{state.repository}: could not be asked: {state.error.message} [{state.error.code}]"
    if state.holder is None:
        return f"{state.repository}: nobody prunes it"
    who = f"process {state.holder.get('pid', '?')} on {state.holder.get('host', 'a host that nobody knows')}"
    since = f", since {format_age(state.stored, now=now)}" if state.stored else ""
    if state.broken:
        return f"{state.repository}: the lease of {who}{since} was taken away"
    void = ""
    if state.void_at is not None:
        is_void = state.void_at <= now
        void = " It is void: anybody may take over." if is_void else f" It is void at {format_time(state.void_at)}."
    return (
        f"{state.repository}: {who} prunes it{since}.{void}\n"
        f"  hint: if it is dead: lifeboat repo unlock --repository {state.repository} --break"
    )
