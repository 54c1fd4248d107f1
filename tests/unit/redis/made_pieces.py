# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded pieces of append-only files, made by hand."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_piece import (
    Piece,
    PieceName,
    Server,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import (
    Segment,
    SegmentDescription,
    StreamEvent,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream
from tests.support.clocks import START

SERVER = Server(flavour="redis", version="7.0.15")
CHAIN = 1000


def base(increment: int = 1, *, holds: int = 100, size: int = 50, **facts: t.Any) -> Piece:
    """A whole base in one piece."""
    name = PieceName(CHAIN, increment, "b", 0, size)
    return Piece(name=name, file=f"base.{increment}", server=SERVER, size=size, created=holds, holds=holds, **facts)


def increment(
    number: int, offset: int, end: int, *, seconds: t.Sequence[int] = (), covered: int | None = None, **facts: t.Any
) -> Piece:
    """A piece with annotations of those *seconds*, all commands of which have one, and written by a server with times.

    *facts* replace what follows from that.
    """
    is_quiet = offset == end
    values: dict[str, t.Any] = {
        "opening": None if is_quiet else (seconds[0] if seconds else None),
        "first": seconds[0] if seconds else None,
        "last": seconds[-1] if seconds else None,
        "lowest": min(seconds, default=None),
        "highest": max(seconds, default=None),
        "closing": seconds[-1] if seconds else None,
        "covered": covered,
        "commands": 0 if is_quiet else max(len(seconds), 1),
        "untimed": 0,
        **facts,
    }
    name = PieceName(CHAIN, number, "i", offset, end, covered or 0 if is_quiet else 0)
    return Piece(name=name, file=f"incr.{number}", server=SERVER, **values)


def stored(piece: Piece, *, sha256: str = "a" * 64) -> StoredSegment:
    """As a record of the repository "local" names it."""
    name = str(piece.name)
    segment = Segment(
        description=SegmentDescription(name, piece.name.group, "piece", None, None, piece.as_facts()),
        payload=StoredPayload(f"{name}.{sha256}", "piece", 10, sha256, piece.name.end - piece.name.offset, None, None),
        plain_sha256=sha256,
        stored=START,
    )
    return StoredSegment(segment=segment, copies={"local": segment})


def stream(*pieces: Piece, lineage: str = "abc-1000", events: t.Sequence[StreamEvent] = ()) -> Stream:
    """A lineage of those pieces, as recorded."""
    folder = StreamFolder(series=Series(service="shop", source="main", kind="aof-log"), lineage=lineage)
    return Stream(folder=folder, segments=tuple(stored(piece) for piece in pieces), events=tuple(events))
