# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server may start as a primary: the ledgers of failovers know whether another one has taken its place.

A host whose power was cut has no mark on its disk. It comes back with the region, and would take writes.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ..core.clock import Clock
from ..core.errors import LifeboatError
from .entry import DONE, INTENDED
from .ledger import Ledger, Storages, runs_newest_first, silent_storages
from .plan import CUT, FENCE, PROMOTE, PROMOTE_MONGODB, PROMOTE_REDIS, RESTORE, PlanStep

_ENTERING = (PROMOTE, PROMOTE_REDIS, PROMOTE_MONGODB, RESTORE)
_PAUSE = 3.0


@dataclass(frozen=True)
class GuardRequest:
    """Of which *source* of which *service* the server on *host* (as the inventory calls it) wants to be the primary.

    All repositories are asked for up to *wait* seconds, for the one that is near may know nothing of what happened
    while it was away. Who does not answer then counts as knowing nothing where *alone* is true.
    """

    service: str
    source: str
    host: str
    wait: float = 60.0
    alone: bool = False


@dataclass(frozen=True)
class Guarded:
    """*why* says it for people. *silent* are the repositories that did not answer."""

    may_start: bool
    why: str
    silent: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"may_start": self.may_start, "why": self.why, "silent": list(self.silent)}


def guard(request: GuardRequest, *, storages: Storages, clock: Clock) -> Guarded:
    """Ask until all have answered, one says no, or the time is over. Raises FailoverLedgerInvalid."""
    label = f"{request.service}/{request.source}"
    end = clock.monotonic() + request.wait
    while True:
        silent = silent_storages(request.service, storages=storages)
        answering = {name: one for name, one in storages.items() if name not in silent}
        if answering:
            why = replaced(
                runs_newest_first(request.service, storages=answering), source=request.source, host=request.host
            )
            if why:
                return Guarded(may_start=False, why=f"{label} {why}", silent=tuple(silent))
        if not silent:
            return Guarded(may_start=True, why=f"no failover has moved {label} away from {request.host}")
        if clock.monotonic() >= end:
            return _without_answer(request, silent, label=label)
        clock.sleep(_PAUSE)


def replaced(runs: t.Iterable[Ledger], *, source: str, host: str) -> str:
    """Why the server on *host* is not the primary any more, by the newest of *runs* that says it; else nothing."""
    for ledger in runs:
        step = entering_step(ledger, source)
        if step is None:
            continue
        if step.name not in _begun(ledger) and not is_being_fenced(ledger, source):
            continue  # nothing came of it
        if step.on == host:
            return ""
        last = ledger.entries[-1]
        return f"was moved to {step.on} by {ledger.run} of {ledger.operator}, which is {last.event} since {last.at}"
    return ""


def entered(runs: t.Iterable[Ledger], *, source: str, host: str) -> str:
    """The newest of *runs* by which the server on *host* became the primary, or may have; empty when none did."""
    for ledger in runs:
        step = entering_step(ledger, source)
        if step is not None and step.on == host and step.name in _begun(ledger):
            return ledger.run
    return ""


def entering_step(ledger: Ledger, source: str) -> PlanStep | None:
    """The step by which another server becomes the source's primary."""
    return next((one for one in _of_source(ledger, source) if one.kind in _ENTERING), None)


def is_being_fenced(ledger: Ledger, source: str) -> bool:
    """Whether it goes on, and has begun to fence the source's server: from now on that one must not be primary."""
    return ledger.is_open and bool(_begun(ledger) & _fencing(ledger, source))


def is_standby(*, data_directory: str = "", configuration_file: str = "") -> bool:
    """Whether the server starts as a standby by what lies there, and may: of PostgreSQL, or of Redis."""
    if data_directory and os.path.exists(os.path.join(data_directory, "standby.signal")):
        return True
    if not configuration_file:
        return False
    try:
        with open(configuration_file, encoding="utf-8", errors="replace") as file:
            return any(line.split()[:1] in (["replicaof"], ["slaveof"]) for line in file)
    except OSError:
        return False


def _without_answer(request: GuardRequest, silent: t.Mapping[str, LifeboatError], *, label: str) -> Guarded:
    known = ", ".join(f"{name} ({error.message})" for name, error in silent.items())
    why = f"nobody knows whether {label} was moved away from {request.host}: {known} did not answer"
    return Guarded(may_start=request.alone, why=why, silent=tuple(silent))


def _begun(ledger: Ledger) -> set[str]:
    return {one.step for one in ledger.entries if one.event in (INTENDED, DONE)}


def _fencing(ledger: Ledger, source: str) -> set[str]:
    return {one.name for one in _of_source(ledger, source) if one.kind in (FENCE, CUT)}


def _of_source(ledger: Ledger, source: str) -> t.Iterator[PlanStep]:
    plan = ledger.plan
    for step in plan.steps:
        if step.options.get("source", plan.source) == source:
            yield step
