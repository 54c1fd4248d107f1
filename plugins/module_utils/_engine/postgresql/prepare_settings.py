# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's settings: which don't fit what the backups need, changing them, and putting back what was there.

ALTER SYSTEM writes postgresql.auto.conf and nothing else. What stood there before (mostly nothing) is noted first.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.clock import Clock
from ..core.errors import PostgresArchivingElsewhere
from ..core.preparation import Change, PreparationNote, Step
from .prepare_needs import DISABLED, KEEP_NOTHING, WantedSetting
from .session import Session

_PART = "settings"
_AUTO = "postgresql.auto.conf"
_NOTHING = "(not set)"
_ATTEMPTS = 50
_POLL = 0.1
_ON, _OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")


@dataclass(frozen=True)
class Setting:
    """One setting: *running* now, *in_files* after a reload or restart, *automatic* in postgresql.auto.conf."""

    running: str
    in_files: str
    automatic: str | None


def read_settings(session: Session, names: t.Sequence[str]) -> dict[str, Setting]:
    """The settings of these names that the server knows. Takes a superuser. Raises what the server says."""
    rows = session.rows(
        "SELECT name, setting, boot_val FROM pg_catalog.pg_settings WHERE name = ANY(%s)", [list(names)]
    )
    written: dict[str, str] = {}
    automatic: dict[str, str] = {}
    for name, value, file in session.rows(
        "SELECT name, setting, sourcefile FROM pg_catalog.pg_file_settings WHERE name = ANY(%s) ORDER BY seqno",
        [list(names)],
    ):
        written[name] = str(value)
        if str(file).endswith(_AUTO):
            automatic[name] = str(value)
    return {
        name: Setting(
            running=_plain(str(value)),
            in_files=_plain(written.get(name, str(initial or ""))),
            automatic=automatic.get(name),
        )
        for name, value, initial in rows
    }


def refuse_foreign_archive(found: t.Mapping[str, Setting], *, ours: WantedSetting, server: str) -> None:
    """Raise PostgresArchivingElsewhere where the WAL goes to somebody else by now."""
    command = found["archive_command"].in_files
    library = found["archive_library"].in_files if "archive_library" in found else ""
    if library or not (command in ("", DISABLED, KEEP_NOTHING) or ours.fits(command)):
        what = f"archive_library is {library}" if library else f"archive_command is {command!r}"
        raise PostgresArchivingElsewhere(
            f"PostgreSQL at {server} archives its WAL to somebody else: {what}.",
            hint="If that archive is not needed any more: replace_archiving: true "
            "(postgresql_backup_replace_archiving). Else take the job of the kind wal out of the description.",
            details={"archive_command": command, "archive_library": library},
        )


def setting_steps(
    session: Session, wanted: t.Sequence[WantedSetting], *, found: t.Mapping[str, Setting], note: PreparationNote
) -> list[Step]:
    """What makes every wanted setting fit."""
    steps = []
    for one in wanted:
        now = found[one.name]
        if one.fits(now.in_files):
            if not one.restart and not one.fits(now.running) and now.running != DISABLED:
                change = Change(f"setting {one.name}, by reading the files again", now.running, now.in_files)
                steps.append(Step(change, _nothing))
            continue
        steps.append(_set(session, one.name, one.value, now=now, note=note))
    return steps


def library_steps(session: Session, *, found: t.Mapping[str, Setting], note: PreparationNote) -> list[Step]:
    """With archive_library set the server ignores archive_command."""
    now = found.get("archive_library")
    return [_set(session, "archive_library", "", now=now, note=note)] if now is not None and now.in_files else []


def put_back_steps(session: Session, *, note: PreparationNote) -> list[Step]:
    """What puts back the settings that are still as we left them; the others are not ours any more."""
    noted = note.part(_PART)
    found = read_settings(session, [*noted, "archive_mode"])
    steps = []
    mode = noted.get("archive_mode")
    ends = (
        mode is not None and mode["set"] == found["archive_mode"].automatic and found["archive_mode"].running != "off"
    )
    for name, entry in list(noted.items()):
        now = found.get(name)
        if now is None or now.automatic != entry["set"]:
            steps.append(
                Step(Change(f"note of the setting {name}", "ours", "somebody else's by now"), _dropping(note, name))
            )
        elif name == "archive_command" and (ends or _ends_at_restart(found)):
            # It archives until its restart: with no command it would keep all WAL from now on.
            if entry["set"] != KEEP_NOTHING:
                steps.append(_set(session, name, KEEP_NOTHING, now=now, note=note))
        else:
            steps.append(_put_back(session, name, entry["before"], now=now, note=note))
    return steps


def restart_reasons(
    wanted: t.Sequence[WantedSetting], *, found: t.Mapping[str, Setting], steps: t.Sequence[Step]
) -> tuple[str, ...]:
    """Why the server has to be restarted, given what it is and what the steps make of it."""
    coming = {step.change.what: step.change.after for step in steps}
    reasons = []
    for one in wanted:
        now = found[one.name]
        after = coming.get(_name(one.name), now.in_files)
        if one.restart and not one.fits(now.running) and one.fits(after):
            reasons.append(f"{one.name} is {now.running} until the server is restarted, then {after}: {one.why}.")
    return tuple(reasons)


def put_back_reasons(session: Session, names: t.Sequence[str]) -> tuple[str, ...]:
    """Why a restart is due after settings were put back: what only a restart takes still runs as it was."""
    return tuple(
        f"{name} is {setting} until the server is restarted."
        for name, setting in session.rows(
            "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(%s) AND pending_restart ORDER BY name",
            [list(names)],
        )
    )


def reload(session: Session, wanted: t.Sequence[WantedSetting], *, clock: Clock) -> None:
    """Have the server read its files again, and wait until it did."""
    session.rows("SELECT pg_catalog.pg_reload_conf()")
    names = [one.name for one in wanted if not one.restart]
    for _attempt in range(_ATTEMPTS):
        clock.sleep(_POLL)
        found = read_settings(session, names)
        if all(one.fits(found[one.name].running) or found[one.name].running == DISABLED
               for one in wanted if not one.restart):  # fmt: skip
            return


def _set(session: Session, name: str, value: str, *, now: Setting, note: PreparationNote) -> Step:
    def do() -> None:
        entry = note.part(_PART).setdefault(name, {"before": now.automatic})
        entry["set"] = value
        note.write()
        # The name is one of ours, never anybody's input; ALTER SYSTEM takes none as a parameter.
        session.rows(f"ALTER SYSTEM SET {name} = %s", (value,))

    return Step(Change(_name(name), now.in_files or _NOTHING, value or _NOTHING), do)


def _put_back(session: Session, name: str, before: str | None, *, now: Setting, note: PreparationNote) -> Step:
    def do() -> None:
        if before is None:
            session.rows(f"ALTER SYSTEM RESET {name}")
        else:
            session.rows(f"ALTER SYSTEM SET {name} = %s", (before,))
        _dropping(note, name)()

    return Step(Change(_name(name), now.in_files or _NOTHING, before or "as it was before"), do)


def _ends_at_restart(found: t.Mapping[str, Setting]) -> bool:
    """Whether it archives now and will not after its next start."""
    mode = found["archive_mode"]
    return mode.running != "off" and mode.in_files == "off"


def _dropping(note: PreparationNote, name: str) -> t.Callable[[], None]:
    def drop() -> None:
        note.part(_PART).pop(name, None)
        note.write()

    return drop


def _nothing() -> None:
    """The reload that follows does it."""


def _name(name: str) -> str:
    return f"setting {name}"


def _plain(value: str) -> str:
    lower = value.lower()
    return "on" if lower in _ON[:3] else "off" if lower in _OFF[:3] else value
