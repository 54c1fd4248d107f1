# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module about ledgers of failovers to the engine. Private to the collection."""

from __future__ import annotations

import platform
import typing as t

from ._engine.core.errors import RequestInvalid
from ._engine.core.version import VERSION
from ._engine.failover.entry import CLOSED, INTENDED
from ._engine.failover.evidence import evidence
from ._engine.failover.ledger import Ledger, begin, newest_run, note, read_run, resume, silent_storages
from ._engine.failover.plan import parse_plan
from ._module import as_diff
from ._storages import storages_of

if t.TYPE_CHECKING:
    from ._engine.core.host import Host
    from ._engine.storage.base import Storage

Options = t.Mapping[str, t.Any]


def write_ledger(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """What the action says; in check mode only what can be read."""
    action, service = options["action"], options["service"]
    only_read = action == "show" or check
    storages = storages_of(options["repositories"], host=host, hasty=only_read)
    if only_read:
        silent = silent_storages(service, storages=storages)
        # Where all are silent it is read all the same, and says why it can't be.
        known = {name: one for name, one in storages.items() if name not in silent} or storages
        run = options.get("run")
        drill = bool(options.get("drill"))
        found = read_run(service, run, storages=known) if run else newest_run(service, storages=known, drill=drill)
        told = _told(found, changed=action != "show", host=host)
        return {**told, "silent": {name: error.message for name, error in silent.items()}}
    who = {"operator": options["operator"], "host": options.get("operator_host") or host.name}
    if action == "begin":
        plan = parse_plan(_needed(options, "plan"))
        # Where it is kept and by what it was made, for those who ask later whether it is whole.
        data = {"repositories": sorted(storages), "versions": _versions(), **options["data"]}
        ledger = begin(plan, **who, storages=storages, clock=host.clock, data=data)
    elif action == "resume":
        ledger = resume(service, _needed(options, "run"), **who, storages=storages, clock=host.clock)
    if action in ("begin", "resume"):
        ledger = _intended(ledger, options.get("begins") or "", storages=storages, host=host)
    else:
        data = options["data"]
        if options.get("event") == CLOSED:
            data = {**data, "evidence": evidence(read_run(service, _needed(options, "run"), storages=storages))}
        ledger = note(
            service,
            _needed(options, "run"),
            session=_needed(options, "session"),
            event=_needed(options, "event"),
            step=options.get("step") or "",
            data=data,
            storages=storages,
            clock=host.clock,
            begins=options.get("begins") or "",
        )
    return _told(ledger, changed=True, host=host)


def _intended(ledger: Ledger, step: str, *, storages: t.Mapping[str, Storage], host: Host) -> Ledger:
    """With the intent of the first *step* that is taken; without one as it is."""
    if not step:
        return ledger
    shared: dict[str, t.Any] = {"storages": storages, "clock": host.clock}
    return note(
        ledger.service, ledger.run, session=ledger.operator.session, event=INTENDED, step=step, data={}, **shared
    )


def _told(ledger: Ledger | None, *, changed: bool, host: Host) -> dict[str, t.Any]:
    if ledger is None:
        return {"changed": changed, "ledger": None, "evidence": None}
    for repository, error in ledger.problems.items():
        host.journal.warning(f"{repository} lacks a part of the ledger of {ledger.run}: {error.message} [{error.code}]")
    last = ledger.entries[-1]
    told = {"changed": changed, "ledger": ledger.as_dict(), "evidence": evidence(ledger)}
    return {**told, "diff": as_diff(f"{ledger.run}: {last.event} {last.step}".strip())} if changed else told


def _versions() -> dict[str, str]:
    return {"lifeboat": VERSION, "python": platform.python_version()}


def _needed(options: Options, name: str) -> t.Any:
    if not options.get(name):
        raise RequestInvalid(f"{options['action']} needs {name}.", hint=f"Give {name}.")
    return options[name]
