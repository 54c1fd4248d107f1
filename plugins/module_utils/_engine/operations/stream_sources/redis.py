# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Append-only files of Redis and Valkey as a stream, from a job's options."""

from __future__ import annotations

from ...redis.aof_log_options import aof_log_options
from ...redis.aof_log_source import AofLogSource
from .context import StreamContext


def aof_log(context: StreamContext) -> AofLogSource:
    """The source of one server's files. Raises RequestInvalid for options that can't be."""
    return AofLogSource(
        options=aof_log_options(context.connection, context.options), spool=context.spool, host=context.host
    )
