# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records and indexes as values."""

from __future__ import annotations

import datetime
import hashlib
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder, object_name
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record import Record
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import (
    Segment,
    SegmentDescription,
    StreamEvent,
)

FOLDER = StreamFolder(series=Series(service="family", source="main", kind="wal"), lineage="7420000000000000001")
START = datetime.datetime(2026, 11, 21, 19, 0, 0, 123456, tzinfo=datetime.timezone.utc)


def segment(number: int = 1, *, content: str = "", **payload: t.Any) -> Segment:
    """One segment; *content* stands for its bytes."""
    name = f"{1:08X}{0:08X}{number:08X}"
    plain = hashlib.sha256(f"{name}{content}".encode()).hexdigest()
    moment = START + datetime.timedelta(seconds=number)
    given: dict[str, t.Any] = {
        "name": object_name(name, plain, ".zst"),
        "media": "WAL segment",
        "size": 1000 + number,
        "sha256": hashlib.sha256(plain.encode()).hexdigest(),
        "plain_size": 16777216,
        "compression": "zstd",
        "encryption": None,
        **payload,
    }
    return Segment(
        description=SegmentDescription(
            name=name,
            group=name[:16],
            media="WAL segment",
            begins=moment,
            ends=None if number % 5 == 0 else moment,
            facts={"start": f"0/{number:08X}", "é": [1, None, {"a": 1.5}]},
        ),
        payload=StoredPayload(**given),
        plain_sha256=plain,
        stored=moment,
    )


def record(*segments: Segment, made: datetime.datetime = START, events: t.Sequence[StreamEvent] = ()) -> Record:
    """A record of them."""
    return Record(
        record_id=new_backup_id(now=made),
        folder=FOLDER,
        engine="postgresql",
        made=made,
        host="db1",
        lifeboat_version="0.1.0",
        segments=segments or (segment(1), segment(2)),
        events=tuple(events),
    )


EVENT = StreamEvent(what="new-timeline", at=START, reason="It was promoted.", facts={"timeline": 2})
