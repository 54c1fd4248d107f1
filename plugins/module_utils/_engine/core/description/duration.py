# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lengths of time as operators write them: ``90s``, ``15m``, ``4h``, ``30d``, ``12w``, ``1y``."""

from __future__ import annotations

import datetime
import re
import typing as t

from ..errors import DurationInvalid

# A year is 365 days and there is no month: retention must not depend on the day on which it is reckoned.
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_UNIT_WORDS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "y": "year"}
_DURATION = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[smhdwy])")
_LONGEST_YEARS = 1000
_LONGEST_SECONDS = _LONGEST_YEARS * _UNIT_SECONDS["y"]

#: For the JSON Schema; parse_duration() also refuses 0 and more than a thousand years.
DURATION_PATTERN = f"^{_DURATION.pattern.replace('?P<count>', '').replace('?P<unit>', '')}$"


def parse_duration(text: object) -> datetime.timedelta:
    """The length of time that *text* names: a whole number and one unit (s, m, h, d, w, y; a year is 365 days).

    Raises DurationInvalid for anything else, for zero and for more than a thousand years.
    """
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise DurationInvalid(f"{_shown(text)} is not a length of time: {_why(text)}", hint=_HINT)
    seconds = int(found["count"]) * _UNIT_SECONDS[found["unit"]]
    if seconds == 0:
        raise DurationInvalid(f"{_shown(text)} is no time at all; it must be at least 1s.", hint=_HINT)
    if seconds > _LONGEST_SECONDS:
        raise DurationInvalid(f"{_shown(text)} is more than {_LONGEST_YEARS} years.", hint=_HINT)
    return datetime.timedelta(seconds=seconds)


def format_duration(duration: datetime.timedelta) -> str:
    """A short text that parse_duration() reads as *duration*, in one unit: ``12w``, ``30d``, ``4h``, ``90s``."""
    return next((f"{count}{unit}" for count, unit in _split(duration, mixed=False)), "0s")


def describe_duration(duration: datetime.timedelta) -> str:
    """*duration* in words: ``12 weeks``, ``30 days``, ``1 hour``, ``2 hours 30 minutes``."""
    words = [f"{count} {_UNIT_WORDS[unit]}{'' if count == 1 else 's'}" for count, unit in _split(duration, mixed=True)]
    return " ".join(words) or "no time"


def _split(duration: datetime.timedelta, *, mixed: bool) -> t.Iterator[tuple[int, str]]:
    seconds = int(duration.total_seconds())
    for unit in ("y", "w"):
        # A week is better called 7 days, and a year is only a year when nothing is left over.
        if seconds > _UNIT_SECONDS["w"] and seconds % _UNIT_SECONDS[unit] == 0:
            yield seconds // _UNIT_SECONDS[unit], unit
            return
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(seconds, _UNIT_SECONDS[unit])
        if count and (mixed or rest == 0):
            yield count, unit
            seconds = rest


_HINT = "Write a whole number and one of s, m, h, d, w, y without a space: 90s, 15m, 4h, 30d, 12w, 1y."


def _shown(text: object) -> str:
    return repr(text if len(str(text)) <= 40 else str(text)[:40] + "...")


_REASONS = (
    (r"", "it is empty."),
    (r"[0-9]+", "it has no unit."),
    (r"-.*", "it is negative."),
    (r"[0-9]+\s*(mo|mon|months?|M)", "months differ in length; write days, such as 30d (m means minutes)."),
    (r"[0-9]+[.,][0-9]+\s*[a-z]+", "only whole numbers are read; use a smaller unit, such as 90m instead of 1.5h."),
    (r"([0-9]+[smhdwy]\s*){2,}", "only one unit is read; use the smaller one, such as 90m instead of 1h30m."),
    (r"[0-9]+\s+[smhdwy]", "there is a space in it."),
)


def _why(text: object) -> str:
    if not isinstance(text, str):
        return "it is a number without a unit." if isinstance(text, (int, float)) else "it is not text."
    reasons = (reason for pattern, reason in _REASONS if re.fullmatch(pattern, text.strip(), re.DOTALL))
    return next(reasons, "that is not a number and a unit.")
