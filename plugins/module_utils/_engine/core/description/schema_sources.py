# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of sources: connections and options by engine, backups, standbys, verification."""

from __future__ import annotations

from .kinds import KINDS
from .schema_parts import (
    Schema,
    cron,
    duration,
    free,
    listing,
    name,
    number,
    record,
    seconds,
    secret,
    switch,
    text,
    text_or_texts,
    texts,
)
from .schema_repositories import BACKUP_COMMON

_TLS_CA = "A file with the certificates of the authority that signed the server's."

CONNECTIONS: dict[str, dict[str, Schema]] = {
    "mongodb": {
        **secret("uri", "The connection string, mongodb:// or mongodb+srv://."),
        "tls_ca_file": text(f"{_TLS_CA} Turns TLS on."),
        "tls_certificate_key_file": text("A file with the client's certificate and key. Turns TLS on."),
        "server_selection_timeout": seconds("How long a server may take to show up.", highest=600),
    },
    "postgresql": {
        "host": text("The server's name, its address, or the folder of its socket (an absolute path)."),
        "port": number("The server's port.", lowest=1, highest=65535, default=5432),
        "user": text("The role to connect as."),
        **secret("password", "The role's password."),
        "passfile": text("A file as libpq reads it, with lines host:port:database:user:password."),
        "database": text("The database to connect to first."),
        "service": text("A section of the host's pg_service.conf that holds the parameters."),
        "sslmode": text(
            "How TLS is used.", choices=("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
        ),
        "sslrootcert": text(_TLS_CA),
        "sslcert": text("A file with the client's certificate."),
        "sslkey": text("A file with the client's key."),
        "connect_timeout": number("Seconds until a connection must be made.", lowest=1, highest=3600, default=10),
        "bin_directory": text("The folder of the client programs, where it is not the distribution's."),
    },
    "redis": {
        "host": text("The server's name or address.", default="127.0.0.1"),
        "port": number("The server's port.", lowest=1, highest=65535, default=6379),
        "unix_socket": text("The path of the server's socket, instead of host and port."),
        "username": text("The user of the server's access list."),
        **secret("password", "The user's password."),
        "tls": switch("Connect with TLS.", default=False),
        "tls_ca_file": text(_TLS_CA),
        "tls_certificate_file": text("A file with the client's certificate."),
        "tls_key_file": text("A file with the client's key."),
        "timeout": seconds("How long each single answer may take.", highest=3600),
    },
    "files": {
        "paths": texts("Absolute paths of files and folders.", at_least=1),
        "exclude": texts("Patterns of what to leave out."),
    },
}

_BASE_OPTIONS: dict[str, Schema] = {
    "tool": text("What makes the base backup.", choices=("pg_basebackup", "walg"), default="pg_basebackup"),
    "checkpoint": text("fast starts at once, spread adds no load.", choices=("fast", "spread"), default="fast"),
    "max_rate": text("The greatest rate, 32k to 1024M a second; no limit without it."),
    "require_archiving": switch("Refuse a server whose WAL is not archived.", default=False),
    "hold_wal": text(
        "Keep the backup's WAL on the server by a temporary replication slot: auto takes one if one is free.",
        choices=("auto", "slot", "none"),
        default="auto",
    ),
    "keep_manifest": switch("Keep the backup's manifest on the host, for increments; from PostgreSQL 17 on by itself."),
    "manifest_history": number("How many such manifests stay on the host.", lowest=1, highest=10000, default=10),
}
_PATTERNS = "Patterns as pg_dump takes them."
_FILES_OPTIONS: dict[str, Schema] = {
    "system_snapshot": switch("Also record kernel, packages, running services, network and disks."),
    "git_bundle": switch("Also store each git repository among the paths as a bundle."),
    "tree": switch("Store the files as they lie in the folder (with git_bundle)."),
}

#: Options of a backup by engine and kind.
OPTIONS: dict[str, dict[str, dict[str, Schema]]] = {
    "mongodb": {
        "full": {
            "tool": text("What reads the data.", choices=("native", "mongodump"), default="native"),
            "tool_directory": text("The folder of mongodump, where it is not on the path."),
            "database": text("Only this database."),
            "collections": record(
                {"include": texts("Only these. Shell patterns."), "exclude": texts("Not these. Shell patterns.")},
                "Which collections.",
            ),
            "consistency": text(
                "How the dump becomes one point in time; auto takes snapshot where the server can, else oplog.",
                choices=("auto", "snapshot", "oplog", "none"),
                default="auto",
            ),
            "parallel": number("How many cursors read at a time.", lowest=1, highest=64, default=4),
            "users_and_roles": switch("Whether users and roles are part of it.", default=True),
            "read_preference": text(
                "Which member is read.",
                choices=("secondaryPreferred", "secondary", "primary"),
                default="secondaryPreferred",
            ),
            "max_lag_seconds": seconds("How far a secondary may be behind to be read.", highest=86400, default=60),
            "raise_history_window": switch(
                "Make the server's snapshot history longer for the run where it is too short.", default=False
            ),
            "expected_bytes_per_second": {
                "description": "The rate that plans reckon with.",
                "type": "number",
                "exclusiveMinimum": 0,
                "default": 50000000,
            },
        },
        "incremental": {"database": text("Only this database.")},
        "differential": {"database": text("Only this database.")},
        "oplog": {},
    },
    "postgresql": {
        "logical": {
            "databases": text_or_texts("Which databases; all stands for every one of the cluster, and is the default."),
            "format": text(
                "custom streams, directory dumps several tables at a time.", choices=("custom", "directory")
            ),
            "jobs": number("Tables at a time with format: directory.", lowest=1, highest=64, default=1),
            "scratch_directory": text("A folder with room for the uncompressed dump, for format: directory."),
            "globals": switch("Whether roles and tablespaces are part of it.", default=True),
            "row_counts": text("Whether each table's rows are counted.", choices=("exact", "none"), default="exact"),
            "lock_wait_timeout": number("Seconds to wait for a lock on a table.", lowest=1, highest=86400, default=300),
            "include_schemas": text_or_texts(f"Only these schemas. {_PATTERNS}"),
            "exclude_schemas": text_or_texts(f"Not these schemas. {_PATTERNS}"),
            "include_tables": text_or_texts(f"Only these tables. {_PATTERNS}"),
            "exclude_tables": text_or_texts(f"Not these tables. {_PATTERNS}"),
            "exclude_table_data": text_or_texts(f"These tables without their rows. {_PATTERNS}"),
        },
        "base": _BASE_OPTIONS,
        "incremental": _BASE_OPTIONS,
        "wal": {"archive_timeout": duration("The longest time until a segment that is not full is stored.")},
    },
    "redis": {
        "rdb": {
            "method": text(
                "bgsave copies the server's file, sync asks over the wire.", choices=("auto", "bgsave", "sync")
            )
        },
        "aof": {},
    },
    "files": dict.fromkeys(KINDS["files"], _FILES_OPTIONS),
}

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
        "newest": number("How many of the newest backups of each kind.", lowest=1, default=1),
        "require_collections": texts("Collections that a restored MongoDB must have."),
        "require_tables": texts("Tables that a restored PostgreSQL must have."),
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
            "max_lag": duration("How far it may be behind."),
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
}
ENGINE_DEFINITIONS["connection_files"]["required"] = ["paths"]

SOURCE: Schema = {
    **record(
        {
            "name": name("Unique within the service."),
            "description": text("What it holds, for people."),
            "engine": text("What it is.", choices=tuple(KINDS)),
            "connection": {"description": "How to reach it; the keys depend on the engine.", "type": "object"},
            "classes": listing(name("A class."), "The service's classes whose data it holds."),
            "objectives": {"$ref": "#/$defs/objectives"},
            "standbys": listing({"type": "object"}, "Copies of it that follow."),
            "backups": listing({"type": "object"}, "What is backed up, when, where to and for how long."),
            "verify": VERIFY,
        },
        "One database server or set of files.",
        required=("name", "engine", "connection", "backups"),
    ),
    "allOf": [
        {
            "if": {"properties": {"engine": {"const": engine}}, "required": ["engine"]},
            "then": {
                "properties": {
                    "connection": {"$ref": f"#/$defs/connection_{engine}"},
                    "backups": {"items": {"$ref": f"#/$defs/backup_{engine}"}},
                    "standbys": {"items": {"$ref": f"#/$defs/standby_{engine}"}},
                }
            },
        }
        for engine in KINDS
    ],
}
