# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module about degraded mode to the engine. Private to the collection."""

from __future__ import annotations

import secrets
import typing as t

from ._engine.core.errors import RequestInvalid
from ._engine.core.state import StateDirectory
from ._engine.degraded.criteria import ask_criterion
from ._engine.degraded.history import LEFT, History, note_event, read_history
from ._engine.degraded.levers import lever_for
from ._engine.degraded.measure import enter, leave, look
from ._engine.degraded.notes import Notes
from ._module import as_diff
from ._storages import storages_of

if t.TYPE_CHECKING:
    from ._engine.core.host import Host

Options = t.Mapping[str, t.Any]


def work_on_mode(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """What the action says; in check mode nothing is changed."""
    action = options["action"]
    if action in ("show", "note"):
        return _record(options, check=check, host=host)
    if action == "ask":
        answer = ask_criterion(_needed(options, "criterion"), host=host)
        return {"changed": False, "answer": answer.as_dict()}
    return _measure(options, check=check, host=host)


def _record(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    storages = storages_of(options.get("repositories"), host=host)
    if not storages:
        raise RequestInvalid("There is no repository to keep the record in.", hint="Give repositories.")
    service, notes = options["service"], _notes(options)
    history = read_history(service, storages=storages)
    if options["action"] == "show" or check:
        return _told(history, notes, changed=options["action"] == "note", host=host)
    event = _needed(options, "event")
    history = note_event(
        service,
        event,
        mode=history.mode.get("id") or secrets.token_hex(8),
        by=f"{options['operator']} on {options.get('operator_host') or host.name}",
        data=options["data"],
        after=options["after"],
        storages=storages,
        clock=host.clock,
    )
    mode = {key: history.mode[key] for key in ("id", "at", "by", "reason", "until") if history.mode.get(key)}
    notes.put_mode({} if event == LEFT else mode)
    return _told(history, notes, changed=True, host=host)


def _told(history: History, notes: Notes, *, changed: bool, host: Host) -> dict[str, t.Any]:
    for repository, error in history.problems.items():
        host.journal.warning(f"{repository} lacks a part of the record: {error.message} [{error.code}]")
    told = {
        "changed": changed,
        "mode": history.mode,
        "last": history.events[-1].number if history.events else -1,
        "noted": notes.read(),
    }
    return {**told, "diff": as_diff(history.events[-1].event)} if changed and history.events else told


def _measure(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    measure, notes = _needed(options, "measure"), _notes(options)
    lever = lever_for(
        measure,
        mode=str(options["mode"].get("id") or ""),
        administrator=options["administrator"],
        account=options["account"],
        host=host,
    )
    name = str(measure["name"])
    if options["action"] == "look" or check:
        taken = look(name, lever, notes=notes)
        changed = {"look": False, "enter": taken.changed, "leave": taken.state is not None}[options["action"]]
        return {"changed": changed, "measure": taken.as_dict()}
    if options["action"] == "enter":
        notes.put_mode(options["mode"])
        taken = enter(name, lever, notes=notes, host=host)
    else:
        taken = leave(name, lever, notes=notes, host=host, force=options["force"])
        if not notes.read()["measures"]:
            notes.put_mode({})
    result: dict[str, t.Any] = {"changed": taken.changed, "measure": taken.as_dict()}
    if taken.changed:
        result["diff"] = {"before": f"{name}: {taken.before}\n", "after": f"{name}: {taken.now}\n"}
    return result


def _notes(options: Options) -> Notes:
    return Notes(state=StateDirectory(path=options["state_directory"]), service=options["service"])


def _needed(options: Options, name: str) -> t.Any:
    if options.get(name) in (None, "", {}):
        raise RequestInvalid(f"{options['action']} needs {name}.", hint=f"Give {name}.")
    return options[name]
