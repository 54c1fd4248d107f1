# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schemas of records, indexes and floors, format version 1.

They are published as ``docs/schema/stream-*-1.schema.json``.

As in ``catalog/manifest_schema.py``: compatible additions are new optional properties, which an older reader passes
over; anything else is a new format version.
"""

from __future__ import annotations

import typing as t

from ..catalog.manifest_schema import BACKUP_ID, COMPRESSION, ENCRYPTION, SHA256, TIME

RECORD_FORMAT = "lifeboat-stream-record"
INDEX_FORMAT = "lifeboat-stream-index"
FLOOR_FORMAT = "lifeboat-stream-floor"
FORMAT_VERSION = 1

#: Room is left for the hash and the suffixes in the name of the stored object.
SEGMENT_NAME = r"[A-Za-z0-9_][A-Za-z0-9._=@+,-]{0,119}"
OBJECT_NAME = r"[A-Za-z0-9_][A-Za-z0-9._=@+,-]{0,200}"
HOUR = r"[0-9]{10}"

_NAME = {"type": "string", "pattern": r"^[a-z0-9][a-z0-9._-]{0,62}$"}
_SEGMENT_NAME = {"type": "string", "pattern": f"^{SEGMENT_NAME}$"}
_SHA256 = {"type": "string", "pattern": f"^{SHA256}$"}
_TIME_OR_NULL = {"oneOf": [TIME, {"type": "null"}]}

_SEGMENT: dict[str, t.Any] = {
    "type": "object",
    "required": [
        "name",
        "group",
        "media",
        "begins",
        "ends",
        "facts",
        "object",
        "size",
        "sha256",
        "plain_size",
        "plain_sha256",
        "compression",
        "encryption",
        "stored",
    ],
    "properties": {
        "name": {**_SEGMENT_NAME, "description": "Unique in the lineage; never a path."},
        "group": {**_SEGMENT_NAME, "description": "The folder below segments/."},
        "media": {"type": "string", "description": "What it is, for people."},
        "begins": {**_TIME_OR_NULL, "description": "The first write inside, by the source's clock."},
        "ends": {**_TIME_OR_NULL, "description": "The last write inside, by the source's clock."},
        "facts": {"type": "object", "description": "Positions and more, in the engine's own words."},
        "object": {
            "type": "string",
            "pattern": f"^{OBJECT_NAME}$",
            "description": "The stored object in the group's folder: name, a dot, plain_sha256, and suffixes.",
        },
        "size": {"type": "integer", "minimum": 0, "description": "Stored bytes."},
        "sha256": {**_SHA256, "description": "Of the stored bytes."},
        "plain_size": {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
        "plain_sha256": {**_SHA256, "description": "Of the bytes before compression and encryption."},
        "compression": {"enum": [COMPRESSION, None]},
        "encryption": {"enum": [ENCRYPTION, None]},
        "stored": {**TIME, "description": "When the repository had it (UTC)."},
    },
}
_EVENT: dict[str, t.Any] = {
    "type": "object",
    "required": ["what", "at", "reason", "facts"],
    "properties": {
        "what": {**_NAME, "description": "break, full-backup-needed, new-timeline, label"},
        "at": TIME,
        "reason": {"type": "string", "description": "A sentence for people."},
        "facts": {"type": "object"},
    },
}
_ENTRIES: dict[str, t.Any] = {
    "segments": {
        "type": "array",
        "items": _SEGMENT,
        "description": "In order of commitment; all before them in the lineage were stored here first.",
    },
    "events": {"type": "array", "items": _EVENT, "description": "What happened to the stream itself."},
}
_MAKING: dict[str, t.Any] = {
    "id": {**BACKUP_ID, "description": "The time in UTC and 24 random bits; also the object's name."},
    "made": {**TIME, "description": "When it was written (UTC)."},
    "host": {"type": "string", "description": "The host that wrote it."},
    "lifeboat_version": {"type": "string"},
}
_PLACE: dict[str, t.Any] = {
    "service": _NAME,
    "source": _NAME,
    "engine": _NAME,
    "kind": _NAME,
    "lineage": {**_NAME, "description": "One unbroken history of the source."},
}
_RECORD_ENTRIES: dict[str, t.Any] = {
    "type": "object",
    "required": [*_MAKING, *_ENTRIES],
    "properties": {**_MAKING, **_ENTRIES},
}
_CHECKSUM = {
    **_SHA256,
    "description": "SHA-256 of the document without this property, as JSON with sorted keys, no spaces, UTF-8.",
}

RECORD_SCHEMA: dict[str, t.Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Lifeboat stream record",
    "description": "Written after the segments that it names: a segment counts when a record names it.",
    "type": "object",
    "required": ["format", "format_version", *_MAKING, *_PLACE, *_ENTRIES, "checksum"],
    "properties": {
        "format": {"const": RECORD_FORMAT},
        "format_version": {"const": FORMAT_VERSION},
        **_MAKING,
        **_PLACE,
        **_ENTRIES,
        "checksum": _CHECKSUM,
    },
}

INDEX_SCHEMA: dict[str, t.Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Lifeboat stream index",
    "description": "All records of an hour that is over, so that a year can be listed by reading few objects.",
    "type": "object",
    "required": ["format", "format_version", *_PLACE, "hour", "made", "unindexed", "records", "checksum"],
    "properties": {
        "format": {"const": INDEX_FORMAT},
        "format_version": {"const": FORMAT_VERSION},
        **_PLACE,
        "hour": {"type": "string", "pattern": f"^{HOUR}$", "description": "In UTC: 2026112119."},
        "made": TIME,
        "unindexed": {
            "type": "array",
            "items": {"type": "string", "pattern": f"^{HOUR}$"},
            "description": "Hours before it whose records must be read one by one.",
        },
        "records": {
            "type": "array",
            "items": _RECORD_ENTRIES,
        },
        "checksum": _CHECKSUM,
    },
}

FLOOR_SCHEMA: dict[str, t.Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Lifeboat stream floor",
    "description": "What was recorded before its hour counts no longer: retention removes it, or has removed it.",
    "type": "object",
    "required": [
        "format",
        "format_version",
        *_PLACE,
        "hour",
        "made",
        "host",
        "lifeboat_version",
        "ends",
        "records",
        "checksum",
    ],
    "properties": {
        "format": {"const": FLOOR_FORMAT},
        "format_version": {"const": FORMAT_VERSION},
        **_PLACE,
        "hour": {"type": "string", "pattern": f"^{HOUR}$", "description": "The first that counts, in UTC."},
        "made": TIME,
        "host": {"type": "string", "description": "The host that wrote it."},
        "lifeboat_version": {"type": "string"},
        "ends": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["track", "position"],
                "properties": {
                    "track": {"type": "integer"},
                    "position": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
                },
            },
            "description": "How far the segments before it reached, in the engine's own positions.",
        },
        "records": {
            "type": "array",
            "items": _RECORD_ENTRIES,
            "description": "What stays of the records before it: segments that a lineage needs as long as it lasts.",
        },
        "checksum": _CHECKSUM,
    },
}
