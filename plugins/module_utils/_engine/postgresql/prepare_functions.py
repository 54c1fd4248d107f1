# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions of the server that only a superuser may call at first: for labels, and for base backups of WAL-G.

Such a right holds in one database, the one that the jobs come to. It must go before the role can be dropped.
"""

from __future__ import annotations

import typing as t

from ..core.preparation import Change, PreparationNote, Step
from .session import Session

_PART = "functions"
_FOR_LABELS = ("pg_create_restore_point(text)", "pg_switch_wal()")
_RENAMED_SINCE = 150000
_FOR_WALG = ("pg_backup_start(text, boolean)", "pg_backup_stop(boolean)")
_FOR_WALG_BEFORE = ("pg_start_backup(text, boolean, boolean)", "pg_stop_backup(boolean, boolean)")
_FOR_REWIND = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)


def functions_needed(*, labels: bool, walg: bool, version: int, rewind: bool = False) -> tuple[str, ...]:
    """The least: a restore point and the end of its segment; the begin and the end of a backup that WAL-G makes; what
    pg_rewind reads its source by.
    """
    backup = _FOR_WALG if version >= _RENAMED_SINCE else _FOR_WALG_BEFORE
    return (*(_FOR_LABELS if labels else ()), *(backup if walg else ()), *(_FOR_REWIND if rewind else ()))


def noted_database(session: Session, *, note: PreparationNote) -> str:
    """Where calls were allowed; empty when none were, or when that database is gone and the rights with it."""
    database = str((note.content.get(_PART) or {}).get("database") or "")
    if database and not session.rows("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", (database,)):
        note.content.pop(_PART)
        return ""
    return database


def function_steps(
    session: Session, *, name: str, functions: t.Sequence[str], note: PreparationNote, moved: bool
) -> list[Step]:
    """What lets the role call *functions* in the database of *session*, and none that it was given before.

    *moved*: what is noted was in another database, and is taken back there.
    """
    lacking = [one for one in functions if not _may_call(session, name, one)]
    noted = () if moved else (note.content.get(_PART) or {}).get("granted", ())
    surplus = [one for one in noted if one not in functions]
    steps = [_revoke(session, name=name, functions=surplus, note=note)] if surplus else []
    if lacking:
        steps.append(_grant(session, name=name, functions=lacking, note=note))
    return steps


def put_back_function_steps(session: Session, *, note: PreparationNote) -> list[Step]:
    """Take away what was given."""
    noted = note.content.get(_PART)
    if not noted:
        return []
    return [_revoke(session, name=str(noted["name"]), functions=list(noted["granted"]), note=note)]


def _grant(session: Session, *, name: str, functions: t.Sequence[str], note: PreparationNote) -> Step:
    database = session.value("SELECT current_database()")

    def do() -> None:
        noted = note.part(_PART)
        noted.update({"name": name, "database": database})
        noted["granted"] = sorted({*noted.get("granted", ()), *functions})
        note.write()
        for one in functions:
            session.rows(f"GRANT EXECUTE ON FUNCTION pg_catalog.{one} TO {_quoted(name)}")

    words = ", ".join(functions)
    return Step(Change(f"calls of the role {name} in {database}", f"without {words}", f"with {words}"), do)


def _revoke(session: Session, *, name: str, functions: t.Sequence[str], note: PreparationNote) -> Step:
    there = _is_there(session, name)
    database = session.value("SELECT current_database()")

    def do() -> None:
        for one in functions if there else ():
            session.rows(f"REVOKE EXECUTE ON FUNCTION pg_catalog.{one} FROM {_quoted(name)}")
        left = [one for one in note.part(_PART).get("granted", ()) if one not in functions]
        if left:
            note.part(_PART)["granted"] = left
        else:
            note.content.pop(_PART, None)
        note.write()

    words = ", ".join(functions)
    return Step(Change(f"calls of the role {name} in {database}", f"with {words}", f"without {words}"), do)


def _may_call(session: Session, name: str, function: str) -> bool:
    if not _is_there(session, name):
        return False
    question = "SELECT pg_catalog.has_function_privilege(%s::name, %s::text, 'EXECUTE')"
    return bool(session.value(question, (name, f"pg_catalog.{function}")))


def _is_there(session: Session, name: str) -> bool:
    return bool(session.rows("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", (name,)))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
