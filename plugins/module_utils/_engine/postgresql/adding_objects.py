# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a dump is new to a database, what is there already, and how to remove again what was added."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RestoreTargetInvalid
from .dump_selection import RELATIONS, Selection
from .dump_toc import TocEntry
from .session import Session

# They belong to the database as a whole, or act on tables that were there before.
_NEVER_ADDED = (
    "DATABASE", "DATABASE PROPERTIES", "PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA",
    "SUBSCRIPTION", "SUBSCRIPTION TABLE", "EVENT TRIGGER", "DEFAULT ACL",
)  # fmt: skip
_ABOUT = ("COMMENT", "ACL", "SECURITY LABEL")
_ROUTINES = ("FUNCTION", "PROCEDURE", "AGGREGATE")
# Everything else falls with the table that it belongs to.
_REMOVED = (*RELATIONS, *_ROUTINES, "SCHEMA", "EXTENSION", "TYPE", "DOMAIN", "COLLATION", "SERVER", "BLOB")
_NAMED_BY_CATALOG: t.Mapping[str, str] = {
    "SCHEMA": "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = %s",
    "EXTENSION": "SELECT extname FROM pg_catalog.pg_extension WHERE extname = %s",
    "SERVER": "SELECT srvname FROM pg_catalog.pg_foreign_server WHERE srvname = %s",
    "FOREIGN DATA WRAPPER": "SELECT fdwname FROM pg_catalog.pg_foreign_data_wrapper WHERE fdwname = %s",
}
_BY_SCHEMA = (
    "SELECT 1 FROM pg_catalog.{catalog} o JOIN pg_catalog.pg_namespace n ON n.oid = o.{schema}"
    " WHERE n.nspname = %s AND o.{name} = %s"
)
_CATALOGS: t.Mapping[str, tuple[str, str, str]] = {
    "TYPE": ("pg_type", "typnamespace", "typname"),
    "SHELL TYPE": ("pg_type", "typnamespace", "typname"),
    "DOMAIN": ("pg_type", "typnamespace", "typname"),
    "COLLATION": ("pg_collation", "collnamespace", "collname"),
    **dict.fromkeys(RELATIONS, ("pg_class", "relnamespace", "relname")),
}


@dataclass(frozen=True)
class Additions:
    """*selection* is new to the database; *there* is what it has already and keeps; *relations* are the new tables."""

    selection: Selection
    there: tuple[str, ...]
    relations: tuple[str, ...]


def additions(session: Session, selection: Selection) -> Additions:
    """Hold a selection against the session's database.

    Schemas, extensions, types and functions that are there stay as they are. Raises RestoreTargetInvalid when a table,
    view or sequence is there: rows would be mixed or doubled.
    """
    candidates = [entry for entry in selection.entries if not _is_never_added(entry)]
    there = [entry for entry in candidates if _is_there(session, entry)]
    colliding = [_full_name(entry) for entry in there if entry.kind in RELATIONS]
    if colliding:
        raise RestoreTargetInvalid(
            f"The database has {', '.join(colliding[:5])}"
            + (f" and {len(colliding) - 5} more of the dump's tables" if len(colliding) > 5 else "")
            + " already; nothing is added to them.",
            hint="Choose others with tables, rename those that are there, or restore beside (without existing).",
            details={"tables": colliding},
        )
    kept = {entry.id for entry in there}
    new = [
        entry
        for entry in candidates
        if entry.id not in kept and not (entry.kind in _ABOUT and kept.intersection(entry.needs))
    ]
    return Additions(
        selection=Selection(
            entries=tuple(new),
            left_out=(*selection.left_out, *_left_out(selection)),
            is_whole=selection.is_whole,
        ),
        there=tuple(f"{entry.kind.lower()} {_full_name(entry)}" for entry in there),
        relations=tuple(_full_name(entry) for entry in new if entry.kind in RELATIONS),
    )


def drop_statements(selection: Selection) -> list[str]:
    """What removes the entries again, the last first. Nothing is removed on which something else depends by now."""
    found = []
    for entry in reversed(selection.entries):
        drop = entry.drop.strip()
        if entry.kind not in _REMOVED or not drop:
            continue
        head = f"DROP {entry.kind} "
        found.append(f"DROP {entry.kind} IF EXISTS {drop[len(head) :]}" if drop.startswith(head) else drop)
    return found


def marker_name(restore_id: str) -> str:
    """The schema that is there if and only if the transaction of that restore was committed; needs no quotes."""
    return f"lifeboat_restore_{restore_id.lower().replace('-', '_')}"


def _is_never_added(entry: TocEntry) -> bool:
    return entry.kind in _NEVER_ADDED or (entry.kind in _ABOUT and entry.name.startswith("DATABASE "))


def _left_out(selection: Selection) -> list[str]:
    counts: dict[str, int] = {}
    for entry in selection.entries:
        if entry.kind in _NEVER_ADDED and not entry.kind.startswith("DATABASE"):
            counts[entry.kind.lower()] = counts.get(entry.kind.lower(), 0) + 1
    return [f"{kind} ({count})" for kind, count in counts.items()]


def _is_there(session: Session, entry: TocEntry) -> bool:
    if entry.kind in _ROUTINES:
        name, parenthesis, arguments = entry.name.partition("(")
        return (
            session.value(
                "SELECT pg_catalog.to_regprocedure(pg_catalog.format('%%I.%%I', %s::text, %s::text) || %s)",
                [entry.schema, name, parenthesis + arguments],
            )
            is not None
        )
    if entry.kind in _NAMED_BY_CATALOG:
        return bool(session.rows(_NAMED_BY_CATALOG[entry.kind], [entry.name]))
    if entry.kind in _CATALOGS:
        catalog, schema, name = _CATALOGS[entry.kind]
        statement = _BY_SCHEMA.format(catalog=catalog, schema=schema, name=name)
        return bool(session.rows(statement, [entry.schema, entry.name]))
    return False


def _full_name(entry: TocEntry) -> str:
    return f"{entry.schema}.{entry.name}" if entry.schema else entry.name
