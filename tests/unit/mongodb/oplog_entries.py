# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Oplog entries as a server writes them, and slices of a chain, for tests without one."""

from __future__ import annotations

import datetime
import typing as t

import bson

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_chain import Chain
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_marks import mark_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slice import (
    Beginning,
    OplogSlice,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slicer import (
    Limits,
    ReadFrom,
    Slicer,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.timestamps import Position
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import (
    Segment,
    SegmentDescription,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream

SET_ID = "65a1b2c3d4e5f6a7b8c9d0e1"
LINEAGE = "rs0-65a1b2c3d4e5-1000.1"
SERIES = Series(service="shop", source="main", kind="oplog")
SERVER = ReadFrom(member="127.0.0.1:27017", version="6.0.5")


def entry(position: Position, *, op: str = "n", ns: str = "", o: t.Any = None, term: int = 1, **more: t.Any) -> bytes:
    return bson.encode(
        {
            **{key: value for key, value in more.items() if key in ("lsid", "txnNumber")},
            "op": op,
            "ns": ns,
            "o": {"msg": "periodic noop"} if o is None else o,
            "ts": bson.Timestamp(*position),
            "t": bson.Int64(term),
            "v": bson.Int64(2),
            "wall": datetime.datetime.fromtimestamp(position[0], tz=datetime.timezone.utc),
            **{key: value for key, value in more.items() if key not in ("lsid", "txnNumber")},
        }
    )


def insert(position: Position, number: int = 1, **more: t.Any) -> bytes:
    return entry(position, op="i", ns="shop.orders", o={"_id": number}, **more)


def part(
    position: Position, *, of: int, last: bool = False, before: Position = (0, 0), term: int = 1, **flags: t.Any
) -> bytes:
    """An entry of the transaction *of*: not the last one unless *last*."""
    operations = [{"op": "i", "ns": "shop.orders", "o": {"_id": position[1]}}]
    body: dict[str, t.Any] = {"applyOps": operations, **({} if last else flags or {"partialTxn": True})}
    return entry(position, op="c", ns="admin.$cmd", o=body, term=term, **_of(of, before))


def end(position: Position, *, of: int, before: Position, command: str = "commitTransaction", term: int = 1) -> bytes:
    return entry(position, op="c", ns="admin.$cmd", o={command: 1}, term=term, **_of(of, before))


def _of(number: int, before: Position) -> dict[str, t.Any]:
    return {
        "lsid": {"id": bson.Binary(b"s" * 16, 4)},
        "txnNumber": bson.Int64(number),
        "prevOpTime": {"ts": bson.Timestamp(*before), "t": bson.Int64(1)},
    }


def new_chain(*, reads_from: Position, bases_from: Position | None = None) -> Chain:
    return Chain(
        lineage=LINEAGE,
        replica_set="rs0",
        replica_set_id=SET_ID,
        feature_compatibility="6.0",
        bases_from=bases_from or reads_from,
        reads_from=reads_from,
        beginning=Beginning(cause="first", reason="Nothing older was ever captured."),
    )


class Slices:
    """What a slicer puts, and its bytes."""

    def __init__(self, folder: str, *, chain: Chain, entries: int = 1000, size: int = 1 << 30) -> None:
        self.made: list[OplogSlice] = []
        self.bytes: list[bytes] = []
        self.slicer = Slicer(
            chain=chain, limits=Limits(entries=entries, size=size), read_from=SERVER, folder=folder, put=self._put
        )

    def _put(self, one: OplogSlice, file: t.BinaryIO) -> None:
        self.made.append(one)
        self.bytes.append(file.read())


def sliced(
    folder: str, entries: t.Sequence[bytes], *, cut: int = 1000, chain: Chain | None = None
) -> tuple[list[OplogSlice], list[bytes]]:
    """The slices of these entries, *cut* of them in each, and their bytes."""
    chain = chain or new_chain(reads_from=mark_of(entries[0]).position)
    slices = Slices(folder, chain=chain, entries=cut)
    for raw in entries:
        assert slices.slicer.take(raw) is None
    slices.slicer.finish(until_idle=None)
    slices.slicer.close()
    return slices.made, slices.bytes


def segment(one: OplogSlice) -> Segment:
    payload = StoredPayload(
        name=f"{one.name}.{one.sha256}.zst",
        media="oplog slice",
        size=one.size,
        sha256=one.sha256,
        plain_size=one.size,
        compression="zstd",
        encryption=None,
    )
    begins, ends = (
        datetime.datetime.fromtimestamp(mark.position[0], tz=datetime.timezone.utc) for mark in (one.first, one.last)
    )
    description = SegmentDescription(
        name=one.name, group="20261121", media="oplog slice", begins=begins, ends=ends, facts=one.as_facts()
    )
    return Segment(description=description, payload=payload, plain_sha256=one.sha256, stored=ends)


def stream(slices: t.Sequence[OplogSlice], *, lineage: str = LINEAGE) -> Stream:
    stored = [StoredSegment(segment=segment(one), copies={"it": segment(one)}) for one in slices]
    return Stream(folder=StreamFolder(series=SERIES, lineage=lineage), segments=tuple(stored))
