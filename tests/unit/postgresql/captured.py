# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs really printed when each fault was made: PostgreSQL 15.18 and 18.4, LC_ALL=C."""

# ruff: noqa: E501 - as printed

from __future__ import annotations

CONNECTING = {
    "wrong password": 'connection to server at "127.0.0.1", port 55415 failed: FATAL:  password authentication failed for '
    'user "postgres"\n',
    "no password": 'connection to server at "127.0.0.1", port 55415 failed: fe_sendauth: no password supplied\n',
    "missing database": 'connection to server at "127.0.0.1", port 55415 failed: FATAL:  database "ghost" does not exist\n',
    "no TLS there": 'connection to server at "127.0.0.1", port 55415 failed: server does not support SSL, but SSL was '
    "required\n",
    "refused": 'connection to server at "127.0.0.1", port 1 failed: Connection refused\n\tIs the server running on that '
    "host and accepting TCP/IP connections?\n",
    "unknown host": 'could not translate host name "no-such-host.invalid" to address: Name or service not known\n',
    "no socket": 'connection to server on socket "/nonexist/.s.PGSQL.55415" failed: No such file or directory\n\tIs the '
    "server running locally and accepting connections on that socket?\n",
    "no replication role (15)": 'connection to server at "127.0.0.1", port 55415 failed: FATAL:  must be superuser or '
    "replication role to start walsender\n",
    "no replication role (18)": 'connection to server at "127.0.0.1", port 55418 failed: FATAL:  permission denied to start '
    "WAL sender\nDETAIL:  Only roles with the REPLICATION attribute may start a WAL sender process.\n",
    "no line for replication": 'connection to server at "127.0.0.1", port 55418 failed: FATAL:  no pg_hba.conf entry for '
    'replication connection from host "127.0.0.1", user "postgres", no encryption\n',
    "no line": 'connection to server at "127.0.0.1", port 55415 failed: FATAL:  no pg_hba.conf entry for host "127.0.0.1", '
    'user "nobody", database "postgres", no encryption\n',
    "rejected": 'connection to server at "127.0.0.1", port 55418 failed: FATAL:  pg_hba.conf rejects connection for host '
    '"127.0.0.1", user "repl", database "postgres", no encryption\n',
    "no senders (15)": 'connection to server at "127.0.0.1", port 55415 failed: FATAL:  number of requested standby '
    "connections exceeds max_wal_senders (currently 10)\n",
    "no senders (18)": 'connection to server at "127.0.0.1", port 55418 failed: FATAL:  number of requested standby '
    'connections exceeds "max_wal_senders" (currently 10)\n',
}

BASE_BACKUP_15 = """\
pg_basebackup: initiating base backup, waiting for checkpoint to complete
pg_basebackup: checkpoint completed
pg_basebackup: write-ahead log start point: 0/3000028 on timeline 1
54962/54962 kB (100%), 0/1 tablespace (-                                  )
54962/54962 kB (100%), 1/1 tablespace                                        \x20
pg_basebackup: write-ahead log end point: 0/3000100
pg_basebackup: syncing data to disk ...
pg_basebackup: base backup completed
"""
BASE_BACKUP_18 = """\
pg_basebackup: initiating base backup, waiting for checkpoint to complete
pg_basebackup: checkpoint completed
pg_basebackup: write-ahead log start point: 1A/60000F8 on timeline 12
pg_basebackup: write-ahead log end point: 1A/7000120
pg_basebackup: syncing data to disk ...
pg_basebackup: base backup completed
"""
DAMAGED_15 = """\
pg_basebackup: initiating base backup, waiting for checkpoint to complete
pg_basebackup: checkpoint completed
pg_basebackup: write-ahead log start point: 0/12000028 on timeline 1
WARNING:  checksum verification failed in file "./base/5/16418", block 3: calculated 820E but expected 10C9
pg_basebackup: error: COPY stream ended before last file was finished
"""
DAMAGED_18 = """\
pg_basebackup: initiating base backup, waiting for checkpoint to complete
pg_basebackup: checkpoint completed
pg_basebackup: write-ahead log start point: 0/12000028 on timeline 1
WARNING:  checksum verification failed in file "./base/5/16418", block 3: calculated 6151 but expected AE27
pg_basebackup: write-ahead log end point: 0/12000120
pg_basebackup: error: checksum error occurred
"""

_STARTED = """\
pg_basebackup: initiating base backup, waiting for checkpoint to complete
pg_basebackup: checkpoint completed
pg_basebackup: write-ahead log start point: 0/60000F8 on timeline 1
"""
WORKING = {
    "wrong password": "pg_basebackup: error: " + CONNECTING["wrong password"],
    "no replication role (18)": "pg_basebackup: error: " + CONNECTING["no replication role (18)"],
    "no senders (15)": "pg_basebackup: error: " + CONNECTING["no senders (15)"],
    "tablespace": _STARTED + "pg_basebackup: error: can only write single tablespace to stdout, database has 2\n",
    "WAL removed": _STARTED
    + "pg_basebackup: error: backup failed: ERROR:  requested WAL segment 000000010000000000000006 has already been "
    "removed\n",
    "terminated": _STARTED + "pg_basebackup: error: COPY stream ended before last file was finished\n",
    "damaged (15)": DAMAGED_15,
    "damaged (18)": DAMAGED_18,
    "old pg_basebackup": "pg_basebackup: error: incompatible server version 18.4\n",
    "old pg_dump": "pg_dump: error: aborting because of server version mismatch\n"
    "pg_dump: detail: server version: 18.4; pg_dump version: 15.18 (Debian 15.18-0+deb12u1)\n",
    "lock": "pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout\n"
    "pg_dump: detail: Query was: LOCK TABLE public.t IN ACCESS SHARE MODE\n",
    "scratch full": "pg_dump: error: could not write to output file: No space left on device\n"
    "pg_dump: error: a worker process died unexpectedly\n",
    "snapshot (15)": 'pg_dump: error: query failed: ERROR:  invalid snapshot identifier: "00000003-00000BAD-1"\n'
    "pg_dump: detail: Query was: SET TRANSACTION SNAPSHOT '00000003-00000BAD-1'\n",
    "snapshot (18)": 'pg_dump: error: query failed: ERROR:  snapshot "00000003-00000BAD-1" does not exist\n'
    "pg_dump: detail: Query was: SET TRANSACTION SNAPSHOT '00000003-00000BAD-1'\n",
    "nothing": "pg_dump: error: no matching tables were found\n",
    "no right": "pg_dump: error: query failed: ERROR:  permission denied for table t\n"
    "pg_dump: detail: Query was: LOCK TABLE public.t IN ACCESS SHARE MODE\n",
    "no summaries": "pg_basebackup: initiating base backup, waiting for checkpoint to complete\n"
    "WARNING:  aborting backup due to backend exiting before pg_backup_stop was called\n"
    "pg_basebackup: error: could not initiate base backup: ERROR:  WAL summaries are required on timeline 1 from "
    "0/150000F8 to 0/190000F8, but the summaries for that timeline and LSN range are incomplete\n"
    "DETAIL:  The first unsummarized LSN in this range is 0/150000F8.\n",
    "summarizer off": "pg_basebackup: initiating base backup, waiting for checkpoint to complete\n"
    "pg_basebackup: error: could not initiate base backup: ERROR:  incremental backups cannot be taken unless WAL "
    "summarization is enabled\n",
    "manifest changed": "pg_basebackup: error: could not upload manifest: ERROR:  manifest checksum mismatch\n",
}
