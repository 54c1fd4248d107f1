# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backups of a job say of it: sizes against the one before, durations, what was proved. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.catalog import Backup
from ..catalog.standing import FAILED
from ..catalog.verification import Verification
from ..core.clock import format_time
from ..core.levels import LEVELS

#: So many of the newest backups are told one by one, for charts.
SHOWN = 30
#: So many of the newest verifications of a source are told.
VERIFICATIONS = 5


def job_facts(history: t.Sequence[Backup], *, now: datetime.datetime) -> dict[str, t.Any]:
    """As JSON values: age, size, change, what was proved, and the newest backups one by one, oldest first."""
    newest = history[-1] if history else None
    return {
        "last_success": format_time(newest.manifest.finished) if newest else None,
        "age_seconds": seconds_since(newest.manifest.started, now=now) if newest else None,
        "stored_bytes": newest.manifest.stored_bytes if newest else None,
        "seconds": round(newest.manifest.seconds, 3) if newest else None,
        "change": change_of(history),
        "verified": verified_of(history, now=now),
        "newest_usable": _newest_usable(history),
        "last_verification": _last_verification(history),
        "history": [
            {
                "id": one.manifest.backup_id,
                "started": format_time(one.manifest.started),
                "stored_bytes": one.manifest.stored_bytes,
                "seconds": round(one.manifest.seconds, 3),
                "state": one.state,
            }
            for one in history[-SHOWN:]
        ],
    }


def change_of(history: t.Sequence[Backup]) -> dict[str, t.Any] | None:
    """How the newest backup's stored size differs from the one before: bytes, percent (None: it was empty)."""
    if len(history) < 2:
        return None
    before, newest = history[-2].manifest, history[-1].manifest
    difference = newest.stored_bytes - before.stored_bytes
    percent = round(100 * difference / before.stored_bytes, 1) if before.stored_bytes else None
    return {"bytes": difference, "percent": percent, "against": before.backup_id}


def verified_of(history: t.Sequence[Backup], *, now: datetime.datetime) -> dict[str, t.Any] | None:
    """The newest verification that passed: the level that was reached, when, of which backup; None without one."""
    passed = [
        (one.started, backup, one) for backup in history for one in backup.verifications if one.passed and one.level > 0
    ]
    if not passed:
        return None
    _started, backup, found = max(passed, key=lambda each: each[0])
    return {
        "level": found.reached,
        "level_name": LEVELS[found.reached],
        "finished": format_time(found.finished),
        "age_seconds": seconds_since(found.finished, now=now),
        "backup": backup.manifest.backup_id,
        "is_newest": backup is history[-1],
    }


def verifications_of(backups: t.Sequence[Backup]) -> list[dict[str, t.Any]]:
    """The newest verifications of a source, newest first."""
    found = sorted(
        ((one, backup) for backup in backups for one in backup.verifications),
        key=lambda pair: (pair[0].started, pair[0].verification_id),
        reverse=True,
    )
    return [_verification(one, backup) for one, backup in found[:VERIFICATIONS]]


def _newest_usable(history: t.Sequence[Backup]) -> str | None:
    usable = [one.manifest.started for one in history if is_usable(one)]
    return format_time(usable[-1]) if usable else None


def _last_verification(history: t.Sequence[Backup]) -> dict[str, t.Any] | None:
    found = [one for backup in history for one in backup.verifications]
    if not found:
        return None
    newest = max(found, key=lambda one: (one.started, one.verification_id))
    return {"passed": newest.passed, "finished": format_time(newest.finished), "backup": newest.backup_id}


def is_usable(backup: Backup) -> bool:
    """Whether nothing has shown that it does not restore."""
    return backup.state != FAILED


def seconds_since(moment: datetime.datetime, *, now: datetime.datetime) -> float:
    """Seconds, none where a clock of another host is ahead of this one."""
    return round(max((now - moment).total_seconds(), 0.0), 1)


def _verification(found: Verification, backup: Backup) -> dict[str, t.Any]:
    document = found.as_dict()
    keys = ("id", "backup", "state", "level", "reached", "finished", "host", "recovery_seconds")
    return {"kind": backup.manifest.kind, **{key: document[key] for key in keys}, "reason": _reason(found)}


def _reason(found: Verification) -> str | None:
    if found.passed:
        return None
    errors = [found.error, *(copy.error for copy in found.copies.values())]
    return next((str(error.get("message")) for error in errors if error), None)
