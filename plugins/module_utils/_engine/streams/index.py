# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index of an hour that is over: all its records in one object, so that a year is few objects to read.

It is written once, from the records as they were read back, and stored as JSON with sorted keys and no spaces: so the
checksum of its bytes is that of the document, and a reader needs not write the document anew to compare it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import typing as t
from dataclasses import dataclass

from ..catalog.manifest import document_checksum
from ..catalog.manifest_fields import Fields
from ..core.clock import format_time
from .layout import StreamFolder, hour_of, is_hour
from .record import (
    NamedObject,
    Record,
    check_place,
    invalid,
    load_document,
    objects_named,
    place_values,
    record_from,
)
from .record_schema import FORMAT_VERSION, HOUR, INDEX_FORMAT

# The property "checksum" is the first in order of name.
_HEAD = re.compile(rb'\{"checksum":"([0-9a-f]{64})",')


@dataclass(frozen=True)
class Index:
    """The records of one hour of one lineage, in order of their making.

    *unindexed* are the hours before it whose records must be read one by one: they have no index, since one could
    not be read, or theirs lacks what came later.
    """

    folder: StreamFolder
    engine: str
    hour: str
    made: datetime.datetime
    records: tuple[Record, ...]
    unindexed: tuple[str, ...] = ()

    def as_bytes(self) -> bytes:
        """The bytes of the object. Raises ``ValueError`` for facts that JSON can't say."""
        document: dict[str, t.Any] = {
            "format": INDEX_FORMAT,
            "format_version": FORMAT_VERSION,
            **place_values(self.folder, engine=self.engine),
            "hour": self.hour,
            "made": format_time(self.made),
            "unindexed": list(self.unindexed),
            "records": [record.entries() for record in self.records],
        }
        document["checksum"] = document_checksum(document)
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")


def make_index(
    records: t.Sequence[Record], *, hour: str, made: datetime.datetime, unindexed: t.Sequence[str] = ()
) -> Index:
    """The index of an hour's records (at least one, all of one lineage). Raises ``ValueError`` when they are not."""
    if not records or {(record.folder, record.engine) for record in records} != {
        (records[0].folder, records[0].engine)
    }:
        raise ValueError("an index is made of the records of one lineage")
    if any(hour_of(record.made) != hour for record in records):
        raise ValueError(f"a record was not made in the hour {hour}")
    in_order = tuple(sorted(records, key=lambda record: (record.made, record.record_id)))
    return Index(
        folder=records[0].folder,
        engine=records[0].engine,
        hour=hour,
        made=made,
        records=in_order,
        unindexed=tuple(unindexed),
    )


def parse_index(data: bytes, *, folder: StreamFolder, hour: str, key: str) -> Index:
    """Read the index at *key*; as strict as :func:`record.parse_record`, with the same errors."""
    try:
        fields, engine = _checked(data, folder=folder, hour=hour, key=key)
        unindexed = fields.texts("unindexed")
        if not all(is_hour(one) for one in unindexed):
            raise ValueError("unindexed has what is no hour")
        times: dict[str, datetime.datetime] = {}
        return Index(
            folder=folder,
            engine=engine,
            hour=hour,
            made=fields.time("made"),
            records=tuple(
                record_from(value, folder=folder, engine=engine, place=f"records[{number}]", times=times)
                for number, value in enumerate(fields.values("records"))
            ),
            unindexed=unindexed,
        )
    except (ValueError, RecursionError) as error:
        raise invalid(key, str(error)) from error


def objects_in_index(data: bytes, *, folder: StreamFolder, hour: str, key: str) -> tuple[list[str], list[NamedObject]]:
    """The ids of an index's records and the objects that they name, in half of the time. Raises the same errors.

    Everything that is given is checked; what else the records say is not.
    """
    try:
        fields, _engine = _checked(data, folder=folder, hour=hour, key=key)
        ids: list[str] = []
        found: list[NamedObject] = []
        for number, value in enumerate(fields.values("records")):
            record_id, objects = objects_named(value, place=f"records[{number}]")
            ids.append(record_id)
            found += objects
        return ids, found
    except (ValueError, RecursionError) as error:
        raise invalid(key, str(error)) from error


def _checked(data: bytes, *, folder: StreamFolder, hour: str, key: str) -> tuple[Fields, str]:
    """The document's properties and the engine. Raises ``ValueError``, RecursionError and StreamRecordTooNew."""
    document = load_document(data, of=INDEX_FORMAT, key=key)
    if not _is_sealed(data) and document_checksum(document) != document.get("checksum"):
        raise ValueError("its checksum differs: it was changed after it was written")
    engine = check_place(document, folder)
    fields = Fields(document, place="")
    if fields.text("hour", like=HOUR) != hour:
        raise ValueError(f"it is about the hour {document['hour']}")
    return fields, engine


def _is_sealed(data: bytes) -> bool:
    """Whether the bytes are exactly as they were written. What could be half a character is left to the slow way."""
    found = _HEAD.match(data)
    if found is None or b"\\ud" in data or b"\\uD" in data:
        return False
    digest = hashlib.sha256(b"{")
    digest.update(memoryview(data)[found.end() :])
    return digest.hexdigest().encode("ascii") == found[1]
