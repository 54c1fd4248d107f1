# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups and streams as values: what a catalog would say of a cluster that writes one segment each minute."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time, parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LifeboatError
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_names import (
    format_lsn,
    segment_name,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import (
    Segment,
    SegmentDescription,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream
from tests.support.manifests import manifest

SIZE = 16 * 1024 * 1024
LINEAGE = "7312345678901234567"
NOON = parse_time("2026-11-20T12:00:00Z")


def at(minutes: float) -> datetime.datetime:
    """So many minutes after noon."""
    return NOON + datetime.timedelta(minutes=minutes)


def lsn(number: int, offset: int = 0) -> str:
    """A position in the segment of that number."""
    return format_lsn(number * SIZE + offset)


def base(
    number: int,
    *,
    minutes: float | None = None,
    timeline: int = 1,
    state: str = "complete",
    lineage: str = LINEAGE,
    mark: str = "aaaaaa",
    kind: str = "base",
    **content: t.Any,
) -> Backup:
    """A base backup that lies in the segment *number* and ended when that was left."""
    finished = at(number if minutes is None else minutes)
    backup_id = f"{finished.strftime('%Y%m%dT%H%M%SZ')}-{mark}"
    return Backup(
        manifest=manifest(
            backup_id=backup_id,
            service="shop",
            source="main",
            engine="postgresql",
            kind=kind,
            finished=finished + datetime.timedelta(seconds=30),
            content={
                "system_identifier": lineage,
                "timeline": timeline,
                "start_lsn": lsn(number, 0x28),
                "end_lsn": lsn(number, 0x138),
                "wal": {"segment_size": SIZE},
                "tool": {"name": "pg_basebackup"},
                "finished": format_time(finished),
                **content,
            },
        ),
        repositories={"it": state},
    )


def segment(number: int, *, timeline: int = 1, minutes: float | None = None, **changes: t.Any) -> StoredSegment:
    """The segment that was left *minutes* after noon; its last commit was a second before."""
    ends = at(number if minutes is None else minutes)
    facts = {
        "timeline": timeline,
        "segment_size": SIZE,
        "last_commit": format_time(ends - datetime.timedelta(seconds=1)),
        **changes.pop("facts", {}),
    }
    name = segment_name(timeline=timeline, number=number, segment_size=SIZE)
    return stored(name, group=name[:16], ends=changes.pop("ends", ends), facts=facts, **changes)


def history(timeline: int, ancestors: t.Sequence[tuple[int, str]], *, minutes: float) -> StoredSegment:
    """The history file of a timeline that began then."""
    facts = {"timeline": timeline, "history": [list(one) for one in ancestors]}
    return stored(f"{timeline:08X}.history", group="history", ends=at(minutes), facts=facts)


def stored(
    name: str,
    *,
    group: str,
    ends: datetime.datetime | None,
    facts: t.Mapping[str, t.Any],
    sha256: str = "ab" * 32,
) -> StoredSegment:
    """A segment that one repository has."""
    found = Segment(
        description=SegmentDescription(name=name, group=group, media="WAL", begins=None, ends=ends, facts=facts),
        payload=StoredPayload(
            name=f"{name}.{sha256}.zst",
            media="WAL",
            size=1000,
            sha256=sha256,
            plain_size=SIZE,
            compression="zstd",
            encryption=None,
        ),
        plain_sha256=sha256,
        stored=ends or NOON,
    )
    return StoredSegment(segment=found, copies={"it": found})


def stream(*segments: StoredSegment, lineage: str = LINEAGE, problems: tuple[LifeboatError, ...] = ()) -> Stream:
    """All of one cluster."""
    folder = StreamFolder(series=Series(service="shop", source="main", kind="wal"), lineage=lineage)
    return Stream(folder=folder, segments=segments, problems=problems)


def segments(first: int, last: int, **options: t.Any) -> list[StoredSegment]:
    """Neighbours, both included."""
    return [segment(number, **options) for number in range(first, last + 1)]


def two_timelines() -> list[StoredSegment]:
    """Timeline 1 went on to segment 20; at minute 30 it was recovered to the middle of segment 12: timeline 2."""
    return [
        *segments(3, 20),
        history(2, [(1, lsn(12, 0x800000))], minutes=30),
        *(segment(number, timeline=2, minutes=number + 20) for number in range(12, 25)),
    ]


def failover() -> list[StoredSegment]:
    """A standby was promoted in the middle of segment 12, which the old primary never finished: timeline 2."""
    return [
        *segments(3, 11),
        history(2, [(1, lsn(12, 0x800000))], minutes=13),
        *(segment(number, timeline=2, minutes=number + 2) for number in range(12, 20)),
    ]
