# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S608 the parts of the statements are all in this file
"""How many indexes, constraints and the like a database has: noted with a dump, asked again of what was restored."""

from __future__ import annotations

from .session import Session

_USERS = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
_NOT_OF_EXTENSION = (
    "NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = '{catalog}'::regclass AND e.objid = {oid}"
    " AND e.deptype = 'e')"
)
_OF_TABLE = (
    "JOIN pg_catalog.pg_class c ON c.oid = {column} JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE "
    + _USERS
    + " AND "
    + _NOT_OF_EXTENSION.format(catalog="pg_catalog.pg_class", oid="c.oid")
)
_RELATIONS = (
    "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE "
    + _USERS
    + " AND c.relpersistence <> 't' AND "
    + _NOT_OF_EXTENSION.format(catalog="pg_catalog.pg_class", oid="c.oid")
)
# What other versions of PostgreSQL make by themselves (constraints NOT NULL from 18 on) is left out.
_STATEMENTS = {
    "tables": _RELATIONS + " AND c.relkind IN ('r', 'p', 'f')",
    "views": _RELATIONS + " AND c.relkind IN ('v', 'm')",
    "sequences": _RELATIONS + " AND c.relkind = 'S'",
    "indexes": "SELECT count(*) FROM pg_catalog.pg_index i " + _OF_TABLE.format(column="i.indrelid"),
    "constraints": "SELECT count(*) FROM pg_catalog.pg_constraint o "
    + _OF_TABLE.format(column="o.conrelid")
    + " AND o.contype IN ('c', 'f', 'p', 'u', 'x') AND o.conparentid = 0",
    "triggers": "SELECT count(*) FROM pg_catalog.pg_trigger g "
    + _OF_TABLE.format(column="g.tgrelid")
    + " AND NOT g.tgisinternal",
    "functions": "SELECT count(*) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
    " WHERE " + _USERS + " AND " + _NOT_OF_EXTENSION.format(catalog="pg_catalog.pg_proc", oid="p.oid"),
}


def count_objects(session: Session) -> dict[str, int]:
    """The objects of users in the session's database, by kind; those that extensions bring are left out."""
    return {kind: int(session.value(statement)) for kind, statement in _STATEMENTS.items()}
