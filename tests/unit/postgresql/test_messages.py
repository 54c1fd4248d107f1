# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PostgreSQL's programs print becomes the error that an operator can act on."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.messages import (
    Address,
    connecting_error,
    program_error,
)
from tests.unit.postgresql import captured

ADDRESS = Address(host="db1", port="5433", user="backup", database="adhd")

CONNECTING: dict[str, type[errors.LifeboatError]] = {
    "wrong password": errors.PostgresAuthenticationFailed,
    "no password": errors.PostgresAuthenticationFailed,
    "missing database": errors.PostgresDatabaseMissing,
    "no TLS there": errors.PostgresTlsUnsupported,
    "refused": errors.PostgresUnreachable,
    "unknown host": errors.PostgresUnreachable,
    "no socket": errors.PostgresUnreachable,
    "no replication role (15)": errors.PostgresReplicationForbidden,
    "no replication role (18)": errors.PostgresReplicationForbidden,
    "no line for replication": errors.PostgresHbaRefused,
    "no line": errors.PostgresHbaRefused,
    "rejected": errors.PostgresHbaRefused,
    "no senders (15)": errors.PostgresWalSendersExhausted,
    "no senders (18)": errors.PostgresWalSendersExhausted,
}
WORKING: dict[str, type[errors.LifeboatError]] = {
    "wrong password": errors.PostgresAuthenticationFailed,
    "no replication role (18)": errors.PostgresReplicationForbidden,
    "no senders (15)": errors.PostgresWalSendersExhausted,
    "tablespace": errors.PostgresTablespaceUnsupported,
    "WAL removed": errors.PostgresWalRemoved,
    "terminated": errors.PostgresConnectionLost,
    "damaged (15)": errors.PostgresChecksumFailed,
    "damaged (18)": errors.PostgresChecksumFailed,
    "old pg_basebackup": errors.ToolTooOld,
    "old pg_dump": errors.ToolTooOld,
    "lock": errors.PostgresLockTimeout,
    "scratch full": errors.PostgresScratchTooSmall,
    "snapshot (15)": errors.PostgresSnapshotLost,
    "snapshot (18)": errors.PostgresSnapshotLost,
    "nothing": errors.PostgresNothingSelected,
    "no right": errors.PostgresPermissionDenied,
    "no summaries": errors.PostgresSummariesMissing,
    "summarizer off": errors.PostgresSummarizerOff,
    "manifest changed": errors.PostgresParentUnusable,
}


@pytest.mark.parametrize("case", sorted(captured.CONNECTING))
def test_a_failed_connection_has_a_name(case: str) -> None:
    error = connecting_error(captured.CONNECTING[case], address=ADDRESS)
    assert error is not None
    assert error.code == CONNECTING[case].code
    check_words(error)


@pytest.mark.parametrize("case", sorted(captured.WORKING))
def test_a_failed_program_has_a_name(case: str) -> None:
    error = program_error(captured.WORKING[case], address=ADDRESS)
    assert error is not None
    assert error.code == WORKING[case].code
    check_words(error)


def check_words(error: errors.LifeboatError) -> None:
    assert "{" not in error.message + error.hint, "a placeholder was left"
    assert error.message.endswith((".", "?", ")")) or ": " in error.message
    assert error.hint, "every error says what to do next"


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("no line", "host postgres nobody 127.0.0.1/32 scram-sha-256"),
        ("rejected", "host postgres repl 127.0.0.1/32 scram-sha-256"),
        ("no line for replication", "host replication postgres 127.0.0.1/32 scram-sha-256"),
    ],
)
def test_the_line_that_pg_hba_lacks_is_named(case: str, line: str) -> None:
    error = connecting_error(captured.CONNECTING[case], address=ADDRESS)
    assert error is not None
    assert error.hint.endswith(line)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            'FATAL:  no pg_hba.conf entry for host "fe80::1", user "u", database "d", SSL encryption\n',
            "hostssl d u fe80::1/128 scram-sha-256",
        ),
        (
            'FATAL:  no pg_hba.conf entry for host "[local]", user "u", database "d", no encryption\n',
            "local d u  scram",
        ),
    ],
)
def test_the_line_fits_the_way_of_connecting(said: str, line: str) -> None:
    error = connecting_error(said, address=ADDRESS)
    assert error is not None
    assert line in error.hint


def test_a_lock_names_its_table() -> None:
    error = program_error(captured.WORKING["lock"], address=ADDRESS)
    assert error is not None
    assert "public.t" in error.message


def test_a_message_quotes_the_line_that_matters_without_its_frame() -> None:
    error = connecting_error(captured.CONNECTING["no senders (15)"], address=ADDRESS)
    assert error is not None
    assert error.message.endswith("number of requested standby connections exceeds max_wal_senders (currently 10)")


def test_the_servers_full_disk_is_not_taken_for_the_scratch_folders() -> None:
    said = (
        'pg_dump: error: query failed: ERROR:  could not write to file "base/pgsql_tmp/t1": No space left on device\n'
    )
    assert program_error(said, address=ADDRESS) is None


def test_what_is_not_known_has_no_name() -> None:
    assert program_error("pg_dump: error: something nobody has seen before\n", address=ADDRESS) is None
    assert connecting_error("", address=ADDRESS) is None
