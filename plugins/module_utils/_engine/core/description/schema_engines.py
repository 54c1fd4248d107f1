# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of what depends on the engine: how to reach it, and the options of each kind of backup.

The rooms of the engines read these keys; tests/unit/description/test_rooms.py keeps the two in step.
"""

from __future__ import annotations

from .kinds import KINDS
from .schema_parts import Schema, duration, free, number, record, seconds, secret, switch, text, text_or_texts, texts

_TLS_CA = "A file with the certificates of the authority that signed the server's."

#: Keys of a connection by engine.
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
        "paths": texts(
            "Absolute paths of files and folders, perhaps with * and **: what is missing is an error.", at_least=1
        ),
        "optional_paths": texts("The same of what may be missing: then it is a warning."),
        "exclude": texts(
            "What to leave out: a name (*.pyc), the end of a path (conf.d/*.bak), a whole path (/etc/ssl/private)."
        ),
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
    "walg": record(
        {
            "program": text("WAL-G, by its name on PATH or its absolute path.", default="wal-g"),
            "config": text("The JSON file with WAL-G's settings that archive_command uses, too: an absolute path."),
            "environment": free("Settings of WAL-G beside the file, NAME: value. No secrets."),
            "environment_file": text(
                "A file with lines NAME=value for settings that are secret; keep it at mode 0600."
            ),
            "max_steps": number("How many deltas may build on a full backup.", highest=1000, default=6),
            "max_age": duration("When a full backup is too old for another delta; 7d without it."),
            "full_after_timeline_change": switch(
                "Make the first backup after a recovery or promotion a full one.", default=True
            ),
            "archive_wait": number(
                "Seconds that WAL may take to arrive in WAL-G's storage.", highest=86400, default=300
            ),
        },
        "What tool: walg needs to know: one of config, environment and environment_file must name a storage.",
    ),
}
_PATTERNS = "Patterns as pg_dump takes them."
_REDIS_OPTIONS: dict[str, Schema] = {
    "timeout": seconds("How long the server is waited for.", highest=7 * 86400, default=3600),
    "allow_cluster_node": switch("Take one node of a cluster, which holds some of the slots only.", default=False),
    "record_digest": switch(
        "Note the server's digest of all data where nobody changes it meanwhile; it serves nobody while it reckons.",
        default=False,
    ),
}
_SPOOL_OPTIONS: dict[str, Schema] = {
    "spool_directory": text("An absolute path on the source's host where segments wait until they are stored."),
    "spool_budget_mib": number(
        "How much may wait there, in MiB; then the source keeps its own copy and waits.", lowest=64, default=8192
    ),
    "required_copies": number(
        "In how many repositories a segment must be before it leaves the spool; all of them without it.",
        lowest=1,
        highest=100,
    ),
    "alarm_age": duration("How long a segment may wait in the spool before it is an alarm; 5m without it."),
}
_READ_PREFERENCE = text(
    "Which member is read.", choices=("secondaryPreferred", "secondary", "primary"), default="secondaryPreferred"
)
_MAX_LAG = seconds("How far a secondary may be behind to be read.", highest=86400, default=60)
_OPLOG_OPTIONS: dict[str, Schema] = {
    "read_preference": _READ_PREFERENCE,
    "max_lag_seconds": _MAX_LAG,
    "capture_seconds": seconds("How long who follows the oplog waits between two captures.", highest=3600, default=10),
    "idle_seconds": seconds("How often a slice is stored while nobody writes.", highest=3600, default=60),
    "slice_mib": number("A slice ends at this many MiB.", lowest=1, highest=1024, default=64),
    "slice_entries": number("A slice ends at this many entries.", lowest=1, highest=100000000, default=1000000),
    "oplog_hours_wanted": {
        "description": "A warning comes when the oplog will lose what is to be captured next in fewer hours than this.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 8784,
        "default": 24,
    },
    "keep_oplog_hours": {
        "description": "Have the servers keep at least so many hours (storage.oplogMinRetentionHours); what was set "
        "before is put back when this is taken out. Needs the role hostManager.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 8784,
    },
}
_AOF_LOG_OPTIONS: dict[str, Schema] = {
    "allow_cluster_node": _REDIS_OPTIONS["allow_cluster_node"],
    "turn_on_timestamps": switch(
        "Run CONFIG SET aof-timestamp-enabled yes where it is no: without times in the file no second can be reached.",
        default=False,
    ),
    "capture_seconds": seconds("How long who follows the file waits between two captures.", highest=3600, default=10),
}
_FILES_OPTIONS: dict[str, Schema] = {
    "system_snapshot": switch(
        "Also record kernel, packages, running services, network, disks, cron and firewall.", default=False
    ),
    "git_bundle": switch("Also store each git repository among the paths as a bundle."),
    "tree": switch("Store the files as they lie in the folder (with git_bundle)."),
}

_APP_OPTIONS: dict[str, Schema] = {
    "system_snapshot": _FILES_OPTIONS["system_snapshot"],
    "git_bundle": switch(
        "true refuses to go without a git repository, false stores none; each that is there without it."
    ),
    "tree": switch("Store the files as they lie in the folders, without caches and without .git.", default=True),
    "caches": texts("What is made anew, and left out of the tree: patterns instead of the usual ones (docs/app.md)."),
    "version_file": text("An absolute path below the paths: its first line is the version; without it git describe."),
}

_FILES_KINDS: dict[str, dict[str, Schema]] = {
    **dict.fromkeys(KINDS["files"], _FILES_OPTIONS),
    "config": {"system_snapshot": _FILES_OPTIONS["system_snapshot"]},
    "static": {
        "max_steps": number(
            "How many increments may follow a whole backup; 0 makes every backup whole.", highest=1000, default=30
        ),
        "max_age": duration("When a whole backup is too old for another increment; 30d without it."),
    },
    "app": _APP_OPTIONS,
    "system": {
        "include": texts("Only these sources (main) and jobs (main/full) of the service; all without it."),
        "exclude": texts("Not these sources and jobs."),
        "wait": duration("How long another run of a source is waited for; 1h without it."),
    },
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
            "read_preference": _READ_PREFERENCE,
            "max_lag_seconds": _MAX_LAG,
            "raise_history_window": switch(
                "Make the server's snapshot history longer for the run where it is too short.", default=False
            ),
            "expected_bytes_per_second": {
                "description": "The rate that plans reckon with.",
                "type": "number",
                "exclusiveMinimum": 0,
                "default": 50000000,
            },
            "record_hash": switch(
                "Note the server's hash of what nobody changes meanwhile; it lets nobody write while it hashes.",
                default=False,
            ),
        },
        # The same stream, kept by other jobs.
        "incremental": {**_OPLOG_OPTIONS, **_SPOOL_OPTIONS},
        "differential": {**_OPLOG_OPTIONS, **_SPOOL_OPTIONS},
        "oplog": {**_OPLOG_OPTIONS, **_SPOOL_OPTIONS},
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
        "wal": {
            "archive_timeout": duration("The longest time until a segment that is not full is stored."),
            **_SPOOL_OPTIONS,
            "pg_wal_budget_mib": number(
                "How much may wait in the server's pg_wal, in MiB, while the spool takes nothing; more is an alarm.",
                lowest=64,
                default=1024,
            ),
            "pg_wal_free_percent": number(
                "How much of the disk of pg_wal should be free; less is an alarm, with 0 none is.",
                highest=90,
                default=10,
            ),
        },
    },
    "redis": {
        "rdb": {
            "method": text(
                "bgsave copies the server's file, sync uses the wire; auto takes the file where the host has it.",
                choices=("auto", "bgsave", "sync"),
                default="auto",
            ),
            **_REDIS_OPTIONS,
        },
        "aof": _REDIS_OPTIONS,
        "aof-log": {**_AOF_LOG_OPTIONS, **_SPOOL_OPTIONS},
    },
    "files": _FILES_KINDS,
}
