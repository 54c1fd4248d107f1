# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which stream source knows which kind of stream: one static table, beside ``operations/kinds.py``.

To add one: a function from StreamContext to the room's StreamSource in a file beside this one, and its line here.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ...streams.source import StreamSource
from .context import StreamContext, StreamSourceFactory


@dataclass(frozen=True)
class StreamKind:
    """How the segments of one kind come into the spool.

    *filled_by_server*: the database server itself writes into the spool, as a user of its own. Then the folder is made
    when the host is set up, with that user's rights, and never by shipping.
    """

    factory: StreamSourceFactory
    filled_by_server: bool = False


# Each is imported when it is asked for: whoever ships one stream loads no other database.


def _mongodb_oplog(context: StreamContext) -> StreamSource:
    from .mongodb import oplog

    return oplog(context)


def _postgresql_wal(context: StreamContext) -> StreamSource:
    from .postgresql import wal

    return wal(context)


def _redis_aof_log(context: StreamContext) -> StreamSource:
    from .redis import aof_log

    return aof_log(context)


STREAM_KINDS: t.Mapping[tuple[str, str], StreamKind] = {
    ("mongodb", "oplog"): StreamKind(factory=_mongodb_oplog),
    ("postgresql", "wal"): StreamKind(factory=_postgresql_wal, filled_by_server=True),
    ("redis", "aof-log"): StreamKind(factory=_redis_aof_log),
}
