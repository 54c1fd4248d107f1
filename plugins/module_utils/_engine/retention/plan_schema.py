# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema of a retention plan (published as ``docs/schema/retention-plan-1.schema.json``).

As for manifests, compatible additions are new optional properties, which an older reader passes over.
"""

from __future__ import annotations

import typing as t

from ..catalog.manifest_schema import BACKUP_ID, SHA256, TIME
from ..catalog.standing import ORDER
from .values import KEPT, REMOVED

FORMAT = "lifeboat-retention-plan"
FORMAT_VERSION = 1

_NAME = {"type": "string", "pattern": r"^[a-z0-9][a-z0-9._-]{0,62}$"}
_COUNT = {"type": "integer", "minimum": 0}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_TEXT = {"type": "string"}
_HASH = {"type": "string", "pattern": f"^{SHA256}$"}
_HOUR = {"type": "string", "pattern": "^[0-9]{10}$"}
_SERIES: dict[str, t.Any] = {"service": _NAME, "source": _NAME, "kind": _NAME}
_MONEY = {"type": "string", "pattern": r"^[0-9]+\.[0-9]{2,}$"}
_SUMMARY = (
    "kept",
    "kept_bytes",
    "removed",
    "removed_bytes",
    "held_back",
    "removed_hours",
    "removed_segments",
    "removed_stream_bytes",
)


def _or_null(schema: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {"oneOf": [{"type": "null"}, dict(schema)]}


def _record(properties: t.Mapping[str, t.Any], *, optional: t.Collection[str] = ()) -> dict[str, t.Any]:
    return {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": dict(properties),
    }


def _list(properties: t.Mapping[str, t.Any], description: str, *, optional: t.Collection[str] = ()) -> dict[str, t.Any]:
    return {"type": "array", "items": _record(properties, optional=optional), "description": description}


_REFUSAL: dict[str, t.Any] = {
    "code": {"type": "string", "description": "Stable; see docs/error-codes.md."},
    "message": {"type": "string"},
    "hint": {"type": "string", "description": "What to do next."},
    "override": {"type": "string", "description": "What --allow takes to remove all the same."},
    "series": _or_null({"type": "string", "description": "service/source/kind; null: it is about everything."}),
}
_WINDOW: dict[str, t.Any] = {
    "stream": {"type": "string", "description": "service/source/kind"},
    "lineage": {"type": "string"},
    "base": {"type": "string", "description": "The backup, or the hour of the stream, that recoveries begin from."},
    "begins": TIME,
    "ends": TIME,
}
_CLASS_COSTS: dict[str, t.Any] = {
    "storage_class": {"type": "string", "description": "Empty: the storage doesn't say."},
    "backups": _COUNT,
    "bytes": _COUNT,
    "saved_per_month": _or_null(_MONEY),
    "minimum_days": {**_COUNT, "description": "The class bills at least so many days."},
    "early": {**_COUNT, "description": "How many backups and hours of streams are younger than that."},
    "still_billed_days": {**_COUNT, "description": "For how many days at most those are billed all the same."},
    "still_billed": _or_null(_MONEY),
}

PLAN_SCHEMA: dict[str, t.Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Lifeboat retention plan",
    "description": "What is to be removed from one repository and why; applied only while its hash is the same.",
    **_record(
        {
            "format": {"const": FORMAT},
            "format_version": {"const": FORMAT_VERSION},
            "repository": _NAME,
            "planned": {**TIME, "description": "The plan's time (UTC): what came later stays and counts for nothing."},
            "hash": {**_HASH, "description": "Over what is to go, the overrides, the time and the state."},
            "state": {**_HASH, "description": "Over what the repository held at the plan's time."},
            "allow": {**_TEXTS, "description": "The overrides that the plan was made with."},
            "summary": _record(dict.fromkeys(_SUMMARY, _COUNT)),
            "policies": _list(
                {
                    **_SERIES,
                    "jobs": _TEXTS,
                    "keep": {"type": "array", "items": {"type": "object"}},
                    "timezone": {"type": "string"},
                    "stream": {"type": "boolean"},
                },
                "What the plan was made from: the keep of each job, in the form of the description.",
            ),
            "backups": _list(
                {
                    **_SERIES,
                    "id": BACKUP_ID,
                    "state": {"enum": list(ORDER)},
                    "started": TIME,
                    "stored_bytes": _COUNT,
                    "parent": _or_null(BACKUP_ID),
                    "locked_until": _or_null(TIME),
                    "verdict": {"enum": [KEPT, REMOVED]},
                    "held_back": {"type": "boolean", "description": "It stays for a refusal alone."},
                    "reasons": {**_TEXTS, "minItems": 1},
                    "vendor": {
                        **_record({"tool": _TEXT, "storage": _TEXT, "name": _TEXT, "bytes": _COUNT}),
                        "description": "Whose data lies with a vendor's tool, which removes it with the last copy.",
                    },
                },
                "Every backup, by series, oldest first.",
                optional=("vendor",),
            ),
            "streams": _list(
                {
                    **_SERIES,
                    "lineage": _NAME,
                    "keep_from": _or_null({**_HOUR, "description": "What was recorded before this hour goes (UTC)."}),
                    "removed_hours": _COUNT,
                    "removed_segments": _COUNT,
                    "removed_bytes": _COUNT,
                    "held_back": {"type": "boolean"},
                    "reasons": {**_TEXTS, "minItems": 1},
                },
                "Every lineage of a stream.",
            ),
            "windows": _record(
                {
                    "before": _list(_WINDOW, "What can be recovered to any moment now, for each base."),
                    "after": _list(_WINDOW, "The same when the plan was applied."),
                }
            ),
            "refusals": _list(_REFUSAL, "What stops something; it is among the backups as held back."),
            "overridden": _list(_REFUSAL, "What was allowed to go all the same."),
            "unfinished_removals": {**_TEXTS, "description": "Prefixes of what an earlier run began to remove."},
            "costs": {
                **_record(
                    {
                        "currency": {"type": "string"},
                        "saved_per_month": _or_null(_MONEY),
                        "still_billed": _or_null(_MONEY),
                        "unpriced_bytes": _COUNT,
                        "classes": _list(_CLASS_COSTS, "By storage class."),
                    }
                ),
                "description": "What removing saves, by a table of prices; only where one was given.",
            },
            "checksum": {
                **_HASH,
                "description": "SHA-256 of the document without this property: JSON, sorted keys, no spaces, UTF-8.",
            },
        },
        optional=("costs",),
    ),
}
