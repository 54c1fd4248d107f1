# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema of ``verification-<id>.json`` (published as ``docs/schema/verification-1.schema.json``).

As for manifests, compatible additions are new optional properties, which an older reader passes over.
"""

from __future__ import annotations

import typing as t

from .manifest_schema import BACKUP_ID, SHA256, TIME

FORMAT = "lifeboat-verification"
FORMAT_VERSION = 1
LOWEST_LEVEL, HIGHEST_LEVEL = 0, 4
STATES = ("passed", "failed")
CHECK_STATES = ("passed", "failed", "skipped")
#: Beyond thirty thousand years nothing was measured.
LONGEST_SECONDS = 1_000_000_000_000

_ERROR = {
    "oneOf": [
        {"type": "null"},
        {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "Stable; see docs/error-codes.md."},
                "message": {"type": "string"},
                "hint": {"type": "string", "description": "What to do next."},
                "details": {"type": "object"},
            },
        },
    ]
}
_REACHED = {"type": "integer", "minimum": -1, "maximum": HIGHEST_LEVEL}

VERIFICATION_SCHEMA: dict[str, t.Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Lifeboat verification",
    "description": "What came of proving one backup once. Never changed; a later verification writes another document.",
    "type": "object",
    "required": [
        "format",
        "format_version",
        "id",
        "backup",
        "manifest_checksum",
        "state",
        "level",
        "reached",
        "repository",
        "copies",
        "checks",
        "error",
        "started",
        "finished",
        "host",
        "user",
        "lifeboat_version",
        "versions",
        "stages",
        "recovery_seconds",
        "plain_bytes",
        "warnings",
        "checksum",
    ],
    "properties": {
        "format": {"const": FORMAT},
        "format_version": {"const": FORMAT_VERSION},
        "id": {**BACKUP_ID, "description": "Of the verification: begins with the time when it began."},
        "backup": {**BACKUP_ID, "description": "The backup that was verified."},
        "manifest_checksum": {
            "type": "string",
            "description": "The checksum in the manifest that was read: about another manifest this says nothing.",
        },
        "state": {
            "enum": list(STATES),
            "description": "passed: the level that was asked for was reached, and no copy that was looked at is bad.",
        },
        "level": {
            "type": "integer",
            "minimum": LOWEST_LEVEL,
            "maximum": HIGHEST_LEVEL,
            "description": "What was asked for: 0 present, 1 intact, 2 readable, 3 restored, 4 questioned.",
        },
        "reached": {**_REACHED, "description": "The highest level that was passed; -1 when not even present."},
        "repository": {"type": "string", "description": "The copy that levels 2 to 4 read."},
        "copies": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["reached", "error"],
                "properties": {"reached": _REACHED, "error": _ERROR},
            },
            "description": "Every copy that was looked at, by its repository.",
        },
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["level", "name", "state", "message"],
                "properties": {
                    "level": {"type": "integer", "minimum": LOWEST_LEVEL, "maximum": HIGHEST_LEVEL},
                    "name": {"type": "string", "description": "Of a question: the name that it was given."},
                    "state": {"enum": list(CHECK_STATES)},
                    "message": {"type": "string"},
                    "expected": {"description": "What would have been right; null when nothing was expected."},
                    "found": {"description": "What was found; of a question, its answer."},
                },
            },
            "description": "Everything that was looked at from level 2 on, in order.",
        },
        "error": {**_ERROR, "description": "What ended it; null when the level was reached."},
        "started": {**TIME, "description": "When it began (UTC)."},
        "finished": {**TIME, "description": "When it ended (UTC)."},
        "host": {"type": "string", "description": "Where it ran."},
        "user": {"type": "string", "description": "Who ran it: the operating system's user."},
        "lifeboat_version": {"type": "string"},
        "versions": {"type": "object", "description": "The restored instance in the engine's own words."},
        "stages": {
            "type": "object",
            "additionalProperties": {"type": "number", "minimum": 0},
            "description": "Seconds spent in each stage.",
        },
        "recovery_seconds": {
            "oneOf": [
                {"type": "null"},
                {"type": "number", "minimum": 0, "exclusiveMaximum": LONGEST_SECONDS},
            ],
            "description": "From the first byte that was fetched to a server that answers; null below level 3.",
        },
        "plain_bytes": {
            "oneOf": [{"type": "null"}, {"type": "integer", "minimum": 0}],
            "description": "The size that the time belongs to.",
        },
        "warnings": {"type": "array", "items": {"type": "string"}},
        "checksum": {
            "type": "string",
            "pattern": f"^{SHA256}$",
            "description": "SHA-256 of the document without this property, as JSON with sorted keys, no spaces, UTF-8.",
        },
    },
}
