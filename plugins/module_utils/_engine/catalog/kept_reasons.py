# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why objects that were to be deleted are still there, in words."""

from __future__ import annotations

import datetime

from ..core.clock import format_time
from ..storage.base import DeleteReport


def kept_reasons(report: DeleteReport) -> dict[str, str]:
    """Every key that was not deleted, with the reason."""
    return {**report.refused, **{key: locked_words(until) for key, until in report.deferred.items()}}


def locked_words(until: datetime.datetime | None) -> str:
    """What a lock until then means; None: a hold, or a date that nobody knows."""
    return f"locked until {format_time(until)}" if until else "under a legal hold, or locked until nobody knows when"
