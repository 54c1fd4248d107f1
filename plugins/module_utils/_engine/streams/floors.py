# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The floor of a lineage: what was recorded before its hour counts no longer, whatever of it is still there.

Retention writes a floor before it removes the first segment, so that nobody reads an hour of which a part is gone, and
whoever comes after a death knows what was to go. The name alone says the hour. The document holds the segments that a
lineage needs as long as it lasts (the histories of PostgreSQL's timelines), whose own records go with their hours.
"""

from __future__ import annotations

import datetime
import json
import typing as t
from dataclasses import dataclass, field

from ..catalog.manifest import document_checksum
from ..catalog.manifest_fields import Fields
from ..core.clock import format_time
from ..core.errors import StorageNotFound
from ..storage.base import Storage
from .layout import StreamFolder, is_hour
from .record import Record, check_place, invalid, load_document, place_values, record_from
from .record_schema import FLOOR_FORMAT, FORMAT_VERSION, HOUR

_SUFFIX = ".json"
_ATTEMPTS = 3


@dataclass(frozen=True)
class Floor:
    """Hours before *hour* don't count, but for *records*.

    *ends* is how far the segments before it reached: for each track of positions the highest end (see
    ``recovery/stream_marks.py``). Who finishes a removal knows by it which later hours may name the same segments.
    """

    folder: StreamFolder
    engine: str
    hour: str
    made: datetime.datetime
    host: str
    lifeboat_version: str
    ends: t.Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    records: tuple[Record, ...] = ()

    def as_bytes(self) -> bytes:
        """The bytes of the object: indented, for people. Raises ``ValueError`` for facts that JSON can't say."""
        document: dict[str, t.Any] = {
            "format": FLOOR_FORMAT,
            "format_version": FORMAT_VERSION,
            **place_values(self.folder, engine=self.engine),
            "hour": self.hour,
            "made": format_time(self.made),
            "host": self.host,
            "lifeboat_version": self.lifeboat_version,
            "ends": [{"track": track, "position": list(end)} for track, end in sorted(self.ends.items())],
            "records": [record.entries() for record in self.records],
        }
        document["checksum"] = document_checksum(document)
        text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return (text + "\n").encode("utf-8")


def floor_hours(storage: Storage, folder: StreamFolder) -> tuple[str, ...]:
    """The hours of all floors, in order; the last one counts. Raises what the storage raises."""
    names = [found.key[len(folder.floors_prefix) :] for found in storage.list(folder.floors_prefix)]
    hours = [name[: -len(_SUFFIX)] for name in names if name.endswith(_SUFFIX)]
    return tuple(sorted(hour for hour in hours if is_hour(hour)))


def floor_hour(storage: Storage, folder: StreamFolder) -> str:
    """The first hour that counts; empty where nothing was ever removed. Raises what the storage raises."""
    return (floor_hours(storage, folder) or ("",))[-1]


def newest_floor(storage: Storage, folder: StreamFolder) -> Floor | None:
    """The floor that counts, read and checked; None where there is none. Raises as :func:`read_floor` does."""
    for attempt in range(_ATTEMPTS):
        hour = floor_hour(storage, folder)
        try:
            return read_floor(storage, folder, hour) if hour else None
        except StorageNotFound:
            if attempt == _ATTEMPTS - 1:
                raise  # one that is removed at that moment makes room for a newer one
    return None


def read_floor(storage: Storage, folder: StreamFolder, hour: str) -> Floor:
    """Read and check one. Raises StreamRecordInvalid, StreamRecordTooNew and what the storage raises."""
    key = folder.floor_key(hour)
    return parse_floor(storage.get(key), folder=folder, hour=hour, key=key)


def parse_floor(data: bytes, *, folder: StreamFolder, hour: str, key: str) -> Floor:
    """Read the floor at *key*; as strict as :func:`record.parse_record`, with the same errors."""
    try:
        document = load_document(data, of=FLOOR_FORMAT, key=key)
        if document_checksum(document) != document.get("checksum"):
            raise ValueError("its checksum differs: it was changed after it was written")
        engine = check_place(document, folder)
        fields = Fields(document, place="")
        if fields.text("hour", like=HOUR) != hour or not is_hour(hour):
            raise ValueError(f"it is about the hour {document['hour']}")
        return Floor(
            folder=folder,
            engine=engine,
            hour=hour,
            made=fields.time("made"),
            host=fields.text("host"),
            lifeboat_version=fields.text("lifeboat_version"),
            ends=dict(_end(value, f"ends[{number}]") for number, value in enumerate(fields.values("ends"))),
            records=tuple(
                record_from(value, folder=folder, engine=engine, place=f"records[{number}]", times={})
                for number, value in enumerate(fields.values("records"))
            ),
        )
    except (ValueError, RecursionError) as error:
        raise invalid(key, str(error)) from error


def _end(value: t.Any, place: str) -> tuple[int, tuple[int, ...]]:
    position = Fields(value, place=place).values("position")
    track = value.get("track")
    if not position or any(isinstance(one, bool) or not isinstance(one, int) for one in (track, *position)):
        raise ValueError(f"{place} is no track with a position")
    return track, tuple(position)
