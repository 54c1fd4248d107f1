# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures of a real oplog into a real spool, and what became of them.

Shipping is played by :meth:`Streaming.ship`: it takes what lies in the spool in order of commitment, describes it,
keeps its bytes, and removes it, as the operation does after every repository has it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_marks import mark_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_options import (
    oplog_options_from_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slice import (
    OplogSlice,
    slice_from_facts,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_source import OplogSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.timestamps import (
    Position,
    position_of,
    timestamp_of,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import Segment, StreamEvent
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.source import Capture
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import Spool
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
SERIES = Series(service="shop", source="main", kind="oplog")


@dataclass
class Shipped:
    """A slice that "all repositories" have."""

    facts: OplogSlice
    data: bytes
    stored: StoredSegment


@dataclass
class Streaming:
    """A source in a folder of the test."""

    uri: str
    folder: Path
    options: dict[str, t.Any] = field(default_factory=dict)
    shipped: list[Shipped] = field(default_factory=list)
    events: list[StreamEvent] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    budget: int = 1 << 30

    @property
    def spool(self) -> Spool:
        path = self.folder / "spool"
        path.mkdir(parents=True, exist_ok=True)
        return Spool(path=str(path), budget=self.budget)

    @property
    def state(self) -> StateDirectory:
        return StateDirectory(path=str(self.folder / "state"))

    def source(self) -> OplogSource:
        """A new one each time, as each run makes one."""
        connection = {"uri": self.uri, "server_selection_timeout": 5}
        return OplogSource(
            options=oplog_options_from_description({"idle_seconds": 0.001, **self.options, "connection": connection}),
            series=SERIES,
            host=Host(journal=self.journal),
            state=self.state,
            spool=self.spool,
        )

    def capture(self, *, knows: bool = True) -> Capture:
        """One run; without *knows* no repository can be read."""
        stored = self.stored() if knows else None
        found = self.source().capture(spool=self.spool, stored=stored, progress=Progress(clock=SystemClock()))
        self.events += found.events
        self.warnings += found.warnings
        return found

    def ship(self) -> None:
        """Take everything out of the spool."""
        source = self.source()
        for entry in sorted(self.spool.entries(), key=lambda one: source.order(one.name)):
            lineage, description = source.describe(entry)
            data = Path(entry.path).read_bytes()
            facts = slice_from_facts(description.facts)
            assert (facts.lineage, facts.name) == (lineage, description.name)
            payload = StoredPayload(
                name=f"{description.name}.{facts.sha256}",
                media=description.media,
                size=len(data),
                sha256=facts.sha256,
                plain_size=len(data),
                compression=None,
                encryption=None,
            )
            segment = Segment(
                description=description, payload=payload, plain_sha256=facts.sha256, stored=entry.modified
            )
            self.shipped.append(Shipped(facts, data, StoredSegment(segment=segment, copies={"it": segment})))
            self.spool.remove([entry.name])

    def run(self) -> Capture:
        """Capture and ship."""
        found = self.capture()
        self.ship()
        return found

    def lineages(self) -> list[str]:
        """In order of their first slice."""
        return list(dict.fromkeys(one.facts.lineage for one in self.shipped))

    def slices(self, lineage: str | None = None) -> list[OplogSlice]:
        """Those of one lineage (the only one), in order."""
        if lineage is None:
            (lineage,) = self.lineages()
        found = [one.facts for one in self.shipped if one.facts.lineage == lineage]
        return sorted(found, key=lambda one: (one.first.position, one.last.position))

    def stored(self) -> Stream | None:
        """What the operation gives to a capture: the lineage that a look names, else that which was recorded last."""
        lineage = self.source().inspect().lineage
        if lineage is None and self.shipped:
            lineage = self.shipped[-1].facts.lineage
        return None if lineage is None else self.stream(lineage)

    def stream(self, lineage: str) -> Stream:
        segments = tuple(one.stored for one in self.shipped if one.facts.lineage == lineage)
        return Stream(folder=StreamFolder(series=SERIES, lineage=lineage), segments=segments)

    def joined(self, lineage: str | None = None) -> list[bytes]:
        """The entries of a lineage, each once; fails where two neighbours don't share one."""
        by_name = {(one.facts.lineage, one.facts.name): one.data for one in self.shipped}
        found: list[bytes] = []
        for one in self.slices(lineage):
            inside = split(by_name[one.lineage, one.name])
            if found:
                assert inside[0] == found[-1], f"{one.name} does not go on where the slice before it ends"
                inside = inside[1:]
            found += inside
        return found

    def assert_whole(self, client: t.Any, lineage: str | None = None) -> None:
        """What was captured of a lineage is the server's own oplog between the first and the last entry."""
        mine = self.joined(lineage)
        theirs = oplog(client, mark_of(mine[0]).position, mark_of(mine[-1]).position)
        assert [mark_of(raw).position for raw in mine] == [mark_of(raw).position for raw in theirs]
        assert mine == theirs

    def captured_documents(self, namespace: str) -> list[t.Any]:
        """The _id of every document that was inserted into *namespace*, transactions included, in any lineage."""
        found: dict[t.Any, None] = {}
        for shipped in self.shipped:
            for raw in split(shipped.data):
                found.update(dict.fromkeys(_inserted(bson.decode(raw), namespace)))
        return list(found)


def _inserted(entry: t.Mapping[str, t.Any], namespace: str) -> t.Iterator[t.Any]:
    if entry["op"] == "i" and entry["ns"] == namespace:
        yield entry["o"]["_id"]
    elif entry["op"] == "c" and "applyOps" in entry["o"]:
        for operation in entry["o"]["applyOps"]:
            yield from _inserted(operation, namespace)


def split(data: bytes) -> list[bytes]:
    return [bytes(one.raw) for one in bson.decode_iter(data, codec_options=RAW)]


def oplog(client: t.Any, first: Position, last: Position) -> list[bytes]:
    """A server's own oplog from *first* to *last*."""
    window = {"ts": {"$gte": timestamp_of(first), "$lte": timestamp_of(last)}}
    entries = client.get_database("local", codec_options=RAW)["oplog.rs"].find(window).sort("$natural", 1)
    return [bytes(one.raw) for one in entries]


def first_position(client: t.Any) -> Position:
    """That of the oldest entry."""
    return position_of(client.local["oplog.rs"].find_one({}, {"ts": 1}, sort=[("$natural", 1)])["ts"])


def last_position(client: t.Any) -> Position:
    """That of the newest entry."""
    return position_of(client.local["oplog.rs"].find_one({}, {"ts": 1}, sort=[("$natural", -1)])["ts"])
