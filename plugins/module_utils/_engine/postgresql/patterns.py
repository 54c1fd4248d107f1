# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_dump's patterns for schemas and tables as conditions of a query, so that what is counted is what is dumped.

The rules are those of the section "Patterns" of psql's manual, to which pg_dump's refers: ``*`` any characters, ``?``
one character, upper case is folded to lower case and a dot separates the schema unless in double quotes, everything
else is a regular expression that must match the whole name.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .options import LogicalOptions


@dataclass(frozen=True)
class Pattern:
    """A pattern in the form of PostgreSQL's regular expressions; *schema* is empty when the pattern has no dot."""

    schema: str
    name: str


def parse_pattern(text: str) -> Pattern:
    """Translate one pattern. Of several dots the last one separates: a database may stand before the schema."""
    parts = [""]
    quoted = False
    position = 0
    while position < len(text):
        character = text[position]
        if character == '"':
            if quoted and text[position + 1 : position + 2] == '"':
                parts[-1] += '"'
                position += 1
            else:
                quoted = not quoted
        elif character == "." and not quoted:
            parts.append("")
        else:
            parts[-1] += _translate(character, quoted=quoted)
        position += 1
    return Pattern(schema=_anchored(parts[-2]) if len(parts) > 1 else "", name=_anchored(parts[-1]))


def _anchored(expression: str) -> str:
    return f"^({expression})$"


def _translate(character: str, *, quoted: bool) -> str:
    if quoted:
        return f"\\{character}" if character in "|*+?()[]{}.^$\\" else character
    if character == "*":
        return ".*"
    if character == "?":
        return "."
    if character == "$":  # may stand in a name, so it is never the end of the line
        return "\\$"
    return character.lower()


def selection_condition(options: LogicalOptions) -> tuple[str, list[str]]:
    """A condition on ``n`` (pg_namespace) and ``c`` (pg_class) for the tables whose rows are dumped, and its values."""
    conditions: list[str] = []
    values: list[str] = []

    def add(patterns: t.Sequence[str], *, tables: bool, wanted: bool) -> None:
        if not patterns:
            return
        either = []
        for text in patterns:
            pattern = parse_pattern(text)
            condition, expressions = _table_condition(pattern) if tables else ("n.nspname ~ %s", [pattern.name])
            either.append(condition)
            values.extend(expressions)
        conditions.append(("" if wanted else "NOT ") + "(" + " OR ".join(either) + ")")

    add(options.include_schemas, tables=False, wanted=True)
    add(options.exclude_schemas, tables=False, wanted=False)
    add(options.include_tables, tables=True, wanted=True)
    add(options.exclude_tables, tables=True, wanted=False)
    add(options.exclude_table_data, tables=True, wanted=False)
    return " AND ".join(conditions) or "true", values


def _table_condition(pattern: Pattern) -> tuple[str, list[str]]:
    if pattern.schema:
        return "(n.nspname ~ %s AND c.relname ~ %s)", [pattern.schema, pattern.name]
    # Without a schema a pattern means what is found without naming one.
    return "(c.relname ~ %s AND pg_catalog.pg_table_is_visible(c.oid))", [pattern.name]


def pg_dump_selection(options: LogicalOptions) -> list[str]:
    """The same selection as arguments of pg_dump."""
    chosen = (
        ("--schema", options.include_schemas),
        ("--exclude-schema", options.exclude_schemas),
        ("--table", options.include_tables),
        ("--exclude-table", options.exclude_tables),
        ("--exclude-table-data", options.exclude_table_data),
    )
    return [f"{option}={pattern}" for option, patterns in chosen for pattern in patterns]
