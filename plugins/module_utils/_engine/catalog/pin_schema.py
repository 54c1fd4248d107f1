# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema of ``pin-<id>.json`` (published as ``docs/schema/pin-1.schema.json``).

As for manifests, compatible additions are new optional properties, which an older reader passes over.
"""

from __future__ import annotations

import typing as t

from .manifest_schema import BACKUP_ID, SHA256, TIME

FORMAT = "lifeboat-pin"
FORMAT_VERSION = 1

PIN_SCHEMA: dict[str, t.Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Lifeboat pin",
    "description": "Somebody's word that a backup stays, whatever the policy says. Never changed; taken away whole.",
    "type": "object",
    "required": [
        "format",
        "format_version",
        "id",
        "backup",
        "reason",
        "by",
        "host",
        "made",
        "until",
        "hold",
        "checksum",
    ],
    "properties": {
        "format": {"const": FORMAT},
        "format_version": {"const": FORMAT_VERSION},
        "id": {**BACKUP_ID, "description": "Of the pin: begins with the time when it was made."},
        "backup": {**BACKUP_ID, "description": "The backup that stays."},
        "reason": {"type": "string", "description": "Why, for those who come after."},
        "by": {"type": "string", "description": "Who said so: the operating system's user."},
        "host": {"type": "string", "description": "Where it was said."},
        "made": {**TIME, "description": "When (UTC)."},
        "until": {
            "oneOf": [{"type": "null"}, TIME],
            "description": "When it ends by itself (UTC); null when somebody must take it away.",
        },
        "hold": {"type": "boolean", "description": "A legal hold: ends only when somebody takes it away by its id."},
        "checksum": {
            "type": "string",
            "pattern": f"^{SHA256}$",
            "description": "SHA-256 of the document without this property, as JSON with sorted keys, no spaces, UTF-8.",
        },
    },
}
