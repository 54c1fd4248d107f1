# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which a connection can fail has a name and a next step, and no message holds the password."""

from __future__ import annotations

import contextlib
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql import (
    connection as connection_module,
)
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer, as_user, operating_system_user
from sandbox.tls import self_signed
from tests.integration.postgresql.rig import (
    RUNNER,
    SECRET,
    base_producer,
    connection_to,
    database,
    logical_producer,
    psql,
)

WRONG = "tr0ub4dor-and-3"


def check(error: errors.LifeboatError, code: str) -> None:
    assert error.code == code
    assert error.hint, "it says what to do next"
    everything = f"{error} {error.as_dict()} {error.__cause__!r} {error.__context__!r}"
    assert SECRET not in everything
    assert WRONG not in everything


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"password_file": None, "password": WRONG}, "postgresql.authentication_failed"),
        ({"password_file": None}, "postgresql.authentication_failed"),
        ({"user": "ghost"}, "postgresql.authentication_failed"),
        ({"host": "no-such-host.invalid"}, "postgresql.unreachable"),
        ({"host": "/nonexistent"}, "postgresql.unreachable"),
        ({"database": "ghost"}, "postgresql.database_missing"),
        ({"sslmode": "require"}, "postgresql.tls_unsupported"),
    ],
)
def test_a_connection_that_can_not_be_made(server: PostgreSQLServer, changes: dict[str, t.Any], code: str) -> None:
    connection = connection_to(server, **changes)
    with pytest.raises(errors.LifeboatError) as caught:
        connection.connect(runner=RUNNER)
    check(caught.value, code)
    for producer in (
        logical_producer(server, connection=connection)[0],
        base_producer(server, connection=connection, state_directory=Path("/nonexistent"))[0],
    ):
        with pytest.raises(errors.LifeboatError) as caught:
            producer.inspect()
        check(caught.value, code)


def test_nobody_listens(distribution_server: PostgreSQLServer) -> None:
    with pytest.raises(errors.PostgresUnreachable) as caught:
        connection_to(distribution_server, port=free_port()).connect(runner=RUNNER)
    check(caught.value, "postgresql.unreachable")
    assert "pg_isready" in caught.value.hint


def test_a_passfile_works_for_both_kinds_of_clients(server: PostgreSQLServer) -> None:
    connection = connection_to(server, password_file=None, passfile=str(server.password_file))
    connection.connect(runner=RUNNER).close()
    connection.connect_replication(runner=RUNNER).close()
    environment = connection.environment(runner=RUNNER)
    done = RUNNER.run([str(server.program("psql")), "-Atc", "SELECT 1"], environment=environment)
    assert done.text == "1\n"


def test_a_password_command_works(distribution_server: PostgreSQLServer) -> None:
    command = f"cat {distribution_server.directory / 'lifeboat.password'}"
    connection_to(distribution_server).connect(runner=RUNNER).close()  # writes the file
    connection_to(distribution_server, password_file=None, password_command=command).connect(runner=RUNNER).close()


def test_an_old_server_is_refused(distribution_server: PostgreSQLServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # A fault that is injected: the oldest supported version is raised above the server's.
    monkeypatch.setattr(connection_module, "OLDEST_VERSION", 99)
    with pytest.raises(errors.PostgresVersionUnsupported, match=f"is version {distribution_server.version}"):
        connection_to(distribution_server).connect(runner=RUNNER)


@contextlib.contextmanager
def pg_hba(server: PostgreSQLServer, *lines: str) -> t.Iterator[None]:
    """The server's pg_hba.conf with *lines* before all others."""
    path = server.data_directory / "pg_hba.conf"
    before = path.read_text(encoding="utf-8")
    path.write_text("".join(f"{line}\n" for line in lines) + before, encoding="utf-8")
    server.query("SELECT pg_reload_conf()")
    try:
        # The reload reaches the postmaster a moment later; new connections tell when.
        for _attempt in range(50):
            if server.query("SELECT 1 FROM pg_hba_file_rules WHERE line_number = 1 AND error IS NULL"):
                break
        server.query("SELECT pg_sleep(0.2)")
        yield
    finally:
        path.write_text(before, encoding="utf-8")
        server.query("SELECT pg_reload_conf(), pg_sleep(0.2)")


def test_no_line_for_the_role(server: PostgreSQLServer) -> None:
    psql(server, f"CREATE ROLE stranger LOGIN PASSWORD '{SECRET}'")
    try:
        with (
            pg_hba(server, "host all stranger 127.0.0.1/32 reject"),
            pytest.raises(errors.PostgresHbaRefused) as caught,
        ):
            connection_to(server, user="stranger").connect(runner=RUNNER)
    finally:
        psql(server, "DROP ROLE stranger")
    check(caught.value, "postgresql.hba_refused")
    assert "host postgres stranger 127.0.0.1/32 scram-sha-256" in caught.value.hint


def test_no_line_for_replication(server: PostgreSQLServer, tmp_path: Path) -> None:
    with pg_hba(server, "host replication postgres 127.0.0.1/32 reject"):
        producer, _journal = base_producer(server, state_directory=tmp_path)
        with pytest.raises(errors.PostgresHbaRefused) as caught:
            producer.inspect()
    check(caught.value, "postgresql.hba_refused")
    assert "host replication postgres 127.0.0.1/32 scram-sha-256" in caught.value.hint


def test_no_right_to_replicate(server: PostgreSQLServer, tmp_path: Path) -> None:
    psql(server, f"CREATE ROLE plain LOGIN PASSWORD '{SECRET}'")
    try:
        producer, _journal = base_producer(
            server, state_directory=tmp_path, connection=connection_to(server, user="plain")
        )
        with pytest.raises(errors.PostgresReplicationForbidden) as caught:
            producer.inspect()
    finally:
        psql(server, "DROP ROLE plain")
    check(caught.value, "postgresql.replication_forbidden")
    assert caught.value.hint == 'Run on the server: ALTER ROLE "plain" REPLICATION;'


def test_no_connection_left(server: PostgreSQLServer) -> None:
    psql(server, f"CREATE ROLE lonely LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 1")
    try:
        with connection_to(server, user="lonely").connect(runner=RUNNER), pytest.raises(errors.LifeboatError) as caught:
            connection_to(server, user="lonely").connect(runner=RUNNER)
    finally:
        server.query("SELECT pg_sleep(0.2)")
        psql(server, "DROP ROLE lonely")
    check(caught.value, "postgresql.too_many_connections")


def test_no_right_to_read_a_table(server: PostgreSQLServer, tmp_path: Path) -> None:
    from tests.integration.postgresql.folder_sink import FolderSink

    with database(server, "private", script=f"CREATE TABLE t (i int); CREATE ROLE plain LOGIN PASSWORD '{SECRET}'"):
        try:
            connection = connection_to(server, user="plain", database="private")
            producer, journal = logical_producer(server, connection=connection, databases=["private"])
            assert "without passwords" in producer.inspect().steps[0]
            sink = FolderSink(tmp_path)
            with pytest.raises(errors.PostgresPermissionDenied) as caught:
                producer.produce(sink=sink, progress=sink.progress)
            check(caught.value, "postgresql.permission_denied")
            assert "pg_read_all_data" in caught.value.hint
            # With the right to the table alone the roles' passwords are left out, which is said.
            psql(server, "GRANT SELECT ON t TO plain", database="private")
            content = producer.produce(sink=sink, progress=sink.progress).content
            assert content["globals"] == {"payload": "globals.sql", "role_passwords": False}
            assert journal.warnings[-1] == content["warnings"][0]
            assert "SCRAM" not in sink.plain("globals.sql").decode()
            # The hint is right too; this role may also read the passwords.
            psql(server, "REVOKE SELECT ON t FROM plain", database="private")
            psql(server, 'GRANT pg_read_all_data TO "plain"')
            content = producer.produce(sink=sink, progress=sink.progress).content
            assert content["globals"] == {"payload": "globals.sql", "role_passwords": True}
            assert "SCRAM" in sink.plain("globals.sql").decode()
        finally:
            psql(server, "REVOKE ALL ON t FROM plain", database="private")
            psql(server, "DROP ROLE plain")


def test_row_level_security_is_never_a_shorter_dump(server: PostgreSQLServer, tmp_path: Path) -> None:
    from tests.integration.postgresql.folder_sink import FolderSink

    script = f"""
    CREATE TABLE t (i int); INSERT INTO t VALUES (1), (2); ALTER TABLE t ENABLE ROW LEVEL SECURITY;
    CREATE POLICY one ON t USING (i = 1);
    CREATE ROLE plain LOGIN PASSWORD '{SECRET}' IN ROLE pg_read_all_data
    """
    with database(server, "guarded", script=script):
        try:
            connection = connection_to(server, user="plain", database="guarded")
            producer, _journal = logical_producer(server, connection=connection, databases=["guarded"], globals=False)
            sink = FolderSink(tmp_path)
            with pytest.raises(errors.PostgresPermissionDenied) as caught:
                producer.produce(sink=sink, progress=sink.progress)
            assert "BYPASSRLS" in caught.value.hint
        finally:
            psql(server, "DROP ROLE plain")


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[PostgreSQLServer, Path, Path]]:
    """A server with TLS, its authority's file and that of another authority."""
    with PostgreSQLServer(password=SECRET) as server:
        files = self_signed(server.directory / "tls")
        other = self_signed(tmp_path_factory.mktemp("other"))
        for source, name in ((files.certificate, "server.crt"), (files.key, "server.key")):
            target = server.data_directory / name
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)
            subprocess.run(["chown", "--reference", server.data_directory, target], check=True)
        psql(server, "ALTER SYSTEM SET ssl = on")
        psql(server, "SELECT pg_reload_conf(), pg_sleep(0.5)")
        yield server, files.authority, other.authority


def test_tls_required(tls_server: tuple[PostgreSQLServer, Path, Path]) -> None:
    server, authority, _other = tls_server
    psql(server, f"CREATE ROLE guarded LOGIN PASSWORD '{SECRET}'")
    with pg_hba(server, "hostssl all guarded 127.0.0.1/32 scram-sha-256", "host all guarded 127.0.0.1/32 reject"):
        with pytest.raises(errors.PostgresTlsRequired) as caught:
            connection_to(server, user="guarded", sslmode="disable").connect(runner=RUNNER)
        check(caught.value, "postgresql.tls_required")
        # Both hints work.
        connection_to(server, user="guarded", sslmode="require").connect(runner=RUNNER).close()
        connection_to(server, user="guarded", sslmode="verify-full", sslrootcert=str(authority)).connect(
            runner=RUNNER
        ).close()
    # A role that is let in neither way has no use for TLS.
    with (
        pg_hba(server, "host all guarded 127.0.0.1/32 reject"),
        pytest.raises(errors.PostgresHbaRefused),
    ):
        connection_to(server, user="guarded", sslmode="disable").connect(runner=RUNNER)


@pytest.mark.parametrize("missing", [False, True])
def test_a_certificate_of_somebody_else(
    tls_server: tuple[PostgreSQLServer, Path, Path], missing: bool, tmp_path: Path
) -> None:
    server, _authority, other = tls_server
    rootcert = tmp_path / "none.pem" if missing else other
    with pytest.raises(errors.PostgresTlsUntrusted) as caught:
        connection_to(server, sslmode="verify-full", sslrootcert=str(rootcert)).connect(runner=RUNNER)
    check(caught.value, "postgresql.tls_untrusted")


def test_a_server_that_is_starting_up(distribution_server: PostgreSQLServer) -> None:
    """A server that recovers from an archive which never answers stays in that state as long as one likes."""
    with PostgreSQLServer(password=SECRET) as server:
        server.stop()
        with (server.data_directory / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write("restore_command = 'sleep 60'\nhot_standby = off\n")
        signal_file = server.data_directory / "recovery.signal"
        signal_file.touch()
        subprocess.run(["chown", "--reference", server.data_directory, signal_file], check=True)
        port = free_port()
        command = [*as_user(operating_system_user()), server.program("pg_ctl"), "-D", server.data_directory]
        subprocess.run(
            [
                *command,
                "-W",
                "-o",
                f"-p {port} -c unix_socket_directories=",
                "-l",
                server.data_directory / "startup.log",
                "start",
            ],
            check=True,
            capture_output=True,
            timeout=30,
        )
        try:
            for _attempt in range(100):
                distribution_server.query("SELECT pg_sleep(0.05)")
                with pytest.raises(errors.LifeboatError) as caught:
                    connection_to(distribution_server, port=port).connect(runner=RUNNER)
                if caught.value.code != "postgresql.unreachable":
                    break
            check(caught.value, "postgresql.not_ready")
            assert "pg_isready" in caught.value.hint
        finally:
            subprocess.run([*command, "-m", "immediate", "stop"], check=True, capture_output=True, timeout=30)


def test_a_database_that_is_not_there(server: PostgreSQLServer) -> None:
    producer, _journal = logical_producer(server, databases=["ghost", "postgres"])
    with pytest.raises(errors.PostgresDatabaseMissing) as caught:
        producer.inspect()
    check(caught.value, "postgresql.database_missing")
    assert caught.value.details["missing"] == ["ghost"]


def test_a_selection_of_nothing(server: PostgreSQLServer, tmp_path: Path) -> None:
    from tests.integration.postgresql.folder_sink import FolderSink

    producer, _journal = logical_producer(server, databases=["postgres"], globals=False, include_tables=["ghost"])
    sink = FolderSink(tmp_path)
    with pytest.raises(errors.PostgresNothingSelected) as caught:
        producer.produce(sink=sink, progress=sink.progress)
    check(caught.value, "postgresql.nothing_selected")


def test_programs_that_are_too_old_or_missing(
    server_18: PostgreSQLServer, distribution_server: PostgreSQLServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    producer, _journal = logical_producer(
        server_18, connection=connection_to(server_18, bin_directory=str(distribution_server.bin_directory))
    )
    with pytest.raises(errors.ToolTooOld, match=f"pg_dump is version {distribution_server.version}") as caught:
        producer.inspect()
    assert "postgresql-client-18" in caught.value.hint
    monkeypatch.setenv("PATH", str(tmp_path))
    physical, _journal = base_producer(
        server_18, state_directory=tmp_path, connection=connection_to(server_18, bin_directory=None)
    )
    with pytest.raises(errors.ToolMissing) as missing:
        physical.inspect()
    assert "postgresql-client-18" in missing.value.hint


def test_room_for_a_parallel_dump(server: PostgreSQLServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql import scratch

    # A fault that is injected: the disk says that it has hardly any room.
    usage = scratch.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    producer, _journal = logical_producer(
        server, databases=["postgres"], format="directory", jobs=2, scratch_directory=str(tmp_path)
    )
    with pytest.raises(errors.PostgresScratchTooSmall) as caught:
        producer.inspect()
    check(caught.value, "postgresql.scratch_too_small")
