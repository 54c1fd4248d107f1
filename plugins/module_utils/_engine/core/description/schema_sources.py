# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of sources: backups, standbys, verification."""

from __future__ import annotations

from .kinds import KINDS, SET_KIND
from .schema_engines import CONNECTIONS, OPTIONS
from .schema_failover import FENCING, SERVICE_CONTROL, spare
from .schema_parts import Schema, cron, duration, free, listing, name, number, record, text, texts
from .schema_repositories import BACKUP_COMMON
from .schema_standby import standby_member, standby_server

_COLLECTION: dict[str, Schema] = {
    "database": text("The database."),
    "collection": text("The collection."),
}

QUESTION: Schema = record(
    {
        "name": name("What the answer is called in reports."),
        "description": text("What it means, for people."),
        "ask": listing(
            text("When.", choices=("verification", "recovery")),
            "When it is asked: at each verification, after each recovery; both where it is not given.",
            at_least=1,
            unique=True,
        ),
        "database": text("The database that an sql question is asked in."),
        "sql": text("PostgreSQL: a SELECT that returns one number."),
        "count": record(
            {**_COLLECTION, "filter": free("The documents to count; all without it.")},
            "MongoDB: how many documents match.",
            required=("collection",),
        ),
        "find": record(
            {**_COLLECTION, "filter": free("What to look for.")},
            "MongoDB: how many documents match, 0 or 1.",
            required=("collection",),
        ),
        "aggregate": record(
            {
                **_COLLECTION,
                "pipeline": listing(free("A stage."), "The stages; the result is one document with the field value."),
            },
            "MongoDB: the value that a pipeline computes.",
            required=("collection", "pipeline"),
        ),
        "redis": texts("Redis: a command that returns one number, word by word: [DBSIZE].", at_least=1),
        "min": {"description": "The answer must be this or more.", "type": "number"},
        "max": {"description": "The answer must be this or less.", "type": "number"},
        "equals": {"description": "The answer must be this.", "type": ["number", "string", "boolean"]},
        "within_percent_of": record(
            {
                "reference": text("What to compare with.", choices=("noted", "previous", "primary")),
                "percent": {"description": "The greatest difference.", "type": "number", "minimum": 0},
            },
            "How far the answer may be from that noted at backup time, the previous backup's or the primary's.",
            required=("reference", "percent"),
        ),
        "within_count_of": record(
            {
                "reference": text("What to compare with.", choices=("noted", "previous", "primary")),
                "count": number("The greatest difference."),
            },
            "The same as a number.",
            required=("reference", "count"),
        ),
    },
    "A question to the restored data and the right answer; without min, max, equals or within_* it is only reported.",
    required=("name",),
    one_of=("sql", "count", "find", "aggregate", "redis"),
)

VERIFY: Schema = record(
    {
        "level": number("0 present .. 4 questioned; see docs/description.md.", highest=4),
        "schedule": cron("When the newest backups are verified."),
        "timezone": {"$ref": "#/$defs/settings/properties/timezone"},
        "options": free("Options of the verification, such as where to find the server's program."),
        "newest": number("How many of the newest backups of each kind.", lowest=1, default=1),
        "require_collections": texts("Collections that a restored MongoDB must have."),
        "require_tables": texts("Tables that a restored PostgreSQL must have."),
        "require_paths": texts("Absolute paths that a backup of files must have."),
        "questions": listing({"$ref": "#/$defs/question"}, "Questions to the restored data (level 4)."),
    },
    "How backups of the source are proved.",
    required=("level",),
)


def _backup(engine: str) -> Schema:
    kinds = KINDS[engine]
    schema = record(
        {
            "kind": text("The kind of backup.", choices=kinds),
            "options": {"description": "Options of the kind.", "type": "object"},
            **BACKUP_COMMON,
        },
        f"One kind of {engine} backup: when, where to and for how long.",
        required=("kind", "repositories"),
    )
    schema["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"properties": {"options": record(OPTIONS[engine][kind], f"Options of {engine} {kind}.")}},
        }
        for kind in kinds
    ]
    return schema


def _standby(engine: str) -> Schema:
    return record(
        {
            "name": name("What it is called."),
            "region": name("The region (from regions) that it is in."),
            "connection": {"$ref": f"#/$defs/connection_{engine}"},
            "inventory_host": text("The host of the inventory that it runs on, where that has another name."),
            **(standby_server(SERVICE_CONTROL) if engine == "postgresql" else {}),
            **(standby_member(SERVICE_CONTROL) if engine == "mongodb" else {}),
            "max_lag": duration("How far it may be behind, and how much may be lost with it."),
            "description": text("A note for people."),
        },
        "A copy of the source that follows it and can take its place.",
        required=("name", "connection"),
    )


#: Everything that depends on the engine, for the schema's $defs.
ENGINE_DEFINITIONS: dict[str, Schema] = {
    **{f"connection_{engine}": record(keys, f"How to reach {engine}.") for engine, keys in CONNECTIONS.items()},
    **{f"backup_{engine}": _backup(engine) for engine in KINDS},
    **{f"standby_{engine}": _standby(engine) for engine in KINDS},
    **{f"spare_{engine}": spare(engine) for engine in KINDS},
}
ENGINE_DEFINITIONS["connection_files"]["required"] = ["paths"]

#: A source of nothing but sets consists of other sources and is reached by no connection.
_ONLY_SETS: Schema = {
    "properties": {
        "engine": {"const": "files"},
        "backups": {"items": {"properties": {"kind": {"const": SET_KIND}}, "required": ["kind"]}},
    },
    "required": ["engine", "backups"],
}

SOURCE: Schema = {
    **record(
        {
            "name": name("Unique within the service."),
            "description": text("What it holds, for people."),
            "engine": text("What it is.", choices=tuple(KINDS)),
            "connection": {
                "description": "How to reach it; the keys depend on the engine. Only a source of sets has none.",
                "type": "object",
            },
            "classes": listing(name("A class."), "The service's classes whose data it holds."),
            "objectives": {"$ref": "#/$defs/objectives"},
            "service_control": SERVICE_CONTROL,
            "redeploy": texts(
                "Files: a command, word by word and without a shell, that is run after a restore in place: "
                "[systemctl, restart, app].",
                at_least=1,
            ),
            "fencing": FENCING,
            "standbys": listing({"type": "object"}, "Copies of it that follow."),
            "spares": listing({"type": "object"}, "Where it is restored to when its region is lost."),
            "region_loss": text(
                "What a failover to another region does with it: move it, or leave it, for the service runs without "
                "it or it is in no region.",
                choices=("move", "leave"),
                default="move",
            ),
            "backups": listing({"type": "object"}, "What is backed up, when, where to and for how long."),
            "verify": VERIFY,
        },
        "One database server or set of files.",
        required=("name", "engine", "backups"),
    ),
    "allOf": [
        {"if": _ONLY_SETS, "else": {"required": ["connection"]}},
        *(
            {
                "if": {"properties": {"engine": {"const": engine}}, "required": ["engine"]},
                "then": {
                    "properties": {
                        "connection": {"$ref": f"#/$defs/connection_{engine}"},
                        "backups": {"items": {"$ref": f"#/$defs/backup_{engine}"}},
                        "standbys": {"items": {"$ref": f"#/$defs/standby_{engine}"}},
                        "spares": {"items": {"$ref": f"#/$defs/spare_{engine}"}},
                    }
                },
            }
            for engine in KINDS
        ),
    ],
}
