# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema of ``removal-<id>.json`` (published as ``docs/schema/removal-1.schema.json``).

As for manifests, compatible additions are new optional properties, which an older reader passes over.
"""

from __future__ import annotations

import typing as t

from .manifest_schema import BACKUP_ID, SHA256, TIME

FORMAT = "lifeboat-removal"
FORMAT_VERSION = 1

REMOVAL_SCHEMA: dict[str, t.Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Lifeboat removal",
    "description": (
        "This copy of a backup is being removed by policy, or was. While it is there no list shows the folder as a "
        "backup."
    ),
    "type": "object",
    "required": [
        "format",
        "format_version",
        "id",
        "backup",
        "repository",
        "plan_hash",
        "reasons",
        "started",
        "host",
        "lifeboat_version",
        "checksum",
    ],
    "properties": {
        "format": {"const": FORMAT},
        "format_version": {"const": FORMAT_VERSION},
        "id": {**BACKUP_ID, "description": "Of the removal: begins with the time when it began."},
        "backup": {**BACKUP_ID, "description": "The backup whose copy goes."},
        "repository": {"type": "string", "description": "The name of the repository that it goes from."},
        "plan_hash": {"type": "string", "description": "Of the plan that was applied."},
        "reasons": {"type": "array", "items": {"type": "string"}, "description": "Why, in words."},
        "started": {**TIME, "description": "When the removal began (UTC)."},
        "host": {"type": "string", "description": "Where it ran."},
        "lifeboat_version": {"type": "string"},
        "checksum": {
            "type": "string",
            "pattern": f"^{SHA256}$",
            "description": "SHA-256 of the document without this property, as JSON with sorted keys, no spaces, UTF-8.",
        },
    },
}
