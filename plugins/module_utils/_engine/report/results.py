# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as people read them in a terminal: what was backed up, where, how big, how long."""

from __future__ import annotations

import datetime
import typing as t

from .text import format_age, format_bytes, format_seconds, format_table

if t.TYPE_CHECKING:
    from ..catalog.catalog import Reading
    from ..operations.backup_values import BackupPlan, BackupResult


def plan_text(plan: BackupPlan) -> str:
    """What a run would do, with its reasons."""
    lines = [f"{plan.job}: a {plan.engine} backup would be made"]
    lines += [f"  {number}. {step}" for number, step in enumerate(plan.inspection.steps, start=1)]
    if plan.inspection.expected_bytes:
        lines.append(f"  about {format_bytes(plan.inspection.expected_bytes)} to read")
    if plan.parent:
        lines.append(f"  as an increment of {plan.parent}")
    compression = f"zstd -{plan.compression['level']}" if plan.compression else "not compressed"
    encryption = f"age to {len(plan.encryption['recipients'])} key(s)" if plan.encryption else "not encrypted"
    lines.append(f"  {compression}, {encryption}")
    for repository in plan.repositories:
        free = "" if repository["free_bytes"] is None else f", {format_bytes(repository['free_bytes'])} free"
        problem = f": {repository['error']['message']}" if repository["error"] else ""
        lines.append(f"  to {repository['name']} ({repository['url']}): {repository['state']}{free}{problem}")
    return "\n".join(lines)


def result_text(result: BackupResult) -> str:
    """One finished backup."""
    document = result.as_dict()
    if result.is_unchanged:
        return f"{document['job']}: unchanged since {document['id']}, nothing was made"
    sizes = f"{format_bytes(document['plain_bytes'])} -> {format_bytes(document['stored_bytes'])}"
    seconds = format_seconds(document["seconds"])
    lines = [f"{document['job']}: {document['state']}, {document['id']}, {sizes} in {seconds}"]
    for repository in document["repositories"]:
        error = repository["error"]
        problem = f": {error['message']} [{error['code']}]" if error else ""
        lines.append(f"  {repository['state']:8}  {repository['url']}/{document['path']}{problem}")
    if document["parent"]:
        lines.append(f"  as an increment of {document['parent']}")
    elif document["content"].get("whole_because"):
        lines.append(f"  a whole one: {document['content']['whole_because']}")
    lines += [f"  warning: {warning}" for warning in document["warnings"]]
    return "\n".join(lines)


def list_text(reading: Reading, *, now: datetime.datetime) -> str:
    """The catalog as a table, oldest first."""
    rows = []
    for backup in reading.backups:
        manifest = backup.manifest
        rows.append(
            [
                manifest.folder.series.folder.rstrip("/"),
                manifest.backup_id,
                "partial" if backup.is_partial else backup.state,
                format_age(manifest.started, now=now),
                format_bytes(manifest.plain_bytes),
                format_bytes(manifest.stored_bytes),
                format_seconds(manifest.seconds),
                ", ".join(backup.repositories) + "".join(f", not in {name}" for name in backup.missing),
            ]
        )
    columns = ("JOB", "ID", "STATE", "AGE", "DATA", "STORED", "TOOK", "REPOSITORIES")
    return format_table(columns, rows, right=("AGE", "DATA", "STORED", "TOOK")) if rows else "No backups match."


def progress_text(progress: t.Mapping[str, t.Any]) -> str:
    """How far a run is, on one line."""
    if not progress:
        return "starting"
    moved = progress.get("bytes_done") or progress.get("bytes_stored") or 0
    percent = f" ({progress['percent']} %)" if progress.get("percent") is not None else ""
    rate = format_bytes(progress.get("bytes_per_second", 0))
    return (
        f"{progress.get('stage')}: {format_bytes(moved)}{percent}, {rate}/s, "
        f"{format_bytes(progress.get('bytes_stored', 0))} stored, {format_seconds(progress.get('seconds'))}"
    )
