# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failover has done so far, in every repository that answers: who goes on knows, and who begins is refused.

Each entry is an object of its own that is put only where there is none. So of two operators who write the same number
one gets it, also of those who open a failover at the same moment: its name is the next number of the service.
"""

from __future__ import annotations

import concurrent.futures
import secrets
import typing as t
from dataclasses import dataclass, field

from ..core.clock import Clock, format_time
from ..core.errors import (
    FailoverLedgerInvalid,
    FailoverNotApproved,
    FailoverNotRecorded,
    FailoverOvertaken,
    FailoverRefused,
    FailoverRunning,
    FailoverRunUnknown,
    LifeboatError,
    StorageExists,
    StorageNotFound,
)
from ..storage.base import Storage
from .entry import (
    ABANDONED,
    CLOSED,
    DONE,
    FAILED,
    INTENDED,
    LARGEST,
    OPENED,
    RESUMED,
    Entry,
    Operator,
    entry_number,
    failovers_folder,
    is_run,
    parse_entry,
    require_chain,
    run_folder,
    run_name,
    run_number,
)
from .plan import DRILL, FailoverPlan, Json, parse_plan

Storages = t.Mapping[str, Storage]
#: Under which name the first entry has who approved the plan.
APPROVAL = "approval"
_AT_ONCE = 8


@dataclass(frozen=True)
class Ledger:
    """One failover as far as it is recorded. *problems* are the repositories that could not be read or written.

    *copies* says how many of its entries each repository has.
    """

    service: str
    run: str
    entries: tuple[Entry, ...]
    copies: t.Mapping[str, int]
    problems: t.Mapping[str, LifeboatError] = field(default_factory=dict)

    @property
    def plan(self) -> FailoverPlan:
        """What was confirmed. Raises FailoverPlanInvalid."""
        return parse_plan(self.entries[0].data.get("plan"))

    @property
    def taken(self) -> Entry:
        """The entry of whoever goes on with it: by which it was opened, or resumed last."""
        return next(one for one in reversed(self.entries) if one.event in (OPENED, RESUMED))

    @property
    def operator(self) -> Operator:
        """Who goes on with it."""
        return self.taken.by

    @property
    def is_open(self) -> bool:
        """Whether somebody may be at it still."""
        return self.entries[-1].event not in (CLOSED, ABANDONED)

    @property
    def finished(self) -> dict[str, Json]:
        """What each finished step has given, by its name."""
        return {one.step: dict(one.data) for one in self.entries if one.event == DONE}

    @property
    def intended(self) -> tuple[str, ...]:
        """The steps that were begun and not finished: whether they took effect has to be looked at."""
        begun = dict.fromkeys(one.step for one in self.entries if one.event == INTENDED)
        return tuple(name for name in begun if name not in self.finished)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "service": self.service,
            "run": self.run,
            "open": self.is_open,
            "session": self.operator.session,
            "operator": str(self.operator),
            "plan": self.plan.as_dict(),
            "finished": self.finished,
            "intended": list(self.intended),
            "entries": [one.as_dict() for one in self.entries],
            "last_sha256": self.entries[-1].sha256,
            "repositories": sorted(self.copies),
            "problems": {name: error.as_dict() for name, error in self.problems.items()},
        }


def begin(plan: FailoverPlan, *, operator: str, host: str, storages: Storages, clock: Clock, data: Json) -> Ledger:
    """Open a failover by *plan*. *data* is what was accepted when it was confirmed.

    Raises FailoverRunning, naming who has one open and since when, FailoverNotRecorded when no repository takes it,
    FailoverNotApproved when the approval in *data* is of another plan, and FailoverLedgerInvalid.
    """
    _require_approved(plan, data)
    drill = plan.kind == DRILL
    newest = newest_run(plan.service, storages=storages, drill=drill)
    if newest is not None and newest.is_open:
        raise _running(newest)
    number = 1 if newest is None else (run_number(newest.run, drill=drill) or 0) + 1
    first = Entry(
        service=plan.service,
        run=run_name(number, drill=drill),
        number=0,
        event=OPENED,
        at=format_time(clock.now()),
        by=Operator(name=operator, host=host, session=secrets.token_hex(8)),
        previous="",
        data={**data, "plan": plan.as_dict()},
    )
    ledger = Ledger(service=plan.service, run=first.run, entries=(), copies={})
    try:
        return _put(ledger, first, storages=storages)
    except FailoverOvertaken as error:
        # Somebody was faster, in one of the repositories at least. Ours must not stay open where it was stored.
        for storage in storages.values():
            _abandon(first, storage, clock=clock)
        raise FailoverRunning(
            f"Somebody else has opened {first.run} of {plan.service} at the same moment: {error.message}",
            hint=f"See who: {plan.command} --check   and leave it to them.",
            details=error.details,
        ) from error


def resume(service: str, run: str, *, operator: str, host: str, storages: Storages, clock: Clock) -> Ledger:
    """Go on with a failover that is open; whoever was at it before is refused from now on.

    Raises FailoverRunUnknown, FailoverRefused when it has ended, FailoverLedgerInvalid, FailoverPlanInvalid.
    """
    ledger = read_run(service, run, storages=storages)
    _require_open(ledger)
    confirmed = {"plan": ledger.plan.fingerprint}  # a plan that was changed ends it here
    by = Operator(name=operator, host=host, session=secrets.token_hex(8))
    return _append(ledger, event=RESUMED, by=by, storages=storages, clock=clock, step="", data=confirmed)


def note(
    service: str,
    run: str,
    *,
    session: str,
    event: str,
    step: str,
    data: Json,
    storages: Storages,
    clock: Clock,
    begins: str = "",
) -> Ledger:
    """Add what became of a step, or the end of the failover. *session* is what begin() or resume() gave.

    *begins* is the step that follows at once: its intent is noted with it. A step that is finished is not noted again:
    asking twice gives the ledger as it is. Raises FailoverOvertaken when somebody has resumed it meanwhile,
    FailoverNotRecorded, and what reading raises.
    """
    if event not in (INTENDED, DONE, FAILED, CLOSED, ABANDONED):
        raise FailoverRefused(
            f"An entry {event!r} is not written by hand.", hint="Use intended, done, failed or closed."
        )
    ledger = read_run(service, run, storages=storages)
    if not ledger.is_open and event == CLOSED and ledger.operator.session == session:
        return ledger
    _require_open(ledger)
    if ledger.operator.session != session:
        raise FailoverOvertaken(
            f"{run} of {service} was taken over by {ledger.operator} at {ledger.taken.at}.",
            hint=f"Leave it to them, or take it back: {_resume(ledger)}",
            details={"operator": str(ledger.operator)},
        )
    shared: dict[str, t.Any] = {"by": ledger.operator, "storages": storages, "clock": clock}
    if event not in (INTENDED, DONE, FAILED):
        return _append(ledger, event=event, step=step, data=data, **shared)
    for name in filter(None, (step, begins)):
        ledger.plan.step(name)
    if step not in ledger.finished:
        ledger = _append(ledger, event=event, step=step, data=data, **shared)
    last = ledger.entries[-1]
    if begins and begins not in ledger.finished and (last.event, last.step) != (INTENDED, begins):
        ledger = _append(ledger, event=INTENDED, step=begins, data={}, **shared)
    return ledger


def read_run(service: str, run: str, *, storages: Storages) -> Ledger:
    """One failover, joined from all repositories that answer.

    Raises FailoverRunUnknown, FailoverLedgerInvalid when a copy was changed or two differ, and what reading raises when
    no repository answers.
    """
    if not is_run(run):
        raise FailoverRunUnknown(f"{run!r} is no name of a failover.", hint="They are called run-0001, run-0002 ...")
    chains: dict[str, tuple[Entry, ...]] = {}
    problems: dict[str, LifeboatError] = {}
    for name, storage in storages.items():
        try:
            chains[name] = _read_chain(service, run, storage)
        except FailoverLedgerInvalid:
            raise
        except LifeboatError as error:
            problems[name] = error
    if not chains and problems:
        raise next(iter(problems.values()))
    _drop_abandoned(chains)
    longest = max(chains.values(), key=len, default=())
    if not longest:
        raise FailoverRunUnknown(
            f"{service} has no failover {run} in {', '.join(chains) or 'any repository'}.",
            hint="See which there are: run the playbook again with --check, without lifeboat_resume.",
            details={"run": run},
        )
    for name, chain in chains.items():
        if [one.sha256 for one in chain] != [one.sha256 for one in longest[: len(chain)]]:
            raise FailoverLedgerInvalid(
                f"The repositories have two different ledgers of {service}'s {run}; that of {name} differs.",
                hint="Two people may have gone on with it, each with another repository. Find out which server was "
                "promoted before anything else is.",
                details={"repository": name, "run": run},
            )
    copies = {name: len(chain) for name, chain in chains.items()}
    return Ledger(service=service, run=run, entries=longest, copies=copies, problems=problems)


def newest_run(service: str, *, storages: Storages, drill: bool = False) -> Ledger | None:
    """The failover, or drill, that was opened last; None when there was none. Raises what :func:`read_run` raises."""
    return next(runs_newest_first(service, storages=storages, drill=drill), None)


def runs_newest_first(service: str, *, storages: Storages, drill: bool = False) -> t.Iterator[Ledger]:
    """All failovers, or drills, that which was opened last comes first. Raises what :func:`read_run` raises."""
    numbers: set[int] = set()
    problems: list[LifeboatError] = []
    for storage in storages.values():
        try:
            found = [run_number(name, drill=drill) for name in storage.list_folders(failovers_folder(service))]
            numbers.update(number for number in found if number is not None)
        except LifeboatError as error:
            problems.append(error)
    if len(problems) == len(storages) and problems:
        raise problems[0]
    for number in sorted(numbers, reverse=True):
        yield read_run(service, run_name(number, drill=drill), storages=storages)


def _require_approved(plan: FailoverPlan, data: Json) -> None:
    approved = (data.get(APPROVAL) or {}).get("plan_sha256", plan.fingerprint)
    if approved != plan.fingerprint:
        raise FailoverNotApproved(
            f"The plan {approved} was approved, and this one is {plan.fingerprint}.",
            hint="What was approved is what runs: begin with that plan, or have this one approved.",
        )


def silent_storages(service: str, *, storages: Storages) -> dict[str, LifeboatError]:
    """The repositories that can't be read now, asked at the same time: those of a lost region each take their while."""

    def ask(storage: Storage) -> LifeboatError | None:
        try:
            list(storage.list_folders(failovers_folder(service)))
        except LifeboatError as error:
            return error
        return None

    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(storages))) as pool:
        answers = dict(zip(storages, pool.map(ask, storages.values())))
    return {name: error for name, error in answers.items() if error is not None}


def _append(
    ledger: Ledger, *, event: str, by: Operator, storages: Storages, clock: Clock, step: str, data: Json
) -> Ledger:
    entry = Entry(
        service=ledger.service,
        run=ledger.run,
        number=len(ledger.entries),
        event=event,
        at=format_time(clock.now()),
        by=by,
        previous=ledger.entries[-1].sha256,
        step=step,
        data=data,
    )
    return _put(ledger, entry, storages=storages)


def _put(ledger: Ledger, entry: Entry, *, storages: Storages) -> Ledger:
    """Store it everywhere, what a repository lacks before it; in the order in which they are described."""
    whole = (*ledger.entries, entry)
    copies: dict[str, int] = {}
    problems: dict[str, LifeboatError] = dict(ledger.problems)
    for name, storage in storages.items():
        try:
            for lacking in whole[ledger.copies.get(name, 0) :]:
                _put_one(lacking, storage, repository=name)
        except FailoverOvertaken:
            raise
        except LifeboatError as error:
            problems[name] = error
        else:
            copies[name] = len(whole)
            problems.pop(name, None)
    if not copies:
        first = next(iter(problems.values()))
        raise FailoverNotRecorded(
            f"No repository took the entry about {entry.step or entry.event}: {first.message}",
            hint=first.hint,
            details={"errors": {name: error.as_dict() for name, error in problems.items()}},
        ) from first
    return Ledger(service=ledger.service, run=ledger.run, entries=whole, copies=copies, problems=problems)


def _put_one(entry: Entry, storage: Storage, *, repository: str) -> None:
    try:
        storage.put(entry.key, entry.as_bytes())
    except StorageExists:
        there = parse_entry(storage.get(entry.key, limit=LARGEST), key=entry.key)
        if there != entry:  # else the answer to our own put was lost, or it was there already
            raise FailoverOvertaken(
                f"{there.by} wrote entry {entry.number} of {entry.run} at {there.at} first, in {repository}.",
                hint="Leave it to them. How far they are: run the playbook again with --check.",
                details={"operator": str(there.by), "at": there.at, "repository": repository},
            ) from None


def _abandon(first: Entry, storage: Storage, *, clock: Clock) -> None:
    """End a failover of ours that lost the race, where it was stored."""
    try:
        if parse_entry(storage.get(first.key, limit=LARGEST), key=first.key) != first:
            return
        end = Entry(
            service=first.service,
            run=first.run,
            number=1,
            event=ABANDONED,
            at=format_time(clock.now()),
            by=first.by,
            previous=first.sha256,
        )
        storage.put(end.key, end.as_bytes())
    except LifeboatError:
        return  # where it can't be ended it wasn't stored, or nobody can tell


def _drop_abandoned(chains: dict[str, tuple[Entry, ...]]) -> None:
    """Forget what lost the race to another failover of the same name."""
    lost = [name for name, chain in chains.items() if len(chain) == 2 and chain[1].event == ABANDONED]
    others = [name for name, chain in chains.items() if chain and name not in lost]
    if others:
        for name in lost:
            del chains[name]


def _read_chain(service: str, run: str, storage: Storage) -> tuple[Entry, ...]:
    folder = run_folder(service, run)
    keys = [one.key for one in storage.list(folder) if entry_number(one.key[len(folder) :]) is not None]

    def get(key: str) -> Entry | None:
        try:
            return parse_entry(storage.get(key, limit=LARGEST), key=key)
        except StorageNotFound:
            return None  # the chain says whether it is missed

    # At the same time: it is read before each step, and each answer of a far repository takes its while.
    with concurrent.futures.ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        found = [entry for entry in pool.map(get, sorted(keys)) if entry is not None]
    require_chain(found)
    return tuple(found)


def _require_open(ledger: Ledger) -> None:
    if not ledger.is_open:
        last = ledger.entries[-1]
        raise FailoverRefused(
            f"{ledger.run} of {ledger.service} has ended: {last.event} at {last.at} by {last.by}.",
            hint=f"Begin a new one: {ledger.plan.command} --check",
            details={"run": ledger.run},
        )


def _running(ledger: Ledger) -> FailoverRunning:
    last = ledger.entries[-1]
    return FailoverRunning(
        f"{ledger.operator} has {ledger.run} of {ledger.service} open since {ledger.entries[0].at}; its last word is "
        f"{last.event}{' ' + last.step if last.step else ''} at {last.at}.",
        hint=f"Ask them. When nobody is at it any more, go on with it: {_resume(ledger)}",
        details={"run": ledger.run, "operator": str(ledger.operator), "since": ledger.entries[0].at},
    )


def _resume(ledger: Ledger) -> str:
    return f"{ledger.plan.command} -e lifeboat_resume={ledger.run}"
