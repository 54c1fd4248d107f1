# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client programs and the server say when the work itself fails."""

from __future__ import annotations

from ..core.errors import (
    PostgresChecksumFailed,
    PostgresConnectionLost,
    PostgresLockTimeout,
    PostgresNothingSelected,
    PostgresParentUnusable,
    PostgresPermissionDenied,
    PostgresPromotedMeanwhile,
    PostgresScratchTooSmall,
    PostgresSlotsExhausted,
    PostgresSnapshotLost,
    PostgresStandbyConflict,
    PostgresSummariesMissing,
    PostgresSummarizerOff,
    PostgresTablespaceUnsupported,
    PostgresWalRemoved,
    ToolTooOld,
)
from .message_rule import Rule, rule

WORKING: tuple[Rule, ...] = (
    rule(
        # pg_dump limits the wait for its locks by statement_timeout.
        r"canceling statement due to (?:statement|lock) timeout(?=.*LOCK TABLE (?P<table>[^;]+?) IN )",
        error=PostgresLockTimeout,
        message="The dump waited too long for a lock on {table}: somebody holds it exclusively.",
        hint="See who: SELECT * FROM pg_locks WHERE mode = 'AccessExclusiveLock';   or raise lock_wait_timeout.",
    ),
    rule(
        r"canceling statement due to lock timeout",
        error=PostgresLockTimeout,
        message="PostgreSQL at {server}: the wait for a lock took too long.",
        hint="See who waits for whom: SELECT * FROM pg_locks WHERE NOT granted;   or raise lock_wait_timeout.",
    ),
    rule(
        r"conflict with recovery",
        error=PostgresStandbyConflict,
        message="The standby {server} cancelled the dump: {line}",
        hint="Set hot_standby_feedback = on (or max_standby_streaming_delay = -1) on the standby, or dump the primary.",
    ),
    rule(
        r'affected by row-level security policy for table "(?P<table>[^"]*)"',
        error=PostgresPermissionDenied,
        message="The role {user} would see only a part of the table {table}: row-level security hides the rest.",
        hint='Run on the server: ALTER ROLE "{user}" BYPASSRLS;',
    ),
    rule(
        r"permission denied for (?P<what>[^\n]+)",
        error=PostgresPermissionDenied,
        message="The role {user} may not read {what} of PostgreSQL at {server}.",
        hint='Run on the server: GRANT pg_read_all_data TO "{user}";   (before version 14: GRANT SELECT on everything)',
    ),
    rule(
        r"invalid snapshot identifier",
        r'snapshot "[^"]*" does not exist',
        r"could not import the requested snapshot",
        error=PostgresSnapshotLost,
        message="The exported snapshot ended before the dump had joined it: {line}",
        hint="Look in the server's log for terminated connections, then start the backup again.",
    ),
    rule(
        r"no matching (?P<what>\w+) were found",
        error=PostgresNothingSelected,
        message="The selection matches no {what} of the database {database}.",
        hint="Check include_tables and include_schemas against: {psql} -c '\\dt *.*'",
    ),
    rule(
        r"server version mismatch",
        r"incompatible server version",
        error=ToolTooOld,
        message="The client program is older than PostgreSQL at {server}: {line}",
        hint="Install the programs of the server's major version, on Debian: apt-get install postgresql-client-NN",
    ),
    rule(
        # Said by pg_dump itself; what the server says begins with "query failed" or "Dumping the contents".
        r"pg_dump: error: could not [^\n]*: No space left on device",
        error=PostgresScratchTooSmall,
        message="The disk of scratch_directory is full: {line}",
        hint="Free space there, name another scratch_directory, or use format: custom, which needs none.",
    ),
    rule(
        r'checksum verification failed in file "(?P<path>[^"]*)", block (?P<block>\d+)',
        error=PostgresChecksumFailed,
        message="PostgreSQL at {server} has a damaged page: its checksum is wrong in file {path}, block {block}.",
        hint="Restore the relation from a good backup, and check the disk; the server's log names every damaged page.",
    ),
    rule(
        r"checksum error occurred",
        r"checksum verification failure during base backup",
        error=PostgresChecksumFailed,
        message="PostgreSQL at {server} found damaged pages during the base backup.",
        hint="Restore the relations from a good backup, and check the disk; the server's log names every damaged page.",
    ),
    rule(
        r"requested WAL segment (?P<segment>\w+) has already been removed",
        error=PostgresWalRemoved,
        message="PostgreSQL at {server} recycled the WAL segment {segment} before the base backup could copy it.",
        hint="Use hold_wal: auto (a temporary replication slot keeps the WAL), or raise wal_keep_size.",
    ),
    rule(
        r"all replication slots are in use",
        r"replication slots can only be used if",
        error=PostgresSlotsExhausted,
        message="PostgreSQL at {server} has no replication slot left to keep the WAL of the backup.",
        hint="Raise max_replication_slots (needs a restart), drop unused ones (SELECT * FROM pg_replication_slots), or "
        "use hold_wal: auto.",
    ),
    rule(
        r"can only write single tablespace to stdout, database has (?P<count>\d+)",
        error=PostgresTablespaceUnsupported,
        message="A tablespace was made at {server} when the backup was about to begin: it has {count} now.",
        hint="Start the backup again.",
    ),
    rule(
        r"cannot be taken unless WAL summarization is enabled",
        error=PostgresSummarizerOff,
        message="PostgreSQL at {server} has summarize_wal off, so it does not know which blocks changed.",
        hint="Run: ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf();   then make a full base backup.",
    ),
    rule(
        r"WAL summaries are required",
        r"WAL summarization is not progressing",
        error=PostgresSummariesMissing,
        message="PostgreSQL at {server} has no complete WAL summaries back to the parent backup: {line}",
        hint="Make a full base backup (kind: base); wal_summary_keep_time must be longer than full backups are apart.",
    ),
    rule(
        r"could not upload manifest",
        r"manifest checksum mismatch",
        r"could not parse backup manifest",
        r"manifest system identifier",
        r"found in manifest, but not in this server's history",
        r"manifest requires WAL from",
        error=PostgresParentUnusable,
        message="PostgreSQL at {server} does not accept the parent's manifest: {line}",
        hint="Make a full base backup (kind: base).",
    ),
    rule(
        r"standby was promoted during online backup",
        error=PostgresPromotedMeanwhile,
        message="The standby {server} was promoted while the base backup ran.",
        hint="Start the backup again; it will be on the new timeline.",
    ),
)

# Looked for last: a program that can't connect at all also says that the connection failed.
LOST: tuple[Rule, ...] = (
    rule(
        # pg_basebackup 15 says this before it has read why the server stopped, and then leaves the reason out.
        r"COPY stream ended before",
        # What psycopg2 makes of a connection that was closed in the middle of a COPY.
        r"status PGRES_COPY_OUT and no message",
        error=PostgresConnectionLost,
        message="PostgreSQL at {server} ended the base backup before it was complete.",
        hint='The reason is in the server\'s log. Is it "requested WAL segment ... has already been removed", then use '
        "hold_wal: auto or raise wal_keep_size.",
    ),
    rule(
        r"terminating connection due to",
        r"terminating walsender",
        r"server closed the connection unexpectedly",
        r"SSL SYSCALL error",
        r"connection to server was lost",
        r"could not receive data from",
        r"connection already closed",
        error=PostgresConnectionLost,
        message="PostgreSQL at {server} ended the connection before the work was done: {line}",
        hint="Look in the server's log for the reason (restart, crash, terminated, full disk), then try again.",
    ),
)
