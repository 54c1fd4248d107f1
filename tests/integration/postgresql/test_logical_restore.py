# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logical backups restored beside production and in place, on real servers; what fails or dies loses nothing."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.steps import Facts
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql import sample
from tests.integration.postgresql.logical_restoring import SUFFIX, LogicalRestoring, address
from tests.integration.postgresql.physical import Physical, physical
from tests.integration.postgresql.rig import SECRET, database, plain_dump, psql
from tests.support import resealing

NAME = "Shop 1=2"
COPY = f"{NAME}_recovery"
ASIDE = f"{NAME}_before_{SUFFIX}"
STAGING = f"{NAME}_restoring_{SUFFIX}"
pytestmark = pytest.mark.slow


def drop(server: PostgreSQLServer) -> None:
    for (name,) in server.query("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{NAME}%"]):
        server.query(f'DROP DATABASE "{name}" WITH (FORCE)')


def databases(server: PostgreSQLServer) -> list[str]:
    rows = server.query("SELECT datname FROM pg_database WHERE datname LIKE %s ORDER BY 1", [f"{NAME}%"])
    return [row[0] for row in rows]


@pytest.fixture
def rig(server: PostgreSQLServer) -> t.Iterator[Physical]:
    with physical(server) as made:
        try:
            with database(server, NAME, script=sample.script(NAME)):
                yield made
        finally:
            drop(server)


@pytest.fixture
def one(distribution_server: PostgreSQLServer) -> t.Iterator[tuple[Physical, str]]:
    """A rig on one version, with a backup; afterwards somebody has changed the database."""
    with physical(distribution_server) as made:
        try:
            with database(distribution_server, NAME, script=sample.script(NAME)):
                backup_id = made.backup("logical", databases=[NAME])
                psql(distribution_server, "DROP TABLE wide; CREATE TABLE since (id integer)", database=NAME)
                yield made, backup_id
        finally:
            drop(distribution_server)


def is_changed(server: PostgreSQLServer, name: str = NAME) -> bool:
    """Whether it is the database with what happened since the backup."""
    return psql(server, "SELECT to_regclass('since') IS NOT NULL", database=name).strip() == "t"


@pytest.mark.parametrize(
    ("backup", "restore"),
    [
        ({}, {}),
        ({}, {"jobs": 2, "scratch_directory": "scratch"}),
        (
            {"format": "directory", "jobs": 2, "scratch_directory": "scratch"},
            {"jobs": 2, "scratch_directory": "scratch"},
        ),
        ({"row_counts": "none"}, {"analyze": False}),
    ],
    ids=["streamed", "jobs", "directory", "uncounted"],
)
def test_beside_production(rig: Physical, backup: dict[str, t.Any], restore: dict[str, t.Any]) -> None:
    (rig.folder / "scratch").mkdir()
    options = [
        {key: str(rig.folder / value) if key == "scratch_directory" else value for key, value in given.items()}
        for given in (backup, restore)
    ]
    backup_id = rig.backup("logical", databases=[NAME], **options[0])
    before = plain_dump(rig.server, NAME)
    restoring = LogicalRestoring.of(rig, backup_id, database=NAME, **options[1])
    plan = restoring.inspect()
    assert (plan.replaces, plan.moves, plan.stops) == (None, (), ())
    assert 0 < plan.needed_bytes < (plan.free_bytes or 0)
    assert databases(rig.server) == [NAME]
    restoration = restoring.run()
    assert databases(rig.server) == [NAME, COPY]
    assert plain_dump(rig.server, COPY) == before == plain_dump(rig.server, NAME)
    assert psql(rig.server, "SHOW work_mem", database=COPY).strip() == "7MB"
    if not backup.get("row_counts"):
        assert restoration.content["rows"] == sum(sample.ROWS.values())
        assert restoration.content["tables"] == len(sample.ROWS)
    analyzed = psql(rig.server, "SELECT count(*) > 0 FROM pg_stats WHERE schemaname = 'app'", database=COPY).strip()
    assert analyzed == ("t" if restore.get("analyze", True) else "f")
    assert list((rig.folder / "scratch").iterdir()) == []
    assert restoring.discard() == ()


@pytest.mark.smoke
def test_in_place_keeps_the_old_database_until_it_is_discarded(one: tuple[Physical, str]) -> None:
    rig, backup_id = one
    restoring = LogicalRestoring.of(rig, backup_id, database=NAME, in_place=True)
    plan = restoring.inspect()
    assert plan.replaces == restoring.restorer().target == NAME
    assert plan.moves == (f"database {NAME} -> {ASIDE}",)
    with contextlib.closing(rig.server.connect(NAME)) as somebody:
        restoration = restoring.run()
        assert somebody.closed or not _answers(somebody)
    assert databases(rig.server) == [NAME, ASIDE]
    assert not is_changed(rig.server)
    assert is_changed(rig.server, ASIDE)
    assert restoration.aside == (f"database {ASIDE}",)
    assert restoring.discard() == (f"database {ASIDE}",)
    assert restoring.discard() == ()
    assert databases(rig.server) == [NAME]
    assert not is_changed(rig.server)


def _answers(connection: t.Any) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception:  # noqa: BLE001 whatever the library calls it
        return False
    return True


def test_a_finished_restore_in_place_can_be_rolled_back(one: tuple[Physical, str]) -> None:
    rig, backup_id = one
    restoring = LogicalRestoring.of(rig, backup_id, database=NAME, in_place=True)
    restoring.run()
    restoring.roll_back()
    assert databases(rig.server) == [NAME]
    assert is_changed(rig.server)
    assert restoring.discard() == ()
    assert databases(rig.server) == [NAME]


def test_in_place_of_a_database_that_is_lost(one: tuple[Physical, str]) -> None:
    rig, backup_id = one
    rig.server.query(f'DROP DATABASE "{NAME}"')
    restoring = LogicalRestoring.of(rig, backup_id, database=NAME, in_place=True)
    assert restoring.inspect().replaces is None
    restoration = restoring.run()
    assert (databases(rig.server), restoration.aside) == ([NAME], ())
    restoring.roll_back()
    assert databases(rig.server) == []
    rig.server.query(f'CREATE DATABASE "{NAME}"')


@pytest.mark.parametrize(
    ("step", "moment"),
    [
        ("load", "before"),
        ("load", "CREATE DATABASE"),
        ("load", "after"),
        ("check", "before"),
        ("check", "ANALYZE"),
        ("take the name", "before"),
        ("take the name", "ALLOW_CONNECTIONS false"),
        ("take the name", "RENAME TO"),
        ("take the name", "COMMIT"),
        ("take the name", "after"),
    ],
)
@pytest.mark.parametrize("in_place", [False, True])
def test_a_death_loses_nothing(one: tuple[Physical, str], step: str, moment: str, in_place: bool) -> None:
    rig, backup_id = one
    restoring = LogicalRestoring.of(rig, backup_id, database=NAME, in_place=in_place)
    restoring.die(step, moment)
    restoring.roll_back()
    assert databases(rig.server) == [NAME]
    assert is_changed(rig.server)

    again = replace(restoring, restore_id="20261122T040000Z-abc124")
    again.die(step, moment)
    restoration = again.resume()
    assert restoration.content["rows"] == sum(sample.ROWS.values())
    assert len(databases(rig.server)) == 2
    assert is_changed(rig.server, NAME) is not in_place
    assert not is_changed(rig.server, NAME if in_place else COPY)
    for name in databases(rig.server):  # everybody may come in again
        assert psql(rig.server, "SELECT 1", database=name).strip() == "1"


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_step_that_fails_puts_everything_back(one: tuple[Physical, str], number: int, in_place: bool) -> None:
    rig, backup_id = one
    restoring = LogicalRestoring.of(rig, backup_id, database=NAME, in_place=in_place)
    steps = list(restoring.steps())

    def fail(facts: Facts) -> Facts | None:
        do(facts)
        raise errors.PostgresConnectionLost("a fault that is made here")

    do = steps[number].do
    steps[number] = replace(steps[number], do=fail)
    with pytest.raises(errors.PostgresConnectionLost):
        restoring.run(steps=steps)
    assert databases(rig.server) == [NAME]
    assert is_changed(rig.server)


def test_half_the_rows_are_taken_back(one: tuple[Physical, str]) -> None:
    rig, backup_id = one
    resealing.mutate_payload(
        rig.repository,
        rig.place(backup_id, "logical"),
        f"{_file_name()}.dump",
        lambda data: data.replace(b"9\tuser 9\t", b"\\.\n\tuser 9\t", 1),
    )
    with pytest.raises((errors.RestoreIncomplete, errors.PostgresLoadFailed)):
        LogicalRestoring.of(rig, backup_id, database=NAME, in_place=True).run()
    assert databases(rig.server) == [NAME]
    assert is_changed(rig.server)


def _file_name() -> str:
    return "Shop=201=3D2"


def test_counts_that_differ_are_taken_back(one: tuple[Physical, str]) -> None:
    rig, backup_id = one

    def more(document: dict[str, t.Any]) -> None:
        document["content"]["databases"][0]["tables"]["app.users"]["rows"] += 1
        document["content"]["databases"][0]["tables"]["public.never"] = {"rows": 0}

    resealing.mutate_manifest(rig.repository, rig.place(backup_id, "logical"), more)
    with pytest.raises(errors.RestoreIncomplete, match=r"app\.users has 5000 rows instead of 5001"):
        LogicalRestoring.of(rig, backup_id, database=NAME, in_place=True).run()
    assert databases(rig.server) == [NAME]
    assert is_changed(rig.server)


@pytest.mark.parametrize(
    ("options", "tables", "present", "absent"),
    [
        ({"tables": ["app.users"]}, {"app.users"}, ["app.users_pkey", "app.users_id_seq"], ["app.tasks", "app.active"]),
        (
            {"tables": ["tasks"]},
            {"app.tasks_2025", "app.tasks_2026"},
            ["app.tasks_user_id_idx", "app.tasks_2026_user_id_idx"],
            ["app.users"],
        ),
        ({"tables": ["app.tasks_2025"]}, {"app.tasks_2025"}, ["app.tasks_2025_user_id_idx"], ["app.tasks_2026"]),
        ({"tables": ["public.child"]}, {"public.child"}, ["public.parent"], ["public.wide"]),
        ({"tables": ['Odd Schema."täble ""q"" x"']}, {'"Odd Schema"."täble ""q"" x"'}, [], ["public.wide"]),
        (
            {"schemas": ["app"]},
            {"app.tasks_2025", "app.tasks_2026", "app.users"},
            ["app.active", "app.summary"],
            ["public.wide"],
        ),
        ({"schemas": ["public"], "tables": ["app.users"]}, None, ["app.users_pkey", "public.wide"], ["app.tasks"]),
    ],
)
def test_a_part(
    one: tuple[Physical, str],
    options: dict[str, t.Any],
    tables: set[str] | None,
    present: list[str],
    absent: list[str],
) -> None:
    rig, backup_id = one
    restoration = LogicalRestoring.of(rig, backup_id, database=NAME, **options).run()
    if tables is not None:
        assert restoration.content["rows"] == sum(sample.ROWS[name] for name in tables)
    for name in present:
        assert psql(rig.server, f"SELECT to_regclass('{name}') IS NOT NULL", database=COPY).strip() == "t", name
    for name in absent:
        assert psql(rig.server, f"SELECT to_regclass('{name}')", database=COPY).strip() == ""
    if options == {"tables": ["app.users"]}:
        psql(rig.server, "INSERT INTO app.users (name) VALUES ('next')", database=COPY)
        assert psql(rig.server, "SELECT max(id) FROM app.users", database=COPY).strip() == "5001"


def test_owners_privileges_and_roles(one: tuple[Physical, str], tmp_path: Path) -> None:
    rig, _backup_id = one
    psql(
        rig.server,
        """CREATE ROLE "App Owner"; CREATE ROLE readers; CREATE ROLE caller LOGIN PASSWORD 'hush';
        GRANT readers TO caller; COMMENT ON ROLE readers IS 'they; read "all" --''s';""",
    )
    psql(
        rig.server,
        f"""ALTER TABLE app.users OWNER TO "App Owner"; GRANT SELECT ON app.users TO readers;
        ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO caller;
        GRANT CONNECT ON DATABASE "{NAME}" TO readers; ALTER ROLE caller IN DATABASE "{NAME}" SET work_mem = '9MB';
        ALTER DATABASE "{NAME}" OWNER TO "App Owner"; COMMENT ON DATABASE "{NAME}" IS 'ours';""",
        database=NAME,
    )
    backup_id = rig.backup("logical", databases=[NAME])
    password = rig.server.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'caller'")
    try:
        with PostgreSQLServer(password=SECRET) as other:
            psql(other, "CREATE ROLE readers SUPERUSER")
            to = address(rig, port=other.port)
            with pytest.raises(errors.PostgresRoleMissing, match="App Owner, caller"):
                LogicalRestoring.of(rig, backup_id, to=to, database=NAME).inspect()
            bare = LogicalRestoring.of(
                rig, backup_id, to=to, database=NAME, owners=False, privileges=False, into="bare"
            )
            # A policy may name roles as well; this dump has none.
            bare.run()
            owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relname IN ('users', 'tasks')"
            assert psql(other, owners, database="bare").split("\n")[:-1] == ["postgres"]

            restoring = LogicalRestoring.of(rig, backup_id, to=to, database=NAME, into=NAME, roles=True)
            restoring.restore_id = "20261122T050000Z-abc125"
            assert restoring.inspect().facts["roles_to_make"] == ["App Owner", "caller"]
            restoration = restoring.run()
            assert restoration.content["roles_made"] == ["App Owner", "caller"]
            assert plain_dump(other, NAME) == plain_dump(rig.server, NAME)
            acl = "SELECT relacl, pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'users'"
            assert psql(other, acl, database=NAME) == psql(rig.server, acl, database=NAME)
            whole = """SELECT datacl, pg_get_userbyid(datdba), shobj_description(oid, 'pg_database'),
                (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0)
                FROM pg_database d WHERE datname = current_database()"""
            assert psql(other, whole, database=NAME) == psql(rig.server, whole, database=NAME)
            settings = """SELECT setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = setrole
                JOIN pg_database d ON d.oid = setdatabase WHERE rolname = 'caller' AND datname = current_database()"""
            assert psql(other, settings, database=NAME).strip() == "{work_mem=9MB}"
            assert other.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'caller'") == password
            assert other.query("SELECT rolsuper FROM pg_roles WHERE rolname = 'readers'") == [(True,)]
            assert other.query("SELECT pg_has_role('caller', 'readers', 'MEMBER')") == [(True,)]
            assert (
                str(password[0][0])
                not in (rig.folder / "state" / "restores" / f"{restoring.restore_id}.json").read_text()
            )

            restoring.roll_back()
            made = other.query("SELECT rolname FROM pg_roles WHERE rolname IN ('App Owner', 'caller', 'readers')")
            assert made == [("readers",)]
    finally:
        drop(rig.server)
        psql(rig.server, f'CREATE DATABASE "{NAME}"; DROP ROLE "App Owner"; DROP ROLE readers; DROP ROLE caller')


def test_refusals_before_anything_is_touched(one: tuple[Physical, str]) -> None:
    rig, backup_id = one

    def refused(kind: type[errors.LifeboatError], match: str, **options: t.Any) -> None:
        with pytest.raises(kind, match=match) as caught:
            LogicalRestoring.of(rig, backup_id, **{"database": NAME, **options}).inspect()
        assert caught.value.hint

    refused(errors.RestoreTargetInvalid, "exists already", into=NAME)
    refused(errors.RestoreTargetInvalid, "is a part of every cluster", into="postgres", in_place=True)
    refused(errors.RequestInvalid, "has no database nothing", database="nothing")
    refused(errors.PostgresNothingSelected, "has no table nowhere", tables=["nowhere"])
    refused(errors.PostgresNothingSelected, "has no schema nowhere", schemas=["nowhere"])
    refused(errors.RequestInvalid, "scratch_directory", jobs=2, scratch_directory="/nonexistent")
    rig.server.query(f'ALTER DATABASE "{NAME}" SET work_mem = "1MB"')
    psql(rig.server, "CREATE ROLE plain LOGIN PASSWORD 'correct-horse-battery-staple'")
    try:
        plain = address(rig, user="plain")
        with pytest.raises(errors.PostgresPermissionDenied, match=r"may not create databases|may not give anything"):
            LogicalRestoring.of(rig, backup_id, to=plain, database=NAME).inspect()
        psql(rig.server, "ALTER ROLE plain CREATEDB")
        with pytest.raises(errors.PostgresPermissionDenied, match="may not take the database"):
            LogicalRestoring.of(
                rig, backup_id, to=plain, database=NAME, in_place=True, owners=False, privileges=False
            ).inspect()
        LogicalRestoring.of(
            rig, backup_id, to=plain, database=NAME, owners=False, privileges=False, into=COPY
        ).inspect()
    finally:
        psql(rig.server, "DROP ROLE plain")
    assert databases(rig.server) == [NAME]


def test_an_older_server_or_program_is_refused(one: tuple[Physical, str], server_18: PostgreSQLServer) -> None:
    rig, _backup_id = one
    with physical(server_18) as newer, database(server_18, NAME):
        backup_id = newer.backup("logical", databases=[NAME])
        (rig.folder / "password").write_text(SECRET)
        older = address(newer, port=rig.server.port, bin_directory=str(server_18.bin_directory))
        with pytest.raises(errors.RestoreVersionMismatch, match="PostgreSQL 18, and the target is PostgreSQL 15"):
            LogicalRestoring.of(newer, backup_id, to=older, database=NAME).inspect()
        programs = address(newer, bin_directory=str(rig.server.bin_directory))
        with pytest.raises(errors.ToolTooOld):
            LogicalRestoring.of(newer, backup_id, to=programs, database=NAME).inspect()


def test_a_newer_server_takes_the_dump(one: tuple[Physical, str], server_18: PostgreSQLServer) -> None:
    rig, backup_id = one
    newer = address(rig, port=server_18.port, bin_directory=str(server_18.bin_directory))
    try:
        restoration = LogicalRestoring.of(rig, backup_id, to=newer, database=NAME).run()
        assert restoration.content["rows"] == sum(sample.ROWS.values())
    finally:
        drop(server_18)


def test_missing_extensions_are_found_before(one: tuple[Physical, str], server_18: PostgreSQLServer) -> None:
    rig, _backup_id = one
    psql(rig.server, "CREATE EXTENSION citext", database=NAME)
    backup_id = rig.backup("logical", databases=[NAME])
    newer = address(rig, port=server_18.port, bin_directory=str(server_18.bin_directory))
    with pytest.raises(errors.PostgresExtensionMissing, match="citext"):
        LogicalRestoring.of(rig, backup_id, to=newer, database=NAME).inspect()


def test_errors_while_loading_and_those_that_are_tolerated(one: tuple[Physical, str]) -> None:
    rig, _backup_id = one
    # A check that the rows no longer meet: pg_restore adds it after the rows.
    psql(
        rig.server,
        "CREATE FUNCTION always() RETURNS boolean LANGUAGE sql AS 'SELECT true';"
        "CREATE TABLE secrets (word text); INSERT INTO secrets VALUES ('hush');"
        "ALTER TABLE secrets ADD CONSTRAINT fine CHECK (always());"
        "CREATE OR REPLACE FUNCTION always() RETURNS boolean LANGUAGE sql AS 'SELECT false';",
        database=NAME,
    )
    backup_id = rig.backup("logical", databases=[NAME])
    restoring = LogicalRestoring.of(rig, backup_id, database=NAME)
    with pytest.raises(errors.PostgresLoadFailed, match="violates check constraint") as caught:
        restoring.run()
    assert "hush" not in str(caught.value.as_dict())
    assert databases(rig.server) == [NAME]
    tolerant = replace(
        restoring,
        options={**restoring.options, "tolerate": ["violates check constraint"]},
        restore_id="20261122T060000Z-abc126",
    )
    with pytest.raises(errors.RestoreIncomplete, match="secrets has 0 rows instead of 1"):
        tolerant.run()
    assert databases(rig.server) == [NAME]


def test_what_cannot_be_renamed_is_refused(one: tuple[Physical, str]) -> None:
    rig, backup_id = one
    restoring = LogicalRestoring.of(rig, backup_id, database=NAME, in_place=True)
    with PostgreSQLServer(
        password=SECRET, settings={"max_prepared_transactions": "2", "wal_level": "logical"}
    ) as other:
        other.query(f'CREATE DATABASE "{NAME}"')
        restoring.options["connection"] = address(rig, port=other.port)
        psql(other, "BEGIN; CREATE TABLE x (); PREPARE TRANSACTION 'kept'", database=NAME)
        with pytest.raises(errors.RestoreTargetInvalid, match="prepared transactions"):
            restoring.inspect()
        psql(other, "ROLLBACK PREPARED 'kept'", database=NAME)
        psql(other, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')", database=NAME)
        with pytest.raises(errors.RestoreTargetInvalid, match="replication slots"):
            restoring.inspect()
        psql(other, "SELECT pg_drop_replication_slot('s')", database=NAME)
        restoring.inspect()
