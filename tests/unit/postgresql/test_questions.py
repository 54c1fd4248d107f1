# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of names of tables and of values on their way from SQL to an answer."""

from __future__ import annotations

import datetime
import decimal
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    QuestionFailed,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.connection import PostgresConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.questions import (
    Questioner,
    as_answer,
    table_name,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import question_from


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("users", ("", "", "users")),
        ("app.users", ("", "app", "users")),
        ("shop.app.users", ("shop", "app", "users")),
        ('"Odd.Schema"."a ""b"""', ("", "Odd.Schema", 'a "b"')),
        ("Users", ("", "", "Users")),
    ],
)
def test_the_parts_of_a_tables_name(name: str, parts: tuple[str, str, str]) -> None:
    assert table_name(name) == parts


@pytest.mark.parametrize("name", ["", "app.", "a.b.c.d"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(RequestInvalid, match="is not the name of a table"):
        table_name(name)


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (0.5, 0.5),
        (float("nan"), "nan"),
        (decimal.Decimal(12345678901234567890), 12345678901234567890),
        (decimal.Decimal("2.50"), 2.5),
        (decimal.Decimal("NaN"), "NaN"),
        (datetime.timedelta(minutes=2), 120.0),
        (datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc), "2026-11-21T00:00:00+00:00"),
        (datetime.date(2026, 11, 21), "2026-11-21"),
        (memoryview(b"\x00\xff"), "00ff"),
        (["a"], "['a']"),
    ],
)
def test_values_become_json(value: t.Any, answer: t.Any) -> None:
    assert as_answer(value) == answer


def questioner(*databases: str) -> Questioner:
    nowhere = PostgresConnection(host="127.0.0.1", port=1)
    return Questioner(connection=nowhere, runner=SubprocessRunner(), databases=databases)


@pytest.mark.parametrize(
    ("description", "databases", "problem"),
    [
        ({"sql": "select 1"}, ("shop", "crm"), "names no database, and the backup has shop, crm"),
        ({"sql": "select 1"}, (), "names no database, and the backup has none"),
        ({"sql": "select 1", "database": "crm"}, ("shop",), "the database crm, which is not in the backup"),
        ({"count": {"collection": "users"}}, ("shop",), "PostgreSQL is asked in SQL"),
        ({"sql": " "}, ("shop",), "PostgreSQL is asked in SQL"),
        ({"sql": "select 1"}, ("shop", "postgres"), "could not be asked of the database shop"),
    ],
)
def test_questions_that_cannot_be_asked(
    description: dict[str, t.Any], databases: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(QuestionFailed, match=problem):
        questioner(*databases).ask(question_from({"name": "q", **description}))
