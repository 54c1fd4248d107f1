# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module about ledgers of failovers to the engine. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.core.errors import RequestInvalid
from ._engine.failover.entry import CLOSED
from ._engine.failover.evidence import evidence
from ._engine.failover.ledger import Ledger, begin, newest_run, note, read_run, resume
from ._engine.failover.plan import parse_plan
from ._engine.storage.registry import open_storage
from ._module import as_diff

if t.TYPE_CHECKING:
    from ._engine.core.host import Host
    from ._engine.storage.base import Storage

Options = t.Mapping[str, t.Any]


def write_ledger(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """What the action says; in check mode only what can be read."""
    storages: dict[str, Storage] = {
        one["name"]: open_storage(
            {key: value for key, value in one.items() if key != "name"},
            name=one["name"],
            clock=host.clock,
            runner=host.runner,
        )
        for one in options["repositories"]
    }
    action, service = options["action"], options["service"]
    if action == "show" or check:
        run = options.get("run")
        found = read_run(service, run, storages=storages) if run else newest_run(service, storages=storages)
        return _told(found, changed=action != "show", host=host)
    who = {"operator": options["operator"], "host": options.get("operator_host") or host.name}
    if action == "begin":
        plan = parse_plan(_needed(options, "plan"))
        ledger = begin(plan, **who, storages=storages, clock=host.clock, data=options["data"])
    elif action == "resume":
        ledger = resume(service, _needed(options, "run"), **who, storages=storages, clock=host.clock)
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
        )
    return _told(ledger, changed=True, host=host)


def _told(ledger: Ledger | None, *, changed: bool, host: Host) -> dict[str, t.Any]:
    if ledger is None:
        return {"changed": changed, "ledger": None, "evidence": None}
    for repository, error in ledger.problems.items():
        host.journal.warning(f"{repository} lacks a part of the ledger of {ledger.run}: {error.message} [{error.code}]")
    last = ledger.entries[-1]
    told = {"changed": changed, "ledger": ledger.as_dict(), "evidence": evidence(ledger)}
    return {**told, "diff": as_diff(f"{ledger.run}: {last.event} {last.step}".strip())} if changed else told


def _needed(options: Options, name: str) -> t.Any:
    if not options.get(name):
        raise RequestInvalid(f"{options['action']} needs {name}.", hint=f"Give {name}.")
    return options[name]
