# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams for people: what a run would do, what became of it, how they stand."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import parse_time
from ..operations.prepare_spool import PreparedSpool
from ..operations.ship_values import ShipPlan, ShipResult, ShipWarning, SpoolState
from ..operations.stream_status import StreamStatus
from . import status_words as words
from .text import format_age, format_bytes, format_seconds, format_table


def ship_plan_text(plan: ShipPlan) -> str:
    """What a run would do, with its reasons."""
    lineage = f", lineage {plan.lineage}" if plan.lineage else ""
    lines = [f"{plan.job}: {_waits(plan.spool, now=plan.planned)}{lineage}"]
    lines += [f"  {segment['name']}  {format_bytes(segment['size'])}, {segment['media']}" for segment in plan.segments]
    more = plan.spool.segments - len(plan.segments)
    if more > 0 and plan.segments:
        lines.append(f"  and {more} more")
    for repository in plan.repositories:
        count = repository["to_store"]
        what = "" if count is None else f", {count} to store"
        problem = f": {repository['error']['message']}" if repository["error"] else ""
        lines.append(f"  to {repository['name']} ({repository['url']}): {repository['state']}{what}{problem}")
    return "\n".join([*lines, *_warnings(plan.warnings)])


def ship_result_text(result: ShipResult) -> str:
    """One run, or how far one that goes on is."""
    seconds = format_seconds((result.finished - result.started).total_seconds())
    stored = f"{result.segments} segments recorded, {format_bytes(result.stored_bytes)} stored in {seconds}"
    lines = [f"{result.job}: {result.state}, {stored}; {_waits(result.spool, now=result.finished)}"]
    for repository in result.repositories:
        error = repository["error"]
        problem = f": {error['message']} [{error['code']}]" if error else ""
        behind = f", {repository['waiting']} waiting" if repository["waiting"] else ""
        lines.append(f"  {repository['state']:8}  {repository['name']} ({repository['url']}){behind}{problem}")
    return "\n".join([*lines, *_warnings(result.warnings)])


def prepared_text(prepared: PreparedSpool) -> str:
    """What was made, and what to type next."""
    lines = [f"{prepared.job}: {', '.join(prepared.changed) or 'nothing'} made; the spool belongs to {prepared.owner}"]
    lines.append("  Tell the server, in psql (archive_mode takes a restart, the others a reload):")
    for name, value in prepared.settings.items():
        quoted = value.replace("'", "''")
        lines.append(f"    ALTER SYSTEM SET {name} = '{quoted}';")
    lines.append("    SELECT pg_reload_conf();")
    lines.append(f"  Then tie the spool to this cluster: lifeboat ship {prepared.job}")
    return "\n".join(lines)


def streams_text(streams: t.Sequence[StreamStatus], *, now: datetime.datetime) -> str:
    """All streams as a table, and below it what is wrong with the last runs."""
    columns = ("STREAM", "STATE", "NEWEST WRITE", "SEGMENT", "WAITING", "SINCE", "SPOOL", "REPOSITORIES")
    rows = [_row(stream, now=now) for stream in streams]
    lines = [format_table(columns, rows, right=("NEWEST WRITE", "WAITING", "SINCE", "SPOOL"))]
    for stream in streams:
        if stream.pg_wal:
            lines.append(f"{stream.job}: {words.pg_wal(stream.pg_wal)}")
        error = (stream.last_run or {}).get("error")
        if error and stream.state not in ("ok", "late"):
            lines.append(f"{stream.state}: {error.get('message')} [{error.get('code')}]")
            if error.get("hint"):
                lines.append(f"  hint: {error['hint']}")
    return "\n".join(lines)


def _row(stream: StreamStatus, *, now: datetime.datetime) -> list[str]:
    spool, newest = stream.spool, stream.newest_time
    return [
        stream.job,
        f"{stream.state}, running" if stream.running else stream.state,
        format_age(parse_time(newest), now=now) if newest else "-",
        str((stream.newest or {}).get("name") or "-"),
        f"{spool.segments}, {format_bytes(spool.used)}" if spool else "-",
        format_age(spool.oldest, now=now) if spool and spool.oldest else "-",
        f"{spool.percent} %" if spool else "-",
        ", ".join(stream.repositories),
    ]


def _waits(spool: SpoolState, *, now: datetime.datetime) -> str:
    if not spool.segments:
        return "nothing waits"
    waiting = f"{spool.segments} segments ({format_bytes(spool.used)}, {spool.percent} % of the spool) wait"
    return f"{waiting}, the oldest for {format_seconds(spool.age(now))}"


def _warnings(warnings: t.Sequence[ShipWarning]) -> list[str]:
    lines = []
    for warning in warnings:
        lines.append(f"  {warning.severity}: {warning.message} [{warning.name}]")
        if warning.hint:
            lines.append(f"    hint: {warning.hint}")
    return lines
