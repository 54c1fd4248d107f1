# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what was measured in a failover is within what the description asks for. Pure."""

from __future__ import annotations

import typing as t

from ..core.description.duration import parse_duration


def met(seconds: t.Any, objective: t.Any) -> bool | None:
    """Whether *seconds* are no more than *objective*; None where one of them is not known."""
    if objective is None or seconds is None:
        return None
    return float(seconds) <= parse_duration(str(objective)).total_seconds()


def all_met(each: t.Iterable[bool | None]) -> bool | None:
    """False when one is not met, None when one is not known or there is none, else True."""
    found = list(each)
    return False if False in found else None if None in found or not found else True
