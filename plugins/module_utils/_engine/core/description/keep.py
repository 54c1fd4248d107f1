# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long backups are kept, as data. What that means for a given set of backups is decided by ``retention``."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..errors import KeepPolicyInvalid
from .duration import describe_duration, format_duration, parse_duration

#: Where nothing is said. Two: one of them may turn out to be bad on the day it is needed.
MINIMUM_VERIFIED = 2

_HINT = "Write for example keep: {within: 30d}, keep: {daily: 7, weekly: 4, monthly: 12} or keep: {forever: true}."
_PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
_PERIOD_WORDS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}


@dataclass(frozen=True)
class KeepPolicy:
    """Which backups of one series to keep: those that any of the rules names.

    *within* keeps all of that age or younger, *count* the newest so many, *hourly* .. *yearly* the newest one of each
    of the last so many such periods, *forever* all. Whatever the rules say, the newest *minimum_verified* backups that
    were proved to restore are kept.
    """

    within: datetime.timedelta | None = None
    count: int | None = None
    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None
    forever: bool = False
    minimum_verified: int = MINIMUM_VERIFIED

    def describe(self) -> str:
        """The policy in words: ``all of the last 30 days; one a month for 12 months; ...``."""
        if self.forever:
            return "all, for ever"
        words = []
        if self.within is not None:
            words.append(f"all of the last {describe_duration(self.within)}")
        if self.count is not None:
            words.append("the newest one" if self.count == 1 else f"the newest {self.count}")
        for period in _PERIODS:
            count = getattr(self, period)
            if count is not None:
                word = _PERIOD_WORDS[period]
                words.append(
                    f"one {'an' if word == 'hour' else 'a'} {word} for {count} {word}{'' if count == 1 else 's'}"
                )
        if self.minimum_verified == 1:
            words.append("the newest one that was proved to restore")
        elif self.minimum_verified:
            words.append(f"the newest {self.minimum_verified} that were proved to restore")
        return "; ".join(words)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, in the form that keep_policy_from() reads."""
        values: dict[str, t.Any] = {} if self.within is None else {"within": format_duration(self.within)}
        for name in ("count", *_PERIODS):
            if getattr(self, name) is not None:
                values[name] = getattr(self, name)
        if self.forever:
            values["forever"] = True
        values["minimum_verified"] = self.minimum_verified
        return values


def keep_policy_from(description: t.Mapping[str, t.Any]) -> KeepPolicy:
    """The policy of a description's ``keep``.

    Raises KeepPolicyInvalid when it would keep nothing, contradicts itself or has unknown keys or impossible counts,
    and DurationInvalid for ``within``.
    """
    known = ("within", "count", *_PERIODS, "forever", "minimum_verified")
    unknown = sorted(str(key) for key in set(description) - set(known))
    if unknown:
        raise KeepPolicyInvalid(f"unknown key {', '.join(unknown)}.", hint=f"Known keys: {', '.join(known)}.")
    counts = {
        name: _count(name, description[name]) for name in ("count", *_PERIODS) if description.get(name) is not None
    }
    within = description.get("within")
    forever = description.get("forever") is True
    if not counts and within is None and not forever:
        raise KeepPolicyInvalid("names nothing to keep, so every backup would be deleted.", hint=_HINT)
    if forever and (counts or within is not None):
        others = [*(["within"] if within is not None else []), *counts]
        raise KeepPolicyInvalid(f"forever contradicts {', '.join(others)}.", hint="Remove one or the other.")
    verified = description.get("minimum_verified")
    return KeepPolicy(
        within=None if within is None else parse_duration(within),
        forever=forever,
        minimum_verified=MINIMUM_VERIFIED if verified is None else _count("minimum_verified", verified, lowest=0),
        **counts,
    )


def _count(name: str, value: object, *, lowest: int = 1) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if not whole or isinstance(value, bool) or t.cast(float, value) < lowest:
        raise KeepPolicyInvalid(f"{name} must be a whole number of at least {lowest}.", hint=_HINT)
    return int(t.cast(float, value))
