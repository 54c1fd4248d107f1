# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instant that people mean by a time: RFC 3339, or a local time with the name of its zone. Never a guess."""

from __future__ import annotations

import datetime
import re
import typing as t
import zoneinfo

from ..core.clock import format_time, parse_time
from ..core.errors import RecoveryTargetInvalid

_LOCAL = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt ](?P<time>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?) (?P<zone>[A-Za-z][\w+/-]*)",
    re.ASCII,
)
_EXAMPLES = "Write 2026-11-21T14:03:00Z, 2026-11-21T15:03:00+01:00 or 2026-11-21 15:03 Europe/Berlin."
_UTC_NAMES = ("UTC", "GMT", "Z")


def instant_of(value: t.Any) -> datetime.datetime:
    """The instant (aware, UTC) of a text. Raises RecoveryTargetInvalid, whose hint is what to write instead.

    Refused are times without a zone, abbreviations of zones (CST names three), local times that a turn of the clocks
    made ambiguous or skipped, and anything that is no time.
    """
    if isinstance(value, datetime.datetime):  # YAML makes one of an unquoted time
        if value.tzinfo is None:
            raise _invalid(f"The time {value.isoformat()} has no time zone.", f"{_EXAMPLES} In YAML put it in quotes.")
        return value.astimezone(datetime.timezone.utc)
    if not isinstance(value, str):
        raise _invalid(f"A time is a text, and {value!r} is none.", _EXAMPLES)
    text = value.strip()
    local = _LOCAL.fullmatch(text)
    if local is not None:
        return _local_instant(local, text)
    try:
        return parse_time(text)
    except ValueError as error:
        raise _invalid(f"The time can't be meant as written: {error}.", _EXAMPLES) from error


def _local_instant(found: re.Match[str], text: str) -> datetime.datetime:
    zone = _zone(found["zone"], text)
    try:
        # Read as if it were in UTC, for Pythons read different forms, and then taken for what it is.
        moment = parse_time(f"{found['date']}T{_with_seconds(found['time'])}Z").replace(tzinfo=None)
        instants = [
            moment.replace(tzinfo=zone, fold=fold).astimezone(datetime.timezone.utc)
            for fold in (0, 1)  # PEP 495: before and after a turn of the clocks
        ]
    except (ValueError, OverflowError) as error:
        raise _invalid(f"{text!r} is no time: {error}.", _EXAMPLES) from error
    first, second = instants
    if first == second:
        return first
    shown = [one.astimezone(zone).isoformat() for one in instants]
    if first.astimezone(zone).replace(tzinfo=None) != moment:
        raise _invalid(
            f"{text!r} did not exist: the clocks were turned forward over it.",
            f"Write which instant you mean: {shown[1]} ({format_time(second)}) or {shown[0]} ({format_time(first)}).",
            instants=[format_time(second), format_time(first)],
        )
    raise _invalid(
        f"{text!r} happened twice: the clocks were turned back over it.",
        f"Write which one you mean: {shown[0]} ({format_time(first)}) or {shown[1]} ({format_time(second)}).",
        instants=[format_time(first), format_time(second)],
    )


def _zone(name: str, text: str) -> datetime.tzinfo:
    if name.upper() in _UTC_NAMES:
        return datetime.timezone.utc
    if "/" not in name:
        raise _invalid(
            f"{name!r} in {text!r} is an abbreviation, and such names stand for several zones.",
            "Name a place, such as Europe/Berlin, or write the offset: 2026-11-21T15:03:00+01:00.",
        )
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _invalid(
            f"The time zone {name!r} is not known on this host.",
            "Write the offset instead: 2026-11-21T15:03:00+01:00. Names are those of: timedatectl list-timezones",
        ) from error


def _with_seconds(time: str) -> str:
    return time if time.count(":") > 1 else f"{time}:00"


def _invalid(message: str, hint: str, **details: t.Any) -> RecoveryTargetInvalid:
    return RecoveryTargetInvalid(message, hint=hint, details=details)
