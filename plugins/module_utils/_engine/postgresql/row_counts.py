# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of restored tables against those counted in the dump's own snapshot."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .questions import table_name
from .session import Session


@dataclass(frozen=True)
class RowComparison:
    """*tables* and *rows* were counted; *differences* says in words what is not as noted. Empty is good."""

    tables: int
    rows: int
    differences: tuple[str, ...]


def noted_tables(
    content: t.Mapping[str, t.Any], *, wanted: t.Collection[tuple[str, str]] | None = None
) -> dict[tuple[str, str], int] | None:
    """Rows by schema and table from a database's part of the manifest's content; None when they were not counted.

    *wanted* leaves only those (None: all).
    """
    tables = content.get("tables")
    if not isinstance(tables, dict):
        return None
    found = {}
    for text, entry in tables.items():
        _database, schema, table = table_name(text)
        if wanted is None or (schema, table) in wanted:
            found[schema, table] = int(entry["rows"])
    return found


def compare_rows(session: Session, noted: t.Mapping[tuple[str, str], int]) -> RowComparison:
    """Count every noted table in the session's database, in one snapshot, without those that inherit from it."""
    differences: list[str] = []
    rows = 0
    session.rows("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    for (schema, table), expected in noted.items():
        # Quoted by the server: the names come from a file that others may have written.
        name = session.value("SELECT pg_catalog.format('%%I.%%I', %s::text, %s::text)", [schema, table])
        if session.value("SELECT pg_catalog.to_regclass(%s)", [name]) is None:
            differences.append(f"{name} is missing")
            continue
        found = int(session.value(f"SELECT count(*) FROM ONLY {name}"))  # noqa: S608 quoted by the server
        rows += found
        if found != expected:
            differences.append(f"{name} has {found} rows instead of {expected}")
    session.rows("ROLLBACK")
    return RowComparison(tables=len(noted), rows=rows, differences=tuple(differences))
