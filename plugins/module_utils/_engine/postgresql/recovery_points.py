# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nearest points that can be reached, for targets that can't. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import format_time
from ..core.errors import RecoveryTargetUnreachable
from ..recovery.recovery_target import RecoveryTarget
from ..recovery.windows import Window
from .names import parse_lsn


def unreachable(
    target: RecoveryTarget, reason: str, *, windows: t.Sequence[Window], timeline: str = ""
) -> RecoveryTargetUnreachable:
    """The error, with the nearest points ``before`` and ``after`` in the words of a target of the same kind.

    *windows* are those of the source; with *timeline* only those of that one count.
    """
    fit = [one for one in windows if timeline in ("", "latest") or timeline_of(one.last) == int(timeline)]
    if target.kind == "lsn":
        before, after = _positions(fit, parse_lsn(target.value))
        flag = "--to-lsn"
    else:
        before, after = _times(fit, target.time)
        flag = "--to-time"
    points = [one for one in (before, after) if one is not None]
    return RecoveryTargetUnreachable(
        f"The target {target.text} can't be reached: {reason}",
        hint=(
            f"The nearest points that can: {' or '.join(f'{flag} {one}' for one in points)}."
            if points
            else "No point can be reached; see what is stored: lifeboat windows"
        ),
        details={"before": before, "after": after, "reason": reason},
    )


def timeline_of(point: str) -> int:
    """The timeline of a window's first or last position: ``2`` of ``2/0/3000148``."""
    return int(point.partition("/")[0])


def _times(windows: t.Sequence[Window], moment: datetime.datetime | None) -> tuple[str | None, str | None]:
    if moment is None:
        ends = [window.ends for window in windows]
        return (format_time(max(ends)) if ends else None), None
    before = [min(window.ends, moment) for window in windows if window.begins <= moment]
    after = [window.begins for window in windows if window.begins > moment]
    return (
        format_time(max(before)) if before else None,
        format_time(min(after)) if after else None,
    )


def _positions(windows: t.Sequence[Window], position: int) -> tuple[str | None, str | None]:
    spans = [(_position(window.first), _position(window.last), window) for window in windows]
    before = max((span for span in spans if span[1] <= position), key=lambda span: span[1], default=None)
    after = min((span for span in spans if span[0] > position), key=lambda span: span[0], default=None)
    return (before[2].last if before else None), (after[2].first if after else None)


def _position(point: str) -> int:
    return parse_lsn(point.partition("/")[2])
