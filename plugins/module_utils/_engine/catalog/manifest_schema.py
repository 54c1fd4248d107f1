# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema of ``manifest.json``, format version 1 (published as ``docs/schema/manifest-1.schema.json``).

A Python constant, because data files are not shipped to targets. Compatible additions are new optional properties,
which an older reader passes over: hosts of one repository need not be upgraded together. Anything else is a new format
version with a golden repository of the old one in the tests.
"""

from __future__ import annotations

import typing as t

FORMAT = "lifeboat-backup"
FORMAT_VERSION = 1

COMPRESSION = "zstd"
ENCRYPTION = "age"
LOWEST_LEVEL = 1
HIGHEST_LEVEL = 19
SHA256 = r"[0-9a-f]{64}"
PAYLOAD_NAME = r"[A-Za-z0-9_][A-Za-z0-9._=@+,-]{0,200}"

TIME = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$",
}
_NAME = {"type": "string", "pattern": r"^[a-z0-9][a-z0-9._-]{0,62}$"}
BACKUP_ID = {"type": "string", "pattern": r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$"}
_SHA256 = {"type": "string", "pattern": f"^{SHA256}$"}

MANIFEST_SCHEMA: dict[str, t.Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Lifeboat backup manifest",
    "description": "Written last: a backup exists if and only if its manifest exists.",
    "type": "object",
    "required": [
        "format",
        "format_version",
        "id",
        "service",
        "source",
        "engine",
        "kind",
        "started",
        "finished",
        "host",
        "lifeboat_version",
        "repositories",
        "compression",
        "encryption",
        "payloads",
        "facts",
        "content",
        "stages",
        "warnings",
        "checksum",
    ],
    "properties": {
        "format": {"const": FORMAT},
        "format_version": {"const": FORMAT_VERSION},
        "id": {**BACKUP_ID, "description": "Start time in UTC and 24 random bits."},
        "service": _NAME,
        "source": _NAME,
        "engine": {**_NAME, "description": "mongodb, postgresql, redis or files."},
        "kind": {**_NAME, "description": "full, logical, base, incremental, rdb, aof ..."},
        "parent": {
            "oneOf": [BACKUP_ID, {"type": "null"}],
            "description": "The backup that this one is an increment of; it can't be restored without it.",
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "started": {**TIME, "description": "When the run began (UTC)."},
        "finished": {**TIME, "description": "When the last payload was durable (UTC)."},
        "host": {"type": "string", "description": "The host that made the backup."},
        "lifeboat_version": {"type": "string"},
        "repositories": {
            "type": "array",
            "items": _NAME,
            "minItems": 1,
            "description": "The repositories that the job names, whether or not each of them got the backup.",
        },
        "compression": {
            "oneOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "required": ["method", "level"],
                    "properties": {
                        "method": {"const": COMPRESSION},
                        "level": {"type": "integer", "minimum": LOWEST_LEVEL, "maximum": HIGHEST_LEVEL},
                    },
                },
            ]
        },
        "encryption": {
            "oneOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "required": ["method", "recipients"],
                    "properties": {
                        "method": {"const": ENCRYPTION},
                        "recipients": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                    },
                },
            ]
        },
        "payloads": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "media", "size", "sha256", "plain_size", "compression", "encryption"],
                "properties": {
                    "name": {
                        "type": "string",
                        "pattern": f"^{PAYLOAD_NAME}$",
                        "description": "The object beside the manifest; never a path.",
                    },
                    "media": {"type": "string"},
                    "size": {"type": "integer", "minimum": 0, "description": "Stored bytes."},
                    "sha256": {**_SHA256, "description": "Of the stored bytes."},
                    "plain_size": {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
                    "compression": {"enum": [COMPRESSION, None]},
                    "encryption": {"enum": [ENCRYPTION, None]},
                },
            },
        },
        "facts": {"type": "object", "description": "The server as it was found, in the engine's own words."},
        "content": {"type": "object", "description": "What the backup holds, in the engine's own words."},
        "stages": {
            "type": "object",
            "additionalProperties": {"type": "number", "minimum": 0},
            "description": "Seconds spent in each stage.",
        },
        "warnings": {"type": "array", "items": {"type": "string"}},
        "checksum": {
            **_SHA256,
            "description": "SHA-256 of the manifest without this property, as JSON with sorted keys, no spaces, UTF-8.",
        },
    },
}
