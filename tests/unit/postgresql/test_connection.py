# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a server is reached: references to secrets, the environment of client programs, refusals."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RequestInvalid,
    SecretUnavailable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.connection import PostgresConnection

RUNNER = SubprocessRunner()
SECRET = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)


def test_the_environment_of_a_program_says_everything(tmp_path: pathlib.Path) -> None:
    password = tmp_path / "password"
    password.write_text(SECRET + "\n", encoding="utf-8")
    connection = PostgresConnection.from_description(
        {
            "host": "db1",
            "port": 5433,
            "user": "backup",
            "database": "adhd",
            "password_file": str(password),
            "sslmode": "verify-full",
            "sslrootcert": "/ca.pem",
            "sslcert": "/client.pem",
            "sslkey": "/client.key",
            "connect_timeout": 3,
        }
    )
    assert connection.environment(runner=RUNNER) == {
        "PGHOST": "db1",
        "PGPORT": "5433",
        "PGUSER": "backup",
        "PGDATABASE": "adhd",
        "PGPASSWORD": SECRET,
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/ca.pem",
        "PGSSLCERT": "/client.pem",
        "PGSSLKEY": "/client.key",
        "PGCONNECT_TIMEOUT": "3",
        "PGAPPNAME": "lifeboat",
    }


def test_a_database_of_its_own_wins() -> None:
    connection = PostgresConnection.from_description({"database": "postgres"})
    assert connection.environment(runner=RUNNER, database="a=b")["PGDATABASE"] == "a=b"


def test_what_is_not_given_is_left_to_libpq() -> None:
    assert PostgresConnection.from_description({}).environment(runner=RUNNER) == {
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "lifeboat",
    }


def test_a_service_is_passed_on() -> None:
    connection = PostgresConnection.from_description({"service": "main"})
    assert connection.environment(runner=RUNNER)["PGSERVICE"] == "main"
    assert "service main" in connection.address().server


def test_a_passfile_is_passed_on_and_its_content_is_not_read(tmp_path: pathlib.Path) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:*:{SECRET}\n", encoding="utf-8")
    passfile.chmod(0o600)
    environment = PostgresConnection.from_description({"passfile": str(passfile)}).environment(runner=RUNNER)
    assert environment["PGPASSFILE"] == str(passfile)
    assert SECRET not in environment.values()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_passfile_that_others_can_read_is_refused(tmp_path: pathlib.Path, mode: int) -> None:
    passfile = tmp_path / "pgpass"
    passfile.touch()
    passfile.chmod(mode)
    with pytest.raises(SecretUnavailable) as caught:
        PostgresConnection.from_description({"passfile": str(passfile)}).environment(runner=RUNNER)
    assert caught.value.hint == f"Run: chmod 0600 {passfile}"


def test_a_missing_passfile_is_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SecretUnavailable, match="No such file"):
        PostgresConnection.from_description({"passfile": str(tmp_path / "none")}).environment(runner=RUNNER)


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"hostname": "db1"}, "no option hostname"),
        ({"sslmode": "yes"}, "sslmode 'yes'"),
        ({"port": 0}, "port is 0"),
        ({"port": "five"}, "port is 'five'"),
        ({"connect_timeout": -1}, "connect_timeout is -1"),
        ({"password_file": "/a", "password_env": "B"}, "given 2 times"),
        ({"password_file": "/a", "passfile": "/b"}, "both a password and a passfile"),
    ],
)
def test_a_description_that_can_not_be_is_refused(description: dict[str, t.Any], words: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        PostgresConnection.from_description(description)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_password_by_value_is_never_shown() -> None:
    connection = PostgresConnection.from_description({"password": SECRET, "host": "db1"})
    assert SECRET not in repr(connection)
    assert SECRET not in repr(connection.address())


@pytest.mark.parametrize("description", [7, "host", ["host"]])
def test_a_connection_that_is_no_mapping_is_refused(description: t.Any) -> None:
    with pytest.raises(RequestInvalid, match="must be a mapping"):
        PostgresConnection.from_description(description)
