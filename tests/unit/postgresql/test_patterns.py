# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_dump's patterns as regular expressions; that both choose the same tables is shown on a real server."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.options import LogicalOptions
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.patterns import (
    Pattern,
    parse_pattern,
    pg_dump_selection,
    selection_condition,
)


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("users", "", "^(users)$"),
        ("Users", "", "^(users)$"),
        ('"Users"', "", "^(Users)$"),
        ("public.t*", "^(public)$", "^(t.*)$"),
        ("t?", "", "^(t.)$"),
        ("a$b", "", r"^(a\$b)$"),
        ('"a.b"', "", r"^(a\.b)$"),
        ('"a*"."b?"', r"^(a\*)$", r"^(b\?)$"),
        ('"say ""hi"""', "", '^(say "hi")$'),
        ("[ab]c|d", "", "^([ab]c|d)$"),
        ("db.public.t", "^(public)$", "^(t)$"),
        ('S"chE"ma.x', "^(schEma)$", "^(x)$"),
    ],
)
def test_a_pattern_is_translated(text: str, schema: str, name: str) -> None:
    assert parse_pattern(text) == Pattern(schema=schema, name=name)


def test_without_a_selection_everything_is_counted() -> None:
    assert selection_condition(LogicalOptions()) == ("true", [])
    assert pg_dump_selection(LogicalOptions()) == []


def test_values_are_never_part_of_the_statement() -> None:
    options = LogicalOptions(include_tables=("x'; DROP TABLE y; --",), exclude_tables=("a.b",))
    condition, values = selection_condition(options)
    assert "DROP" not in condition
    assert condition.count("%s") == len(values) == 3


def test_pg_dump_gets_the_same_selection() -> None:
    options = LogicalOptions(include_schemas=("a*",), exclude_tables=("b", "c.d"), exclude_table_data=("log",))
    assert pg_dump_selection(options) == [
        "--schema=a*",
        "--exclude-table=b",
        "--exclude-table=c.d",
        "--exclude-table-data=log",
    ]
