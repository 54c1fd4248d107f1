# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions change nothing and end in time; required tables are found wherever they are."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import QuestionFailed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.questions import Questioner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import question_from
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql import sample
from tests.integration.postgresql.rig import RUNNER, connection_to, database

NAME = "asked 100%"


@pytest.fixture
def questioner(server: PostgreSQLServer) -> t.Iterator[Questioner]:
    with database(server, NAME, script=sample.script(NAME)):
        yield Questioner(connection=connection_to(server), runner=RUNNER, databases=(NAME, "postgres"), timeout=1.0)


def ask(questioner: Questioner, statement: str, **more: t.Any) -> t.Any:
    return questioner.ask(question_from({"name": "q", "sql": statement, **more}))


@pytest.mark.parametrize(
    ("statement", "answer"),
    [
        ("select count(*) from app.users where is_active;", 4286),
        ("select count(*) from app.users where name like '%5%' -- a comment at the end", 1356),
        ("with active as (select * from app.active) select count(*) from active", 4286),
        ("select sum(id) from app.users", 12502500),
        ("select avg(id) from app.users", 2500.5),
        ("select id from app.users where false", None),
        ("select exists (select from app.tasks)", True),
        ("select timestamptz '2026-01-01 01:00+01'", "2026-01-01T00:00:00+00:00"),
    ],
)
def test_answers(questioner: Questioner, statement: str, answer: t.Any) -> None:
    assert ask(questioner, statement) == answer


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("select count(*) from nowhere", "nowhere"),
        ("select id from app.users", "more than one row"),
        ("select 1, 2", "2 columns"),
        ("select pg_sleep(20)", "timeout"),
        ("delete from app.users", "syntax error|could not be asked"),
        ("select 1; delete from app.users", "could not be asked|more than one"),
        ("select nextval('app.users_id_seq')", "read-only"),
        ("select 1; commit; delete from app.users", "read-only|could not be asked"),
    ],
)
def test_what_cannot_be_asked_fails_and_changes_nothing(questioner: Questioner, statement: str, problem: str) -> None:
    with pytest.raises(QuestionFailed, match=problem):
        ask(questioner, statement)
    assert ask(questioner, "select count(*) from app.users") == 5000


def test_another_database_is_asked_by_its_name(questioner: Questioner) -> None:
    assert ask(questioner, "select current_database()::text", database="postgres") == "postgres"
    assert ask(questioner, "select current_database()::text") == NAME


def test_required_tables(questioner: Questioner) -> None:
    names = [
        "users",
        "app.tasks",
        "active",
        "public.users",
        'Odd Schema."täble ""q"" x"',
        f"{NAME}.app.users",
        "nothing",
    ]
    found = {check.name.removeprefix("table "): check for check in questioner.require(names)}
    assert [name for name, check in found.items() if check.state == "failed"] == ["public.users", "nothing"]
    assert found["users"].found == [f"{NAME}.app.users"]
    assert "is not in" in found["nothing"].message
