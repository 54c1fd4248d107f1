# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record: what makes stored bytes a part of the stream. Written after the segments that it names, never changed.

Hosts that read records need no schema library; a test compares :func:`parse_record` with :mod:`record_schema` on
mutated records.
"""

from __future__ import annotations

import datetime
import json
import re
import typing as t
from dataclasses import dataclass

from ..catalog.layout import Series
from ..catalog.manifest import document_checksum
from ..catalog.manifest_fields import Fields, shortened
from ..catalog.manifest_schema import COMPRESSION, ENCRYPTION, SHA256
from ..core.clock import format_time, parse_time
from ..core.errors import StreamRecordInvalid, StreamRecordTooNew
from ..pipeline.producer import StoredPayload
from .layout import StreamFolder
from .record_schema import FORMAT_VERSION, OBJECT_NAME, RECORD_FORMAT, SEGMENT_NAME
from .segment import Segment, SegmentDescription, StreamEvent

_LONGEST_SHOWN = 80
_IS_SEGMENT_NAME = re.compile(SEGMENT_NAME, re.ASCII).fullmatch
_IS_OBJECT_NAME = re.compile(OBJECT_NAME, re.ASCII).fullmatch
_IS_SHA256 = re.compile(SHA256, re.ASCII).fullmatch
_AS_WRITTEN = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{6}))?Z"
).fullmatch
_IS_ANYTHING = re.compile(r"(?s:.*)").fullmatch

_Match = t.Callable[[str], t.Optional["re.Match[str]"]]


@dataclass(frozen=True)
class Record:
    """One record: segments of one lineage in order of commitment, and what happened to the stream."""

    record_id: str
    folder: StreamFolder
    engine: str
    made: datetime.datetime
    host: str
    lifeboat_version: str
    segments: tuple[Segment, ...] = ()
    events: tuple[StreamEvent, ...] = ()

    def entries(self) -> dict[str, t.Any]:
        """As JSON values, without what all records of a lineage have in common: the form in an index."""
        return {
            "id": self.record_id,
            "made": format_time(self.made),
            "host": self.host,
            "lifeboat_version": self.lifeboat_version,
            "segments": [_segment_values(segment) for segment in self.segments],
            "events": [event_values(event) for event in self.events],
        }

    def as_dict(self) -> dict[str, t.Any]:
        """The document that is stored, checksum included."""
        document = {
            "format": RECORD_FORMAT,
            "format_version": FORMAT_VERSION,
            **place_values(self.folder, engine=self.engine),
            **self.entries(),
        }
        document["checksum"] = document_checksum(document)
        return document

    def as_bytes(self) -> bytes:
        """The bytes of the object: indented, for people. Raises ``ValueError`` for facts that JSON can't say."""
        text = json.dumps(self.as_dict(), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return (text + "\n").encode("utf-8")


def parse_record(data: bytes, *, folder: StreamFolder, key: str) -> Record:
    """Read the record at *key* of *folder* and check all that the schema says and later code relies on.

    Properties that are not known are passed over. Raises StreamRecordTooNew for a later format version and
    StreamRecordInvalid for anything else that does not fit: broken JSON, missing or ill-typed properties, a checksum
    that differs, a record of another stream, names that are paths. Whatever bytes come in, nothing else is raised.
    """
    try:
        document = load_document(data, of=RECORD_FORMAT, key=key)
        if document_checksum(document) != document.get("checksum"):
            raise ValueError("its checksum differs: it was changed after it was written")
        engine = check_place(document, folder)
        return record_from(document, folder=folder, engine=engine, place="", times={})
    except (ValueError, RecursionError) as error:
        raise invalid(key, str(error)) from error


class NamedObject(t.NamedTuple):
    """Of a segment where it lies: *group* and *object* are the end of its key; *size* is in bytes."""

    name: str
    group: str
    object: str
    size: int


def objects_named(record: t.Any, *, place: str) -> tuple[str, list[NamedObject]]:
    """The id of a record and the objects that its entries name: for who needs nothing else. Raises ``ValueError``."""
    fields = Fields(record, place=place)
    found: list[NamedObject] = []
    for number, value in enumerate(fields.values("segments")):
        where = f"{place}.segments[{number}]"
        if not isinstance(value, dict):
            raise ValueError(f"{where} is not an object")  # noqa: TRY004 as Fields does
        found.append(
            NamedObject(
                _text(value, "name", _IS_SEGMENT_NAME, where),
                _text(value, "group", _IS_SEGMENT_NAME, where),
                _text(value, "object", _IS_OBJECT_NAME, where),
                _count(value, "size", where),
            )
        )
    return fields.backup_id("id"), found


def load_document(data: bytes, *, of: str, key: str) -> dict[str, t.Any]:
    """The JSON object of the format *of*. Raises ``ValueError``, RecursionError and StreamRecordTooNew."""
    document = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    if not isinstance(document, dict) or document.get("format") != of:
        raise ValueError(f"it does not say format: {of}")
    version = document.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < FORMAT_VERSION:
        raise ValueError(f"format_version is {_shown(version)}")
    if version > FORMAT_VERSION:
        raise StreamRecordTooNew(
            f"{key} has the format version {shortened(str(version))}; this Lifeboat knows {FORMAT_VERSION}.",
            hint="Read it with the Lifeboat that wrote it, or a later one.",
            details={"key": key},
        )
    return document


def place_values(folder: StreamFolder, *, engine: str) -> dict[str, t.Any]:
    """Which stream it is, as JSON values."""
    series = folder.series
    return {
        "service": series.service,
        "source": series.source,
        "engine": engine,
        "kind": series.kind,
        "lineage": folder.lineage,
    }


def check_place(document: t.Mapping[str, t.Any], folder: StreamFolder) -> str:
    """The engine. Raises ``ValueError`` when the document is about another stream."""
    fields = Fields(document, place="")
    series = Series(service=fields.name("service"), source=fields.name("source"), kind=fields.name("kind"))
    lineage = fields.name("lineage")
    if series != folder.series or lineage != folder.lineage:
        raise ValueError(f"it is about {series.folder}{lineage} instead")
    return fields.name("engine")


def record_from(
    document: t.Any, *, folder: StreamFolder, engine: str, place: str, times: dict[str, datetime.datetime]
) -> Record:
    """The record of those entries. *times* are kept between calls: many are the same. Raises ``ValueError``."""
    fields = Fields(document, place=place)
    below = f"{place}." if place else ""
    segments = tuple(
        _segment(value, f"{below}segments[{number}]", times) for number, value in enumerate(fields.values("segments"))
    )
    return Record(
        record_id=fields.backup_id("id"),
        folder=folder,
        engine=engine,
        made=fields.time("made"),
        host=fields.text("host"),
        lifeboat_version=fields.text("lifeboat_version"),
        segments=segments,
        events=tuple(
            event_from(value, f"{below}events[{number}]") for number, value in enumerate(fields.values("events"))
        ),
    )


def invalid(key: str, problem: str) -> StreamRecordInvalid:
    """The error for a record or an index."""
    problem = shortened(problem)  # it may quote what somebody else wrote
    return StreamRecordInvalid(
        f"{key} can't be trusted: {problem}.",
        hint="Look at the copy in another repository of the job; the segments that it names may still be there.",
        details={"key": key},
    )


def event_values(event: StreamEvent) -> dict[str, t.Any]:
    """As JSON values."""
    return {"what": event.what, "at": format_time(event.at), "reason": event.reason, "facts": dict(event.facts)}


def event_from(value: t.Any, place: str) -> StreamEvent:
    """The inverse. Raises ``ValueError``."""
    fields = Fields(value, place=place)
    return StreamEvent(
        what=fields.name("what"), at=fields.time("at"), reason=fields.text("reason"), facts=fields.object("facts")
    )


def _segment_values(segment: Segment) -> dict[str, t.Any]:
    description, payload = segment.description, segment.payload
    return {
        "name": description.name,
        "group": description.group,
        "media": description.media,
        "begins": format_time(description.begins) if description.begins else None,
        "ends": format_time(description.ends) if description.ends else None,
        "facts": dict(description.facts),
        "object": payload.name,
        "size": payload.size,
        "sha256": payload.sha256,
        "plain_size": payload.plain_size,
        "plain_sha256": segment.plain_sha256,
        "compression": payload.compression,
        "encryption": payload.encryption,
        "stored": format_time(segment.stored),
    }


def _segment(value: t.Any, place: str, times: dict[str, datetime.datetime]) -> Segment:
    # Not by Fields: there may be a million of them.
    if not isinstance(value, dict):
        raise ValueError(f"{place} is not an object")  # noqa: TRY004 as Fields does
    name = _text(value, "name", _IS_SEGMENT_NAME, place)
    media = _text(value, "media", _IS_ANYTHING, place)
    plain_sha256 = _text(value, "plain_sha256", _IS_SHA256, place)
    stored_name = _text(value, "object", _IS_OBJECT_NAME, place)
    if not stored_name.startswith(f"{name}.{plain_sha256}"):
        raise _wrong(value, "object", place, "is not of that segment")
    stored = _time(value, "stored", place, times)
    facts = value.get("facts")
    if stored is None or not isinstance(facts, dict):
        raise _wrong(value, "stored" if stored is None else "facts", place, "is missing or of another type")
    return Segment(
        SegmentDescription(
            name,
            _text(value, "group", _IS_SEGMENT_NAME, place),
            media,
            _time(value, "begins", place, times),
            _time(value, "ends", place, times),
            facts,
        ),
        StoredPayload(
            stored_name,
            media,
            _count(value, "size", place),
            _text(value, "sha256", _IS_SHA256, place),
            _plain_size(value, place),
            _choice(value, "compression", COMPRESSION, place),
            _choice(value, "encryption", ENCRYPTION, place),
        ),
        plain_sha256,
        stored,
    )


def _text(value: dict[str, t.Any], key: str, match: _Match, place: str) -> str:
    found = value.get(key)
    if not isinstance(found, str) or match(found) is None:
        raise _wrong(value, key, place, "is not what it should be")
    return found


def _count(value: dict[str, t.Any], key: str, place: str) -> int:
    found = value.get(key)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise _wrong(value, key, place, "is no number of its range")
    return found


def _plain_size(value: dict[str, t.Any], place: str) -> int | None:
    if value.get("plain_size") is not None:
        return _count(value, "plain_size", place)
    _require_null(value, "plain_size", place, "is no number")
    return None


def _choice(value: dict[str, t.Any], key: str, choice: str, place: str) -> str | None:
    found = value.get(key)
    if found == choice:
        return choice
    _require_null(value, key, place, "is not known")
    return None


def _time(
    value: dict[str, t.Any], key: str, place: str, times: dict[str, datetime.datetime]
) -> datetime.datetime | None:
    text = value.get(key)
    if not isinstance(text, str):
        _require_null(value, key, place, "is no time in UTC")
        return None
    found = times.get(text)
    if found is None:
        if not text.endswith("Z"):
            raise _wrong(value, key, place, "is no time in UTC")
        found = times[text] = _parsed(text)
    return found


def _parsed(text: str) -> datetime.datetime:
    # As format_time() writes it; anything else takes the long way. A million segments have three million times.
    found = _AS_WRITTEN(text)
    if found is None:
        return parse_time(text)
    year, month, day, hour, minute, second, fraction = found.groups("0")
    return datetime.datetime(
        int(year), int(month), int(day), int(hour), int(minute), int(second), int(fraction), datetime.timezone.utc
    )


def _require_null(value: dict[str, t.Any], key: str, place: str, problem: str) -> None:
    if value.get(key) is not None or key not in value:
        raise _wrong(value, key, place, problem)


def _wrong(value: dict[str, t.Any], key: str, place: str, problem: str) -> ValueError:
    return ValueError(
        f"{place}.{key} {_shown(value.get(key))} {problem}" if key in value else f"{place}.{key} is missing"
    )


def _shown(value: t.Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."


def _refuse_constant(name: str) -> t.NoReturn:
    raise ValueError(f"it holds {name}, which is no number")
