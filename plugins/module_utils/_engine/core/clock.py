# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time as a parameter: the engine never asks the machine's clock behind its caller's back."""

from __future__ import annotations

import datetime
import re
import time
import typing as t

_RFC_3339 = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt ](?P<time>\d{2}:\d{2}:\d{2})"
    r"(?:\.(?P<fraction>\d+))?(?P<zone>[Zz]|[+-]\d{2}:\d{2})?",
    re.ASCII,
)


class Clock(t.Protocol):
    """What the engine may ask about time."""

    def now(self) -> datetime.datetime:
        """The wall clock, always aware and in UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never run backwards: for durations and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(tz=datetime.timezone.utc)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def format_time(moment: datetime.datetime) -> str:
    """RFC 3339 in UTC with a ``Z`` and microseconds where there are any: ``2026-11-21T02:00:00Z``."""
    return moment.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> datetime.datetime:
    """The inverse of :func:`format_time`; any RFC 3339 time with a zone is read, beyond microseconds it is cut.

    Raises ``ValueError`` for anything else, and for a time without a zone: it names a different instant on every host.
    """
    # Each Python's fromisoformat() reads other forms: 3.9 no Z and no ".5", 3.11 dates alone and weeks as well.
    found = _RFC_3339.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time: write 2026-11-21T02:00:00Z or 2026-11-21T03:00:00+01:00")
    if found["zone"] is None:
        raise ValueError(f"{text!r} has no time zone: write 2026-11-21T02:00:00Z or 2026-11-21T03:00:00+01:00")
    fraction = (found["fraction"] or "")[:6].ljust(6, "0")
    zone = "+00:00" if found["zone"] in "Zz" else found["zone"]
    try:
        moment = datetime.datetime.fromisoformat(f"{found['date']}T{found['time']}.{fraction}{zone}")
        return moment.astimezone(datetime.timezone.utc)
    except OverflowError as error:
        raise ValueError(f"{text!r} is outside of the years 1 to 9999 in UTC") from error
