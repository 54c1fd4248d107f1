# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of MongoDB, from a job's options."""

from __future__ import annotations

from ...mongodb.oplog_options import oplog_options_from_description
from ...mongodb.oplog_source import OplogSource
from .context import StreamContext


def oplog(context: StreamContext) -> OplogSource:
    """The oplog of a replica set. Raises RequestInvalid for options that can't be."""
    return OplogSource(
        options=oplog_options_from_description({**context.options, "connection": context.connection}),
        series=context.series,
        host=context.host,
        state=context.state,
        spool=context.spool,
    )
