# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery to a point in time adds to the plan of a restore, to its result and to what is to be done then."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.errors import RequestInvalid
from ..recovery.restorer import RestorerContext
from .base_restore_options import BaseRestoreOptions
from .server_state import PAUSED, READ_WRITE, STANDBY

# What a replaying server keeps in pg_wal at most (its max_wal_size is 2 GB), and what is fetched ahead of it.
_MOST_WAL_BYTES = 3 * 1024 * 1024 * 1024
_AHEAD = 12


@dataclass(frozen=True)
class RecoveryFacts:
    """For the plan: JSON values, sentences, and bytes of disk for WAL on top of the base's."""

    facts: t.Mapping[str, t.Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    needed_bytes: int = 0


def recovery_facts(context: RestorerContext, options: BaseRestoreOptions) -> RecoveryFacts:
    """Of the plan in *context*; nothing for a plain restore. Raises RequestInvalid for options that contradict it."""
    if context.segments is None:
        return RecoveryFacts()
    plan = context.segments.plan
    if not options.new_timeline:
        raise RequestInvalid(
            "new_timeline: false contradicts a recovery to a point in time: PostgreSQL always begins one.",
            hint="Leave new_timeline out.",
        )
    if not options.start and plan.target.action == "pause":
        raise RequestInvalid(
            "The action pause needs a server, and start is false.",
            hint="Set start: true (and a port), or use the action shutdown.",
        )
    size = int(plan.facts["segment_size"])
    wal = min(int(plan.facts["wal_bytes"]), _MOST_WAL_BYTES) + min(int(plan.facts["wal_segments"]), _AHEAD) * size
    return RecoveryFacts(
        facts={
            "recovery": {
                "target": plan.target.as_dict(),
                "why": list(plan.why),
                **{key: plan.facts.get(key) for key in ("timeline", "first_segment", "last_segment", "wal_segments")},
            }
        },
        warnings=plan.warnings,
        needed_bytes=wal,
    )


def recovery_content(
    context: RestorerContext, *, replayed: t.Mapping[str, t.Any], started: t.Mapping[str, t.Any]
) -> dict[str, t.Any]:
    """What was reached, for the result: {} for a plain restore."""
    if context.segments is None:
        return {}
    plan = context.segments.plan
    return {
        "recovery": {
            **replayed.get("reached", {}),
            "why": list(plan.why),
            "followed_timeline": plan.facts.get("timeline"),
            "new_timeline": started.get("timeline"),
        },
        # The backups and the WAL of before belong to another history from here on.
        "full_backup_needed": True,
    }


def recovery_advice(
    context: RestorerContext, options: BaseRestoreOptions, *, started: t.Mapping[str, t.Any]
) -> tuple[str, ...]:
    """What is still to be done after a recovery; () after a plain restore."""
    if context.segments is None:
        return ()
    found = []
    state = started.get("state")
    if state in (PAUSED, STANDBY):
        if state == STANDBY:
            found.append("It answers readers, and let nobody in who could ask whether it has paused at the target.")
        found.append("It is paused at the target and read-only. To go on from here: SELECT pg_wal_replay_resume()")
    elif state != READ_WRITE:
        found.append("It was shut down at the target. Its next start opens it for writing exactly there.")
    if options.in_place:
        found.append(
            "Make a full base backup now (kind: base): recovery to later points needs one of the new timeline."
        )
    else:
        found.append(
            "Make a full base backup before this copy becomes production (kind: base): it is on a timeline of its own."
        )
    return tuple(found)
