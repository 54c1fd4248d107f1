# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real server is prepared for its backups and put back: what a reload can change, and a word about the rest."""

from __future__ import annotations

import datetime
import shutil
import typing as t
from pathlib import Path

import psycopg2
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.preparation import Prepared, PrepareRequest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.connection import PostgresConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.label_mark import mark
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.prepare import prepare_postgresql
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_health import (
    health_warnings,
    read_archiving,
)
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer, operating_system_user
from tests.integration.postgresql.folder_sink import FolderSink
from tests.integration.postgresql.rig import RUNNER, SECRET, base_producer, connection_to, logical_producer

OWN = "lifeboats-own-word"
KINDS = ("logical", "base", "wal")


class Site:
    """A server as a package leaves it, and what a role says about it."""

    def __init__(self, server: PostgreSQLServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.state = folder / "state"
        self.administrator: dict[str, t.Any] = dict(self._to("postgres", SECRET))
        self.jobs: dict[str, t.Any] = dict(self._to("lifeboat", OWN))

    def _to(self, user: str, password: str) -> dict[str, t.Any]:
        path = self.folder / f"{user}.password"
        path.touch(mode=0o600)
        path.write_text(password + "\n", encoding="utf-8")
        return {
            "host": "127.0.0.1",
            "port": self.server.port,
            "user": user,
            "database": "postgres",
            "password_file": str(path),
        }

    def prepare(
        self, *, kinds: t.Sequence[str] = KINDS, check: bool = False, absent: bool = False, **options: t.Any
    ) -> Prepared:
        request = PrepareRequest(
            service="shop",
            source="main",
            connection=self.jobs,
            administrator=self.administrator,
            kinds=tuple(kinds),
            options={"spool": str(self.folder / "spool"), **options},
            absent=absent,
            check=check,
            state_directory=str(self.state),
        )
        return prepare_postgresql(request, host=Host())

    def everything(self) -> dict[str, t.Any]:
        """What preparing may touch."""
        rows = self.server.query("SELECT rolname, rolsuper, rolreplication, rolbypassrls, rolpassword FROM pg_authid")
        data = self.server.data_directory
        notes = [path.read_text() for path in sorted(self.state.rglob("*.json"))] if self.state.exists() else []
        return {
            "roles": sorted(map(str, rows)),
            "rules": (data / "pg_hba.conf").read_bytes(),
            "settings": [
                line for line in (data / "postgresql.auto.conf").read_text().splitlines() if not line.startswith("#")
            ],
            "notes": notes,
        }

    def restart(self) -> None:
        self.server.stop()
        self.server.start()

    def connection(self) -> PostgresConnection:
        """The jobs' own."""
        return PostgresConnection.from_description({**self.jobs, "bin_directory": str(self.server.bin_directory)})


@pytest.fixture
def site(tmp_path: Path) -> t.Iterator[Site]:
    with PostgreSQLServer(
        password=SECRET, archiving=False, settings={"wal_level": "minimal", "max_wal_senders": "0"}
    ) as server:
        rules = server.data_directory / "pg_hba.conf"
        # As strict as it gets: only the superuser gets in.
        rules.write_text("local all postgres scram-sha-256\nhost all postgres 127.0.0.1/32 scram-sha-256\n")
        server.query("SELECT pg_reload_conf(), pg_sleep(0.3)")
        yield Site(server, tmp_path)


def test_a_bare_server_becomes_one_that_is_backed_up_and_is_put_back(site: Site, tmp_path: Path) -> None:
    before = site.everything()
    planned = site.prepare(check=True)
    assert site.everything() == before, "check mode touched something"
    what = {change.what: change.after for change in planned.changes}
    assert {"setting wal_level", "setting archive_mode", "setting archive_command", "role lifeboat"} <= set(what)
    assert what["role lifeboat"] == "LOGIN REPLICATION BYPASSRLS IN ROLE pg_monitor, pg_read_all_data"
    assert len(planned.restart_reasons) == 3  # wal_level, max_wal_senders, archive_mode
    assert "pg_ctl -D" in planned.as_dict()["restart_command"]

    done = site.prepare()
    assert done.changes == planned.changes
    assert done.restart_reasons == planned.restart_reasons
    assert site.server.query("SHOW archive_mode") == [("off",)], "it was restarted, and nobody asked for it"
    assert site.server.query("SHOW archive_timeout") == [("45s",)]
    ready = site.everything()
    again = site.prepare()
    assert (again.changes, again.restart_reasons) == ((), done.restart_reasons)
    assert site.everything() == ready

    site.restart()
    after = site.prepare()
    assert (after.changes, after.restart_reasons) == ((), ())
    assert after.as_dict()["restart_command"] == ""
    assert site.server.query("SHOW archive_mode") == [("on",)]

    # The jobs come as that role alone, and it can do nothing else.
    site.server.query("CREATE TABLE orders (id int PRIMARY KEY)")
    site.server.query("INSERT INTO orders SELECT generate_series(1, 100)")
    for name, producer in (
        ("logical", logical_producer(site.server, connection=site.connection())[0]),
        ("base", base_producer(site.server, connection=site.connection(), state_directory=tmp_path / "job")[0]),
    ):
        sink = FolderSink(tmp_path / name)
        producer.inspect()
        assert producer.produce(sink=sink, progress=sink.progress).content
    with site.connection().connect(runner=RUNNER) as session:
        # The engine's own look at the archiving, as that role, finds nothing to complain of but the script that is
        # not there.
        state = read_archiving(session)
        found = health_warnings(state, spool=str(site.folder / "spool"), wanted_timeout=datetime.timedelta(seconds=45))
        assert set(found) <= {"archiver-failing"}
        assert session.value("SELECT count(*) FROM orders") == 100
        for statement in (
            "DROP TABLE orders",
            "INSERT INTO orders VALUES (0)",
            "CREATE ROLE other",
            "ALTER SYSTEM RESET ALL",
        ):
            with pytest.raises((errors.PostgresPermissionDenied, errors.PostgresError)):
                session.rows(statement)
        assert session.value("SELECT count(*) FROM orders") == 100

    undone = site.prepare(check=True, absent=True)
    assert site.everything()["roles"] != before["roles"]
    assert any(change.what == "role lifeboat" for change in undone.changes)
    back = site.prepare(absent=True)
    assert {reason.split()[0] for reason in back.restart_reasons} == {"archive_mode", "max_wal_senders", "wal_level"}
    # A server that archives until its restart and has no command would keep its WAL until the disk is full.
    assert site.server.query("SHOW archive_command") == [("/bin/true",)]
    site.restart()
    assert [change.what for change in site.prepare(absent=True).changes] == ["setting archive_command"]
    assert site.prepare(absent=True).changes == ()
    left = site.everything()
    assert left == before
    # What has nothing to put back asks nobody.
    site.administrator = {**site.administrator, "port": free_port()}
    assert site.prepare(absent=True).changes == ()


def test_calls_for_labels_and_for_a_vendors_backups_are_given_by_need_and_taken_back(site: Site) -> None:
    site.restart()
    site.server.query("ALTER SYSTEM SET wal_level = 'replica'")
    site.restart()
    before = site.everything()
    site.prepare(kinds=["logical"])
    connection = {**site.jobs}
    with pytest.raises(errors.PostgresPermissionDenied):
        mark(connection, name="before", runner=RUNNER)
    planned = site.prepare(kinds=["logical"], labels=True, check=True)
    assert [change.what for change in planned.changes] == ["calls of the role lifeboat in postgres"]
    assert site.prepare(kinds=["logical"], labels=True).changes == planned.changes
    assert site.prepare(kinds=["logical"], labels=True).changes == ()
    target, _facts = mark(connection, name="before", runner=RUNNER)
    assert target.kind == "lsn"
    with site.connection().connect(runner=RUNNER) as session:
        with pytest.raises(errors.PostgresPermissionDenied):
            session.value("SELECT pg_backup_start('theirs', true)")
        assert site.prepare(kinds=["logical"], walg=True).changes[0].after.startswith("without pg_create_restore_point")
        assert session.value("SELECT pg_backup_start('theirs', true)")
        assert session.rows("SELECT * FROM pg_backup_stop(false)")
    with pytest.raises(errors.PostgresPermissionDenied):
        mark(connection, name="after", runner=RUNNER)

    # Such a right is one of a database: it moves with the connection, and keeps no role from being dropped.
    site.server.query("CREATE DATABASE other")
    site.jobs["database"] = "other"
    moved = [change.what for change in site.prepare(kinds=["logical"], labels=True).changes]
    assert moved == ["calls of the role lifeboat in postgres", "calls of the role lifeboat in other"]
    mark({**connection, "database": "other"}, name="moved", runner=RUNNER)
    site.prepare(absent=True)
    assert site.everything() == before
    # Nor does one in a database that is gone.
    site.prepare(kinds=["logical"], labels=True)
    site.server.query("DROP DATABASE other")
    site.prepare(absent=True)
    assert site.everything() == before


def test_the_password_never_reaches_the_server_and_is_renewed_only_for_our_own_role(site: Site) -> None:
    site.server.query("ALTER SYSTEM SET log_statement = 'all'")
    site.server.query("SELECT pg_reload_conf()")
    site.prepare(kinds=["logical"])
    Path(site.jobs["password_file"]).write_text("another-word-now\n")
    renewed = site.prepare(kinds=["logical"])
    assert [change.what for change in renewed.changes] == ["password of the role lifeboat"]
    assert site.prepare(kinds=["logical"]).changes == ()
    log = site.server.log_file.read_text(errors="replace")
    assert "CREATE ROLE" in log
    assert OWN not in log
    assert "another-word-now" not in log

    site.server.query("CREATE ROLE theirs LOGIN PASSWORD 'chosen-by-them'")
    site.jobs["user"] = "theirs"
    before = site.everything()
    with pytest.raises(errors.AccountForeign) as caught:
        site.prepare(kinds=["logical"])
    assert "another-word-now" not in f"{caught.value} {caught.value.as_dict()}"
    assert site.everything() == before
    # With the right password it gets what it lacks, and loses exactly that again.
    Path(site.jobs["password_file"]).write_text("chosen-by-them\n")
    shutil.rmtree(site.state)
    site.server.query("GRANT pg_monitor TO theirs")
    assert site.prepare(kinds=["logical"]).changes[0].after == "with BYPASSRLS, pg_read_all_data"
    site.prepare(kinds=["logical"], absent=True)
    rows = site.server.query(
        "SELECT rolbypassrls, pg_has_role('theirs', 'pg_monitor', 'USAGE'),"
        " pg_has_role('theirs', 'pg_read_all_data', 'USAGE') FROM pg_roles WHERE rolname = 'theirs'"
    )
    assert rows == [(False, True, False)]


def test_an_archive_of_somebody_else_is_left_alone_unless_it_is_given_up(site: Site) -> None:
    site.server.query("ALTER SYSTEM SET archive_command = 'wal-g wal-push %p'")
    before = site.everything()
    for check in (True, False):
        with pytest.raises(errors.PostgresArchivingElsewhere, match=r"wal-g wal-push") as caught:
            site.prepare(check=check)
        assert "replace_archiving" in caught.value.hint
    assert site.everything() == before
    site.prepare(replace_archiving=True)
    (line,) = [line for line in site.everything()["settings"] if line.startswith("archive_command")]
    assert str(site.folder / "spool") in line
    # What somebody has changed since is not ours to put back.
    site.server.query("ALTER SYSTEM SET archive_timeout = '10s'")
    site.prepare(absent=True)
    settings = site.everything()["settings"]
    assert "archive_command = 'wal-g wal-push %p'" in settings
    assert "archive_timeout = '10s'" in settings


def test_what_can_not_be_prepared_has_a_name(site: Site) -> None:
    wrong = site.folder / "wrong"
    wrong.write_text("guessed\n")
    wrong.chmod(0o600)
    before = site.everything()
    right = dict(site.administrator)
    for change, error in (
        ({"password_file": str(wrong)}, errors.PostgresAuthenticationFailed),
        ({"port": free_port()}, errors.PostgresUnreachable),
    ):
        site.administrator = {**right, **change}
        with pytest.raises(error) as caught:
            site.prepare()
        assert caught.value.hint
    site.administrator = right
    with pytest.raises(errors.PostgresHbaRefused) as caught:
        site.prepare(rules=False)
    assert 'host all "lifeboat" 127.0.0.1/32 scram-sha-256' in caught.value.hint
    with pytest.raises(errors.RequestInvalid):
        site.prepare(unknown="option")
    assert site.everything() == before
    site.prepare(kinds=["logical"])
    site.administrator, site.jobs = site.jobs, {**site.jobs, "user": "other"}
    with pytest.raises(errors.PostgresPermissionDenied, match="is no superuser"):
        site.prepare(kinds=["logical"])


def test_rules_that_the_server_can_not_read_are_taken_back(site: Site) -> None:
    rules = site.server.data_directory / "pg_hba.conf"
    rules.write_text(rules.read_text() + "host all nobody not-an-address scram-sha-256 nonsense\n")
    before = rules.read_bytes()
    with pytest.raises(errors.PostgresRulesInvalid, match="It is as it was before"):
        site.prepare(kinds=["logical"])
    assert rules.read_bytes() == before


def test_the_socket_lets_the_servers_own_account_in(site: Site) -> None:
    account = operating_system_user()
    if account is None:
        pytest.skip("only root can act as the server's account")
    rules = site.server.data_directory / "pg_hba.conf"
    rules.write_text(f"local all postgres peer map=sandbox\n{rules.read_text()}")
    (site.server.data_directory / "pg_ident.conf").write_text(f"sandbox {account} postgres\n")
    site.server.query("SELECT pg_reload_conf(), pg_sleep(0.3)")
    site.administrator = {"host": str(site.server.socket_directory)}
    assert site.prepare(kinds=["logical"], account=account).changes
    with pytest.raises(errors.LifeboatError):
        site.prepare(kinds=["logical"], account="root")
    with psycopg2.connect(site.server.uri) as connection:
        assert connection.closed == 0


def test_a_server_that_has_all_it_takes_is_not_touched(distribution_server: PostgreSQLServer, tmp_path: Path) -> None:
    """The sandbox's own: archiving elsewhere, which only the kind wal is about."""
    site = Site(distribution_server, tmp_path)
    site.jobs = {**site.administrator}
    before = site.everything()
    prepared = site.prepare(kinds=["logical", "base"])
    assert (prepared.changes, prepared.account, prepared.restart_reasons) == ((), None, ())
    assert site.everything() == before
    connection_to(distribution_server).connect(runner=RUNNER).close()


def test_a_server_lets_standbys_in_and_bounds_what_it_keeps_for_them(site: Site) -> None:
    """The role that they log in with may rewind, and no more; what a slot keeps has an end."""
    before = site.everything()
    prepared = site.prepare(kinds=("standby",), addresses=["192.0.2.7", "2001:db8::/64"])
    assert prepared.changes
    assert site.server.query("SHOW max_slot_wal_keep_size") == [("10GB",)]
    rules = (site.server.data_directory / "pg_hba.conf").read_text()
    assert 'host replication "lifeboat" 192.0.2.7/32 scram-sha-256\n' in rules
    assert 'host all "lifeboat" 2001:db8::/64 scram-sha-256\n' in rules
    may = "SELECT has_function_privilege('lifeboat', 'pg_read_binary_file(text, bigint, bigint, boolean)', 'EXECUTE')"
    assert site.server.query(may) == [(True,)]
    assert site.server.query("SELECT rolreplication FROM pg_roles WHERE rolname = 'lifeboat'") == [(True,)]
    again = site.prepare(kinds=("standby",), addresses=["192.0.2.7", "2001:db8::/64"])
    assert again.changes == ()
    site.prepare(absent=True)
    assert site.server.query("SHOW max_slot_wal_keep_size") == [("-1",)]
    assert site.everything()["rules"] == before["rules"]
    assert site.everything()["roles"] == before["roles"]
