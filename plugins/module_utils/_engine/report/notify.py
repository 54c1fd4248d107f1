# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits to be told, what is open, and how the channels do, for people."""

from __future__ import annotations

import typing as t

from ..core.clock import format_time
from ..core.errors import LifeboatError
from ..notify.delivery import Sent
from ..notify.spool import Standing, Waiting
from ..notify.values import Incident
from .text import format_table


def sent_text(sent: Sent) -> str:
    """What became of a round."""
    if not sent.delivered and not sent.waiting:
        return "Nothing is to be told."
    return f"Told: {sent.delivered}. Waiting: {sent.waiting}."


def tests_text(errors: t.Mapping[str, LifeboatError | None]) -> str:
    """Which channels took a test."""
    rows = [[_shown(key), f"failed: {error.code}" if error else "told"] for key, error in errors.items()]
    return format_table(("CHANNEL", "TEST"), rows)


def pending_text(waiting: t.Sequence[Waiting], standings: t.Sequence[Standing]) -> str:
    """The channels, and what waits for them."""
    rows = [
        [
            _shown(one.key),
            f"down since {format_time(one.down_since)}" if one.down_since else "works" if one.last_success else "new",
            str(sum(one.key in each.deliveries for each in waiting)),
            str(one.given_up),
            str(one.error.get("message") or "-"),
        ]
        for one in standings
    ]
    parts = [format_table(("CHANNEL", "STATE", "WAITING", "GIVEN UP", "WHY"), rows, right=("WAITING", "GIVEN UP"))]
    parts += [f"waits: {one.notice.title} (to {', '.join(_shown(key) for key in one.deliveries)})" for one in waiting]
    return "\n".join(parts) if standings else "The description has no channels."


def incidents_text(incidents: t.Sequence[Incident]) -> str:
    """What is not well."""
    if not incidents:
        return "Nothing is open."
    return "\n".join(
        f"open: {one.job}: {one.topic} {one.cause} since {format_time(one.since)}, met {_times(one.count)}, "
        f"told {_times(one.told)}"
        for one in incidents
    )


def _shown(key: str) -> str:
    return key.replace(":", "/")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
