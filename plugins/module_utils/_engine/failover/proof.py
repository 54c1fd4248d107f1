# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a failover left can be trusted: from all copies of its ledger, and nothing else. Pure.

Each doubt has a stable code (docs/evidence.md). A *grave* one says that something was changed, is gone or contradicts
itself; one that is not says that something could not be looked at, or is not there yet.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import parse_time
from .copies import LedgerCopy
from .entry import ABANDONED, CLOSED, DONE, FAILED, INTENDED, OPENED, RESUMED, Entry
from .plan import Json, plan_digest
from .record import approvals_in, plan_of, recomputed_evidence

_AHEAD = datetime.timedelta(minutes=5)
_ENDS = (CLOSED, ABANDONED)


@dataclass(frozen=True)
class Doubt:
    """One thing that can't be trusted, or could not be looked at. *where* is a repository, a key or a step."""

    code: str
    grave: bool
    where: str
    message: str

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"code": self.code, "grave": self.grave, "where": self.where, "message": self.message}


@dataclass(frozen=True)
class Proof:
    """What was found. *entries* are those of the copy that was taken, *copies* how many each repository has."""

    service: str
    run: str
    entries: tuple[Entry, ...]
    copies: t.Mapping[str, int]
    doubts: tuple[Doubt, ...]

    @property
    def verdict(self) -> str:
        """``trusted``, ``incomplete`` (nothing is wrong, and not all was seen) or ``untrusted``."""
        if any(one.grave for one in self.doubts):
            return "untrusted"
        return "incomplete" if self.doubts else "trusted"

    @property
    def last_sha256(self) -> str:
        """The hash of the last entry: whoever has it in another place can hold the ledger to it."""
        return self.entries[-1].sha256 if self.entries else ""

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "service": self.service,
            "run": self.run,
            "verdict": self.verdict,
            "entries": len(self.entries),
            "copies": dict(self.copies),
            "last_sha256": self.last_sha256,
            "doubts": [one.as_dict() for one in self.doubts],
        }


def examine(
    copies: t.Sequence[LedgerCopy], *, service: str, run: str, now: datetime.datetime, noted: str | None = None
) -> Proof:
    """Look at everything. *noted* is a hash of an entry that somebody kept elsewhere: it must be in the ledger."""
    doubts: list[Doubt] = [one for copy in copies for one in _of_copy(copy)]
    kept, gave_way = _without_losers(copies)
    doubts += gave_way
    best = max(kept, key=lambda one: len(_whole(one)), default=LedgerCopy(repository=""))
    entries = _whole(best)
    named = entries[0].data.get("repositories") if entries else None
    if isinstance(named, list):  # one that never held the ledger is not missed
        doubts = [one for one in doubts if one.code != "repository.unreadable" or one.where in named]
    doubts += _between(kept, entries, named=named if isinstance(named, list) else None)
    if entries:
        doubts += _of_plan(entries)
        doubts += _of_order(entries)
        doubts += _of_turns(entries)
        doubts += _of_times(entries, now=now)
        doubts += _of_end(entries)
    if noted is not None and noted.lower() not in {one.sha256 for one in entries}:
        doubts.append(Doubt("ledger.other_hash", True, run, f"No entry has the hash {noted} that was noted elsewhere."))
    return Proof(
        service=service,
        run=run,
        entries=entries,
        copies={one.repository: len(one.entries) for one in copies if one.error is None},
        doubts=tuple(doubts),
    )


def _of_copy(copy: LedgerCopy) -> t.Iterator[Doubt]:
    if copy.error is not None:
        yield Doubt("repository.unreadable", False, copy.repository, copy.error.message)
    for why in copy.damaged.values():
        yield Doubt("ledger.entry_invalid", True, copy.repository, why)
    for key in copy.foreign:
        yield Doubt("ledger.foreign_object", True, copy.repository, f"{key} is no entry, and nobody wrote it for us.")
    whole = _whole(copy)
    if len(whole) < len(copy.entries) or (copy.damaged and not whole):
        broken = copy.entries[len(whole)].key if len(whole) < len(copy.entries) else min(copy.damaged)
        yield Doubt(
            "ledger.chain_broken", True, copy.repository, f"At {broken} what comes before it was changed or is gone."
        )


def _whole(copy: LedgerCopy) -> tuple[Entry, ...]:
    """The entries from the first one on, as far as each names the hash of the one before it."""
    found: list[Entry] = []
    for number, entry in enumerate(copy.entries):
        if entry.number != number or entry.previous != (found[-1].sha256 if found else ""):
            break
        found.append(entry)
    return tuple(found)


def _without_losers(copies: t.Sequence[LedgerCopy]) -> tuple[list[LedgerCopy], list[Doubt]]:
    """Without what lost the race to another failover of the same name, and was given up at once where it was stored."""
    there = [one for one in copies if one.entries]
    lost = [one for one in there if len(one.entries) == 2 and one.entries[1].event == ABANDONED]
    if not lost or len(lost) == len(there):
        return there, []
    told = [
        Doubt(
            "ledger.gave_way",
            False,
            one.repository,
            f"It holds another run of this name, which {one.entries[0].by} gave up at {one.entries[1].at}.",
        )
        for one in lost
    ]
    return [one for one in there if one not in lost], told


def _between(copies: t.Sequence[LedgerCopy], entries: t.Sequence[Entry], *, named: list[t.Any] | None) -> list[Doubt]:
    found: list[Doubt] = []
    hashes = [one.sha256 for one in entries]
    for copy in copies:
        own = [one.sha256 for one in copy.entries]
        if own[: len(hashes)] != hashes[: len(own)]:
            found.append(
                Doubt("ledger.copies_differ", True, copy.repository, "Its ledger is not the one of the others.")
            )
        elif len(own) < len(hashes):
            message = f"It has {len(own)} of {len(hashes)} entries; the end is not proved by it."
            found.append(Doubt("ledger.copy_short", False, copy.repository, message))
    there = {one.repository for one in copies}
    found += [
        Doubt("ledger.copy_missing", False, name, "The ledger was kept there, and is not now.")
        for name in map(str, named or ())
        if name not in there
    ]
    if len(copies) == 1:
        message = "There is no second copy: its end could have been cut off, or all of it written anew, unseen."
        found.append(Doubt("ledger.one_copy", False, copies[0].repository, message))
    return found


def _of_plan(entries: t.Sequence[Entry]) -> t.Iterator[Doubt]:
    first = entries[0]
    if first.event != OPENED:
        yield Doubt("ledger.order", True, first.key, f"It begins with {first.event}, not with {OPENED}.")
    plan = plan_of(entries)
    if plan is None:
        yield Doubt("plan.missing", True, first.key, "The first entry has no plan.")
        return
    own = plan_digest(plan)
    if own != plan.get("sha256"):
        message = f"The plan has the hash {own}, and says {plan.get('sha256')}."
        yield Doubt("plan.hash_differs", True, first.key, message)
    if plan.get("service") != first.service:
        yield Doubt("plan.other_service", True, first.key, f"The plan is about {plan.get('service')}.")
    for entry in entries[1:]:
        if entry.event == RESUMED and entry.data.get("plan") not in (None, own):
            message = f"{entry.by} resumed the plan {entry.data.get('plan')}, another one."
            yield Doubt("plan.other_resumed", True, entry.key, message)
    for entry in entries:
        for one in approvals_in(entry):
            said = one["plan_sha256"]
            if said is not None and said != own:
                message = f"{one['by'] or 'Somebody'} approved {said}, another plan."
                yield Doubt("approval.other_plan", True, entry.key, message)


def _of_order(entries: t.Sequence[Entry]) -> t.Iterator[Doubt]:
    """Who wrote each entry, and whether anything could come where it stands."""
    session = entries[0].by.session
    for before, entry in zip(entries, entries[1:]):
        if before.event in _ENDS:
            yield Doubt("ledger.after_end", True, entry.key, f"It was written after the run was {before.event}.")
        if entry.event == RESUMED:
            session = entry.by.session
        elif entry.event == OPENED:
            yield Doubt("ledger.order", True, entry.key, "The run is opened a second time.")
        elif entry.by.session != session:
            yield Doubt("ledger.other_session", True, entry.key, f"{entry.by} wrote it and had not taken the run.")


def _of_turns(entries: t.Sequence[Entry]) -> t.Iterator[Doubt]:
    """Each step of the plan in its turn, begun before it ends, and finished once."""
    steps = _listed((plan_of(entries) or {}).get("steps"))
    places = {str(one.get("name")): place for place, one in enumerate(steps)}
    reached = -1
    begun: set[str] = set()
    done: set[str] = set()
    for entry in (one for one in entries if one.event in (INTENDED, DONE, FAILED)):
        if entry.step not in places:
            yield Doubt("step.unknown", True, entry.key, f"The plan has no step {entry.step!r}.")
            continue
        if entry.step in done:
            yield Doubt("step.twice", True, entry.key, f"{entry.step} was finished before.")
        if entry.event != INTENDED and entry.step not in begun:
            yield Doubt("step.not_begun", True, entry.key, f"{entry.step} is {entry.event} and was never begun.")
        if entry.event == INTENDED and places[entry.step] < reached and entry.step not in begun:
            yield Doubt("step.out_of_order", True, entry.key, f"{entry.step} began after a later step of the plan.")
        begun.add(entry.step)
        reached = max(reached, places[entry.step])
        if entry.event == DONE:
            done.add(entry.step)


def _of_times(entries: t.Sequence[Entry], *, now: datetime.datetime) -> t.Iterator[Doubt]:
    last: datetime.datetime | None = None
    for entry in entries:
        at = _time(entry.at)
        if at is None:
            yield Doubt("time.invalid", True, entry.key, f"{entry.at!r} is no time.")
            continue
        if last is not None and at < last:
            message = f"It is of {entry.at}, and the one before it is later: a clock was wrong, or the entry is."
            yield Doubt("time.backwards", True, entry.key, message)
        last = at if last is None else max(at, last)
    made = _time(str((plan_of(entries) or {}).get("made")))
    opened = _time(entries[0].at)
    if made is not None and opened is not None and made > opened + _AHEAD:
        yield Doubt("time.plan_later", True, entries[0].key, "The plan was made after the run was opened.")
    if last is not None and last > now + _AHEAD:
        yield Doubt("time.future", True, entries[-1].key, f"The last entry is of {entries[-1].at}, which is to come.")


def _of_end(entries: t.Sequence[Entry]) -> t.Iterator[Doubt]:
    last = entries[-1]
    if last.event not in _ENDS:
        yield Doubt("ledger.open", False, last.key, f"The run is open; its last word is {last.event} {last.step}.")
        return
    stored = last.data.get("evidence")
    if last.event != CLOSED:
        return
    if not isinstance(stored, dict):
        yield Doubt("evidence.missing", True, last.key, "It was closed without evidence.")
        return
    before = entries[:-1]
    plan = plan_of(entries) or {}
    for key, own in (("plan_sha256", plan.get("sha256")), ("last_entry_sha256", before[-1].sha256 if before else None)):
        if stored.get(key) != own:
            yield Doubt("evidence.differs", True, key, f"The evidence says {stored.get(key)}, the entries {own}.")
    yield from _of_steps(before, _listed(stored.get("steps")))
    own_evidence = recomputed_evidence(before)
    if plan_digest(plan) != plan.get("sha256"):
        return  # that is told, and nothing can be computed by it
    if own_evidence is None or own_evidence.get("format_version") != stored.get("format_version"):
        message = "This version can't compute the evidence again; its hashes were held to the entries."
        yield Doubt("evidence.other_version", False, last.key, message)
        return
    for key in sorted(set(stored) & set(own_evidence) - {"plan_sha256", "last_entry_sha256", "steps"}):
        if stored[key] != own_evidence[key]:
            message = f"The evidence says {stored[key]!r}, and the entries give {own_evidence[key]!r}."
            yield Doubt("evidence.differs", True, key, message)


def _of_steps(entries: t.Sequence[Entry], steps: t.Sequence[Json]) -> t.Iterator[Doubt]:
    told = {str(one.get("name")): one for one in steps}
    last = {one.step: one for one in entries if one.event in (DONE, FAILED)}
    for name, entry in last.items():
        step = told.get(name)
        if step is None:
            yield Doubt("evidence.differs", True, name, "The evidence does not have this step, and the entries do.")
        elif step.get("sha256") != entry.sha256 or step.get("state") != entry.event:
            yield Doubt("step.hash_differs", True, name, "The evidence has another hash, or state, than its entry.")
        elif step.get("result") != dict(entry.data):
            yield Doubt("step.result_differs", True, name, "The evidence has another result than its entry.")
    for name, step in told.items():
        if name not in last and step.get("state") in (DONE, FAILED):
            yield Doubt("step.hash_differs", True, name, f"The evidence says {step.get('state')}; no entry does.")


def _listed(value: t.Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _time(text: str) -> datetime.datetime | None:
    try:
        return parse_time(text)
    except ValueError:
        return None
