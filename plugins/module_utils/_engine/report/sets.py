# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets as people read them in a terminal."""

from __future__ import annotations

import typing as t

from ..catalog.catalog import Backup
from ..catalog.set_members import member_folders
from ..operations.set_restore import SetRestorePlan
from .recovery import forecast_text
from .text import format_bytes


def set_plan_text(plan: SetRestorePlan) -> str:
    """How a set comes back: every member in order, with the commands."""
    manifest = plan.choice.manifest
    span = manifest.content.get("span") or {}
    lines = [
        f"{manifest.folder.series.folder.rstrip('/')}: {len(plan.members)} backups would be brought back one by one",
        f"  from the set {manifest.backup_id}: {plan.choice.reason}",
        f"  made from {span.get('begins')} to {span.get('ends')}, each at its own moment",
        "  every command is a plan first; without --dry-run it is carried out",
    ]
    for number, one in enumerate(plan.members, start=1):
        size = format_bytes(one.member.plain_bytes)
        where = f"in {one.repository}, {one.state}" if one.repository else "MISSING"
        lines.append(f"  {number}. {one.member.name} {one.member.folder.backup_id}: {size}, {where}")
        if one.problem is not None:
            lines.append(f"       {one.problem}")
            continue
        if one.instead is not None:
            lines.append(f"       the same data as {one.instead} in another form: one of the two is enough")
        lines.append(f"       takes    {forecast_text(one.forecast)}")
        lines.append(f"       in place {one.in_place}")
        lines.append(f"       beside   {one.beside}")
    lines += [f"  not in the set: {line}" for line in manifest.content.get("left_out") or ()]
    lines.append(f"  what the host was, and stock commands: lifeboat show {manifest.backup_id} --restore")
    return "\n".join(lines)


def sets_text(backups: t.Sequence[Backup]) -> str:
    """Below a list: what the sets in it consist of."""
    lines = []
    for backup in backups:
        members = member_folders(backup.manifest)
        if members:
            named = ", ".join(f"{one.series.source}/{one.series.kind} {one.backup_id}" for one in members)
            lines.append(f"{backup.manifest.backup_id} is a set of {len(members)}: {named}")
    return "\n".join(lines)
