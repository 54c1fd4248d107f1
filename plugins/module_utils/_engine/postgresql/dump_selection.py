# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entries of a dump are restored: all, chosen schemas, or chosen tables with what belongs to them. Pure.

``pg_restore --table`` leaves out indexes, constraints, triggers, defaults and sequences of the table; here a table
comes with all of these, because the table of contents says what depends on what.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import PostgresNothingSelected
from .dump_toc import DumpToc, TocEntry
from .questions import table_name

RELATIONS = ("TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE")
#: What a table may need that is made with it where it is not there yet.
PREREQUISITES = (
    "SCHEMA", "EXTENSION", "TYPE", "SHELL TYPE", "DOMAIN", "COLLATION", "FUNCTION", "AGGREGATE", "PROCEDURE",
    "OPERATOR", "OPERATOR CLASS", "OPERATOR FAMILY", "ACCESS METHOD", "SEQUENCE", "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY", "TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE", "SERVER", "FOREIGN DATA WRAPPER",
    "LANGUAGE", "PROCEDURAL LANGUAGE",
)  # fmt: skip
#: What belongs to a table and comes with it.
_BELONGINGS = (
    "TABLE DATA", "MATERIALIZED VIEW DATA", "INDEX", "INDEX ATTACH", "TABLE ATTACH", "CONSTRAINT", "CHECK CONSTRAINT",
    "FK CONSTRAINT", "TRIGGER", "DEFAULT", "RULE", "POLICY", "ROW SECURITY", "COMMENT", "ACL", "SECURITY LABEL",
    "SEQUENCE", "SEQUENCE OWNED BY", "SEQUENCE SET", "STATISTICS", "STATISTICS DATA",
)  # fmt: skip
#: What could make a copy of a database act on other servers. pg_cron exists in one database of a cluster only.
_REACHING_OUT = ("SUBSCRIPTION", "SUBSCRIPTION TABLE")
_SCHEDULERS = ("pg_cron",)
_SCHEDULER_SCHEMAS = ("cron",)
#: What a throw-away copy must not have in addition: code that runs by itself and passwords of other servers.
_NOT_IN_SCRATCH = (*_REACHING_OUT, "EVENT TRIGGER", "USER MAPPING")
_ABOUT_IT = ("COMMENT", "ACL", "SECURITY LABEL")
_ABOUT_OTHERS = (*_ABOUT_IT, "TABLE DATA")


@dataclass(frozen=True)
class Selection:
    """What is restored of a dump, in its order, and in words what was left out on purpose."""

    entries: tuple[TocEntry, ...]
    left_out: tuple[str, ...] = ()
    is_whole: bool = True

    @property
    def tables(self) -> frozenset[tuple[str, str]]:
        """Schema and name of each table whose rows are restored."""
        return frozenset((entry.schema, entry.name) for entry in self.entries if entry.kind == "TABLE DATA")

    def only(self, identifiers: t.Collection[int]) -> Selection:
        """The part of it that has these ids."""
        entries = tuple(entry for entry in self.entries if entry.id in identifiers)
        return Selection(entries=entries, left_out=self.left_out, is_whole=False)

    def list_file(self) -> bytes:
        """What ``pg_restore --use-list`` takes; it looks at the numbers only."""
        return "".join(f"{entry.id};\n" for entry in self.entries).encode("ascii")


def select(toc: DumpToc, *, schemas: t.Sequence[str] = (), tables: t.Sequence[str] = ()) -> Selection:
    """Everything; or the *schemas* with all that is in them and the *tables* with all that belongs to them.

    Tables are named ``table`` or ``schema.table``. Raises PostgresNothingSelected for a name that the
    dump doesn't have.
    """
    if not schemas and not tables:
        return Selection(entries=toc.entries)
    chosen: set[int] = set()
    for schema in schemas:
        chosen |= _schema(toc, schema)
    if tables:
        chosen |= _Tables(toc).closure({entry.id for name in tables for entry in _relations(toc, name)})
    # Encoding and the like are settings of the session that loads.
    chosen |= {entry.id for entry in toc.of_kind("ENCODING", "STDSTRINGS", "SEARCHPATH")}
    large_objects = any(toc.of_kind("BLOBS"))
    return Selection(
        entries=tuple(entry for entry in toc.entries if entry.id in chosen),
        left_out=("large objects: they belong to no table",) if large_objects else (),
        is_whole=False,
    )


def without_reaching_out(selection: Selection) -> Selection:
    """Without what would make a copy beside production compete with it."""
    return _without(selection, kinds=_REACHING_OUT)


def for_scratch(selection: Selection) -> Selection:
    """Without whatever could reach outside or run by itself in a throw-away copy."""
    found = _without(selection, kinds=_NOT_IN_SCRATCH)
    by_id = {entry.id: entry for entry in found.entries}
    far = {
        entry.id
        for entry in found.entries
        if entry.kind == "MATERIALIZED VIEW DATA" and _needs_foreign(entry, by_id, seen=set())
    }
    if not far:
        return found
    return Selection(
        entries=tuple(entry for entry in found.entries if entry.id not in far),
        left_out=(*found.left_out, f"the rows of {len(far)} materialized views over foreign tables"),
        is_whole=found.is_whole,
    )


def _without(selection: Selection, *, kinds: t.Collection[str]) -> Selection:
    schedulers = {entry.id for entry in selection.entries if entry.kind == "EXTENSION" and entry.name in _SCHEDULERS}
    gone = schedulers | {entry.id for entry in selection.entries if entry.kind in kinds}
    counts: dict[str, int] = {}
    for entry in selection.entries:
        if entry.id in gone:
            word = f"extension {entry.name}" if entry.id in schedulers else entry.kind.lower()
            counts[word] = counts.get(word, 0) + 1
    for entry in selection.entries:
        is_its_own = bool(schedulers) and entry.schema in _SCHEDULER_SCHEMAS
        if entry.kind in _ABOUT_OTHERS and (is_its_own or gone.intersection(entry.needs)):
            gone.add(entry.id)
    return Selection(
        entries=tuple(entry for entry in selection.entries if entry.id not in gone),
        left_out=(*selection.left_out, *(f"{word} ({count})" for word, count in counts.items())),
        is_whole=selection.is_whole,
    )


def _needs_foreign(entry: TocEntry, by_id: t.Mapping[int, TocEntry], *, seen: set[int]) -> bool:
    stack = [entry]
    while stack:
        current = stack.pop()
        if current.kind == "FOREIGN TABLE":
            return True
        for identifier in current.needs:
            if identifier in by_id and identifier not in seen:
                seen.add(identifier)
                stack.append(by_id[identifier])
    return False


def _schema(toc: DumpToc, schema: str) -> set[int]:
    inside = {entry.id for entry in toc.entries if entry.schema == schema}
    itself = {entry.id for entry in toc.of_kind("SCHEMA") if entry.name == schema}
    # The schema public is in every database and not in the dump, as long as nobody changed it.
    if not itself and not inside:
        known = sorted({entry.name for entry in toc.of_kind("SCHEMA")} | {e.schema for e in toc.entries if e.schema})
        raise PostgresNothingSelected(
            f"The dump of {toc.database} has no schema {schema}.", hint=f"It has: {', '.join(known) or 'none'}."
        )
    about = {entry.id for entry in toc.entries if entry.kind in _ABOUT_OTHERS and itself.intersection(entry.needs)}
    needed = {
        entry.id
        for entry in toc.entries
        if entry.kind in ("EXTENSION", "LANGUAGE", "PROCEDURAL LANGUAGE", "FOREIGN DATA WRAPPER", "SERVER")
        and any(entry.id in other.needs for other in toc.entries if other.id in inside)
    }
    return inside | itself | about | needed


def _relations(toc: DumpToc, name: str) -> list[TocEntry]:
    database, schema, table = table_name(name)
    found = [entry for entry in toc.of_kind(*RELATIONS) if entry.name == table and schema in ("", entry.schema)]
    if not found or database not in ("", toc.database):
        raise PostgresNothingSelected(
            f"The dump of {toc.database} has no table {name}.",
            hint="Look what it has: pg_restore --list   (see the backup's RESTORE.md). Names are written as they are "
            "stored: table or schema.table.",
        )
    return found


class _Tables:
    """What belongs to tables, found by what needs what."""

    def __init__(self, toc: DumpToc) -> None:
        self._by_id = {entry.id: entry for entry in toc.entries}
        self._entries = toc.entries
        self._attached = [entry for entry in toc.of_kind("TABLE ATTACH") if len(entry.needs) >= 2]
        self._partitions = {
            (child, parent)
            for entry in self._attached
            for child in entry.needs
            for parent in entry.needs
            if child != parent and self._is_child(child, entry)
        }

    def closure(self, tables: set[int]) -> set[int]:
        core = self._with_partitions(set(tables))
        while True:  # what belongs to what belongs to them, too: a comment on an index, the value of a sequence
            found = {entry.id for entry in self._entries if entry.id not in core and self._belongs(entry, core)}
            if not found:
                break
            core |= found
        needed = self._prerequisites(core)
        about = {entry.id for entry in self._entries if entry.kind in _ABOUT_IT and needed.intersection(entry.needs)}
        return core | needed | about

    def _with_partitions(self, chosen: set[int]) -> set[int]:
        while True:
            more = {
                other
                for entry in self._attached
                if chosen.intersection(entry.needs)
                for other in entry.needs
                if other not in chosen and self._is_child(other, entry)
            }
            if not more:
                return chosen
            chosen |= more

    def _is_child(self, identifier: int, attach: TocEntry) -> bool:
        entry = self._by_id.get(identifier)
        return (
            entry is not None and entry.kind in RELATIONS and (entry.schema, entry.name) == (attach.schema, attach.name)
        )

    def _prerequisites(self, of: set[int]) -> set[int]:
        """Also the bare definition of a table that a chosen one inherits from: without it there is none."""
        found: set[int] = set()
        stack = [self._by_id[identifier] for identifier in of]
        while stack:
            entry = stack.pop()
            for identifier in entry.needs:
                needed = self._by_id.get(identifier)
                if needed is None or identifier in found or identifier in of:
                    continue
                is_parent = (
                    entry.kind in RELATIONS
                    and needed.kind in RELATIONS
                    and (entry.id, needed.id) not in self._partitions
                )
                if needed.kind in PREREQUISITES or is_parent:
                    found.add(identifier)
                    stack.append(needed)
        return found

    def _belongs(self, entry: TocEntry, core: set[int]) -> bool:
        """A foreign key to a table that is not restored doesn't: it could not be made."""
        return (
            entry.kind in _BELONGINGS
            and bool(core.intersection(entry.needs))
            and all(identifier in core or self._is_no_obstacle(identifier, entry=entry) for identifier in entry.needs)
        )

    def _is_no_obstacle(self, identifier: int, *, entry: TocEntry) -> bool:
        needed = self._by_id.get(identifier)
        if needed is None or needed.kind in PREREQUISITES:
            return True
        # The index of one partition stands without the one of the whole.
        return entry.kind in ("INDEX", "CONSTRAINT") and needed.kind in ("INDEX", "CONSTRAINT")
