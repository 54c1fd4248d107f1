# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restorers of Redis as it was in a second, from the options of a recovery."""

from __future__ import annotations

import typing as t

from ...recovery.restorer import RestorerContext, RestorerFactory
from ...redis.aof_log_restorer import AofLogRestorer
from ...redis.restore_options import restore_options_from


def aof_log(options: t.Mapping[str, t.Any]) -> RestorerFactory:
    """From archived append-only files; the context must have segments. Raises RequestInvalid for wrong options."""
    parsed = restore_options_from(options)

    def make(context: RestorerContext) -> AofLogRestorer:
        return AofLogRestorer(options=parsed, context=context)

    return make
