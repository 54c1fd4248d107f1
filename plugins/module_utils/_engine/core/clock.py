# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time as a parameter: the engine never asks the machine's clock behind its caller's back."""

from __future__ import annotations

import datetime
import time
import typing as t


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
    """The inverse of :func:`format_time`; any RFC 3339 time with a zone is read.

    Raises ``ValueError`` for a time without a zone: it names a different instant on every host.
    """
    # Python 3.9 and 3.10 don't read the Z.
    moment = datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: write 2026-11-21T02:00:00Z or 2026-11-21T03:00:00+01:00")
    return moment.astimezone(datetime.timezone.utc)
