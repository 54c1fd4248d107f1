# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifications of logical dumps by the operation: what the source answered meanwhile, and what says nothing."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import run_backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import BackupResult
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.description_requests import (
    proof_of,
    repositories_of,
    source_of,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.jobs import backup_request
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify import run_verifications
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify_values import (
    VerifyRequest,
    VerifyResult,
)
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.rig import connection_to, database, psql

NAME = "noted"
USERS = {
    "name": "users",
    "database": NAME,
    "sql": "select count(*) from users",
    "within_percent_of": {"reference": "noted", "percent": 0},
}


class Place:
    """One job, and the verification of what it makes."""

    def __init__(self, server: PostgreSQLServer, folder: Path, *questions: dict[str, t.Any]) -> None:
        address = connection_to(server)
        self.folder = folder
        self.server = server
        self.scratch = folder / "scratch"
        self.host = Host(journal=MemoryJournal())
        connection = {"host": address.host, "port": address.port, "user": address.user}
        self.description = load_description(
            {
                "lifeboat_settings": {"state_directory": str(folder / "state")},
                "lifeboat_repositories": {"it": {"type": "file", "path": str(folder / "repository"), "create": True}},
                "lifeboat_services": [
                    {
                        "name": "shop",
                        "sources": [
                            {
                                "name": "main",
                                "engine": "postgresql",
                                "connection": {**connection, "password": server.password},
                                "backups": [
                                    {
                                        "kind": "logical",
                                        "options": {"databases": [NAME]},
                                        "repositories": ["it"],
                                        "keep": {"within": "1d"},
                                    }
                                ],
                                "verify": {"level": 4, "questions": list(questions)},
                            }
                        ],
                    }
                ],
            }
        )

    def back_up(self) -> BackupResult:
        (job,) = self.description.jobs(["shop/main/logical"])
        return run_backup(backup_request(job), host=self.host)

    def verify(self) -> VerifyResult:
        source = source_of(self.description, "shop", "main")
        request = VerifyRequest(
            repositories=repositories_of(self.description),
            selection=Selection(service="shop", source="main", kind="logical"),
            proof=proof_of(source, level=4),
            scratch_directory=str(self.scratch),
            state_directory=str(self.folder / "state"),
        )
        return run_verifications(request, host=self.host)

    def verify_in(self, scratch: Path) -> VerifyResult:
        self.scratch = scratch
        return self.verify()

    def check(self, result: VerifyResult, name: str) -> t.Mapping[str, t.Any]:
        verification = result.outcomes[0].verification
        assert verification is not None
        (check,) = (check for check in verification.checks if check["name"] == name)
        return check


@pytest.fixture
def server(distribution_server: PostgreSQLServer) -> t.Iterator[PostgreSQLServer]:
    with database(distribution_server, NAME):
        psql(distribution_server, "CREATE TABLE users AS SELECT generate_series(1, 100) AS id", database=NAME)
        yield distribution_server


def test_a_copy_that_answers_as_the_source_did_is_proved(server: PostgreSQLServer, tmp_path: Path) -> None:
    place = Place(server, tmp_path, USERS)
    made = place.back_up()
    assert made.manifest.content["answers"] == {"users": [100, 100]}
    # What the source answers today is of no matter.
    psql(server, "DELETE FROM users WHERE id > 7", database=NAME)
    result = place.verify()
    assert result.error is None, result.error
    check = place.check(result, "users")
    assert (check["state"], check["found"]) == ("passed", 100)


def test_a_copy_that_answers_otherwise_is_not_proved(server: PostgreSQLServer, tmp_path: Path) -> None:
    place = Place(server, tmp_path, {**USERS, "sql": "select reltuples from pg_class where relname = 'users'"})
    # An answer that is of the source alone: its statistics, which a dump doesn't carry.
    psql(server, "ANALYZE users", database=NAME)
    made = place.back_up()
    assert made.manifest.content["answers"] == {"users": [100, 100]}
    result = place.verify()
    assert result.error is not None
    check = place.check(result, "users")
    assert check["state"] == "failed"
    assert "noted (100)" in check["message"]


def test_what_can_not_be_asked_of_the_source_does_not_stop_the_backup(server: PostgreSQLServer, tmp_path: Path) -> None:
    broken = {**USERS, "name": "broken", "sql": "select count(*) from usres"}
    place = Place(server, tmp_path, broken, USERS)
    made = place.back_up()
    assert not made.is_partial
    assert made.manifest.content["answers"] == {"users": [100, 100]}
    assert any("broken" in warning and "usres" in warning for warning in made.manifest.warnings)


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root runs the server himself")
def test_a_scratch_folder_that_the_account_can_not_enter_says_nothing_about_the_backup(
    server: PostgreSQLServer, tmp_path: Path
) -> None:
    place = Place(server, tmp_path, USERS)
    place.back_up()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    result = place.verify_in(closed / "scratch")
    (outcome,) = result.outcomes
    assert outcome.state == "error", outcome.verification
    assert outcome.error is not None
    assert outcome.error.code == "verify.scratch_unusable"
    assert "namei -l" in outcome.error.hint
    assert list((closed / "scratch").iterdir()) == []
    assert place.verify_in(tmp_path / "open").error is None
