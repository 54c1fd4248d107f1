# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a planned recovery can become what was asked for, looked at before anything is changed."""

from __future__ import annotations

import typing as t

from ..core.clock import format_time
from ..core.errors import RequestInvalid
from ..recovery.recovery_planner import SegmentReader
from .noted_content import NotedContent
from .oplog_skips import parse_skip
from .recovery_slices import require_entries
from .restore_options import NATIVE, MongoRestoreOptions
from .timestamps import moment_of, position_from_text

_SHOWN = 5


def require_recoverable(
    reader: SegmentReader, options: MongoRestoreOptions, *, noted: NotedContent, backup_id: str
) -> None:
    """Raise RequestInvalid for options that don't fit a recovery, and for a plan with another backup."""
    base = reader.plan.base
    if base is None or base.manifest.backup_id != backup_id:
        raise RequestInvalid(
            f"The plan begins with {'no backup' if base is None else base.manifest.backup_id}, not with {backup_id}.",
            hint="Plan again: lifeboat recover --dry-run",
        )
    if options.tool != NATIVE:
        raise RequestInvalid(
            "mongorestore replays an oplog only into the names that collections had, and one operation at a time.",
            hint="Leave tool out: recoveries are native.",
        )
    if noted.database is not None:
        others = {*options.databases, *(full.partition(".")[0] for full in options.collections)} - {noted.database}
        if others:
            raise RequestInvalid(
                f"The backup {backup_id} holds the database {noted.database} alone, and {', '.join(sorted(others))} is "
                "asked for.",
                hint="Recover from a backup of the whole instance, or leave databases out.",
            )


def require_operations(reader: SegmentReader, *, folder: str) -> None:
    """Raise RequestInvalid when an operation that is named is not there: it would be left out, or come just after.

    Only the slices around them are fetched, into *folder*.
    """
    plan = reader.plan
    wanted = [parse_skip(text).position for text in plan.target.skip]
    if plan.facts.get("before_operation"):
        wanted.append(position_from_text(str(plan.facts["stop"])))
    if wanted and plan.segments:
        require_entries(reader, wanted, folder=folder)


def described(reader: SegmentReader) -> dict[str, t.Any]:
    """What an inspection says of the replay."""
    plan = reader.plan
    stop = position_from_text(str(plan.facts["stop"]))
    return {
        "target": plan.target.text,
        "before": str(plan.facts["stop"]),
        "before_time": format_time(moment_of(stop)),
        "backup_position": str(plan.facts["base"]),
        "slices": len(plan.segments),
        "lineage": plan.lineage,
        "skip": list(plan.target.skip),
        "why": list(plan.why),
    }


def recovered(replay: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the outcome says of it."""
    end = replay["replayed"]["end"]
    return {
        **replay["replayed"],
        "end": None if end is None else f"{end['t']}:{end['i']}",
        "end_time": None if end is None else format_time(moment_of((int(end["t"]), int(end["i"])))),
        **replay["skipped"],
    }


def told(replay: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    """Sentences about it for whoever uses the data: what left the recovered part, and what depended on what was left
    out.
    """
    found = list(replay["gone"])
    left_out, dependants = replay["skipped"]["left_out"], replay["skipped"]["dependants"]
    if left_out["count"]:
        found.append(
            f"{left_out['count']} operations were left out, and {dependants['count']} later ones touched the same "
            "documents or collections."
        )
    if dependants["count"]:
        shown = ", ".join(
            f"{one['operation']} {one['namespace']}" + ("" if one["_id"] is None else f" {one['_id']}")
            for one in dependants["first"][:_SHOWN]
        )
        found.append(f"Look at them before you use the data (all of them: --json): {shown}.")
    if replay["replayed"]["missed"]:
        found.append(f"{replay['replayed']['missed']} of them found nothing to change and did nothing.")
    return tuple(found)
