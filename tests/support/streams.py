# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small real stream for tests of shipping: numbered files that a "server" leaves in a folder."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import pathlib
import random
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    StreamSegmentRefused,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_values import MIB, ShipRequest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_sources.context import (
    StreamContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_sources.registry import (
    StreamKind,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import (
    StreamFolder,
    plain_sha256_in,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_records, read_streams
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import (
    Segment,
    SegmentDescription,
    StreamEvent,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.source import (
    Capture,
    SourceAlarm,
    StreamInspection,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import Spool, SpoolEntry
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream

SERIES = Series(service="shop", source="main", kind="oplog")
_NAME = re.compile(r"([a-z]+)-([0-9]{8})")


def name_of(number: int, *, lineage: str = "one") -> str:
    """The name of a segment."""
    return f"{lineage}-{number:08d}"


def content_of(number: int, *, size: int = 3000, lineage: str = "one") -> bytes:
    """Its bytes, the same every time; they compress to about half."""
    return random.Random(f"{lineage}{number}").randbytes(size // 2) + b"x" * (size - size // 2)


@dataclass
class Tape:
    """A StreamSource: files in *folder* are what the server has; capture() moves them into the spool."""

    folder: pathlib.Path
    engine: str = "mongodb"
    kind: str = SERIES.kind
    lineage: str | None = "one"
    problem: str = ""
    events: tuple[StreamEvent, ...] = ()
    failure: LifeboatError | None = None
    stored: list[Stream | None] = field(default_factory=list)
    capture_seconds: float = 0.1
    facts: dict[str, t.Any] = field(default_factory=dict)
    alarms: tuple[SourceAlarm, ...] = ()

    def inspect(self) -> StreamInspection:
        """See StreamSource."""
        return StreamInspection(
            lineage=self.lineage,
            facts={"tape": len(self._waiting()), **self.facts},
            alarms=self.alarms,
            reachable=not self.problem,
            problem=self.problem,
            capture_seconds=self.capture_seconds,
        )

    def capture(self, *, spool: Spool, stored: Stream | None, progress: Progress) -> Capture:
        """See StreamSource."""
        del progress
        self.stored.append(stored)
        if self.failure is not None:
            raise self.failure
        count = 0
        for path in self._waiting():
            data = path.read_bytes()
            spool.require_room(len(data))
            spool.put(path.name, lambda file, data=data: _write(file, data))  # type: ignore[misc]
            path.unlink()
            count += 1
        return Capture(files=count, events=self.events)

    def describe(self, entry: SpoolEntry) -> tuple[str, SegmentDescription]:
        """See StreamSource."""
        found = _NAME.fullmatch(entry.name)
        with open(entry.path, "rb") as file:
            is_bad = file.read(6) == b"refuse"
        if found is None or is_bad:
            raise StreamSegmentRefused(
                f"{entry.name} is not of this stream.",
                hint=f"ls -l {entry.path}",
                details={"lineage": found[1]} if found else {},
            )
        description = SegmentDescription(
            name=entry.name,
            group=found[2][:6],
            media="tape",
            begins=entry.modified,
            ends=entry.modified,
            facts={"number": int(found[2])},
        )
        return found[1], description

    def order(self, name: str) -> tuple[t.Any, ...]:
        """See StreamSource."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise StreamSegmentRefused(f"{name} is no name of this stream.", hint="Move it away.")
        return found[1], int(found[2])

    def follows(self, before: Segment, after: Segment) -> bool:
        """See StreamSource."""
        return bool(before.facts["number"] + 1 == after.facts["number"])

    def put(self, *numbers: int, size: int = 3000) -> None:
        """The server makes files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            (self.folder / name_of(number)).write_bytes(content_of(number, size=size))

    def _waiting(self) -> list[pathlib.Path]:
        return sorted(self.folder.glob("*-*")) if self.folder.is_dir() else []


def _write(file: t.BinaryIO, data: bytes) -> None:
    file.write(data)


def tape_kind(tape: Tape) -> StreamKind:
    """The kind whose source is that tape."""

    def make(context: StreamContext) -> Tape:
        del context
        return tape

    return StreamKind(make)


def ship_request(
    tape: Tape, repositories: t.Mapping[str, t.Mapping[str, t.Any]], *, state: str, spool: str, **changes: t.Any
) -> ShipRequest:
    """A request to ship *tape* to *repositories* (name to description)."""
    options: dict[str, t.Any] = {
        "spool_budget": 64 * MIB,
        "transforms": Transforms(compression=Compression(level=1, threads=1)),
        "alarm_age": datetime.timedelta(minutes=5),
        **changes,
    }
    return ShipRequest(
        series=SERIES,
        engine=tape.engine,
        kind=tape_kind(tape),
        repositories=tuple(RepositoryRequest(name=name, description=given) for name, given in repositories.items()),
        spool_directory=spool,
        state_directory=state,
        **options,
    )


def recorded(storage: Storage, *, lineage: str = "one") -> list[str]:
    """The names that records of the repository name, in order of recording; one that is named twice is there twice."""
    folder = StreamFolder(series=SERIES, lineage=lineage)
    found = read_records(storage, folder, now=_far_ahead())
    assert not found.problems, [str(problem) for problem in found.problems]
    return [segment.name for record in found.records for segment in record.segments]


def assert_true(storage: Storage, *, lineage: str = "one") -> None:
    """Every record is true: what it names is there, byte for byte, under a name with its plain hash."""
    folder = StreamFolder(series=SERIES, lineage=lineage)
    for record in read_records(storage, folder, now=_far_ahead()).records:
        for segment in record.segments:
            key = folder.segment_key(segment.description.group, segment.payload.name)
            data = b"".join(storage.read(key))
            assert (len(data), hashlib.sha256(data).hexdigest()) == (segment.payload.size, segment.payload.sha256), key
            assert plain_sha256_in(segment.payload.name, segment.name) == segment.plain_sha256
            plain = content_of(int(segment.facts["number"]), size=segment.payload.plain_size or 0, lineage=lineage)
            assert hashlib.sha256(plain).hexdigest() == segment.plain_sha256, key


def read_one(storages: t.Mapping[str, Storage]) -> Stream:
    """The only lineage."""
    (stream,) = read_streams(storages, SERIES)
    return stream


def in_spool(spool: str | os.PathLike[str]) -> list[str]:
    """What waits."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(name for name in os.listdir(spool) if not name.startswith("."))
    return []


def _far_ahead() -> datetime.datetime:
    # A test's clock may be ahead of the machine's; every folder is looked at this way.
    return parse_time("2100-01-01T00:00:00Z")
