# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fencing by a witness: the old primary's lease is taken, and waited for until it has ended.

Whoever renews (:mod:`lease`) looks for marks before each renewal, and its server is stopped one lease after the last
look that found none, at the latest. So one lease after a mark lies there, by the clock of whoever waits, it is stopped:
also where it was cut off, and never saw the mark. What it said must show that it was renewed at all, under this tenure.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.clock import Clock, format_time
from ..core.errors import FailoverRunUnknown, FailoverWitnessNotProven, LifeboatError
from .entry import run_number
from .guard import entered, entering_step, is_being_fenced
from .ledger import Ledger, read_run, runs_newest_first
from .witness import RELEASED, WITHDRAWN, Said, Witness

_POLL = 1.0
_ANOTHER_WAY = "Fence it by another way of fencing.methods, or power its host off by hand"


@dataclass(frozen=True)
class TakeRequest:
    """The failover *run* takes the lease from the server on *host*; *lease* (seconds) is what is described."""

    run: str
    host: str
    lease: float


@dataclass(frozen=True)
class Taken:
    """The proof. *state* is ``released`` (it said that it is stopped) or ``ended`` (it was waited for).

    *renewals* counts those of its session, *last_renewed* is by its own clock. None of it before it was taken.
    """

    repository: str
    host: str
    run: str
    state: str
    session: str
    renewals: int
    last_renewed: str
    marked_at: str
    waited_seconds: int
    lease_seconds: int

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "repository": self.repository,
            "host": self.host,
            "run": self.run,
            "state": self.state,
            "session": self.session,
            "renewals": self.renewals,
            "last_renewed": self.last_renewed,
            "marked_at": self.marked_at,
            "waited_seconds": self.waited_seconds,
            "lease_seconds": self.lease_seconds,
        }


def patience(lease: float) -> float:
    """How long a lease of so many seconds is waited for: clocks of two hosts run at slightly different rates."""
    return lease * 1.05 + 1.0


def take_lease(request: TakeRequest, *, witness: Witness, clock: Clock) -> Taken:
    """Take it and wait; doing it again, also after a death at any line, finds the mark and waits again.

    Raises FailoverWitnessNotProven with what to do, and what the storage raises. After an error the mark may lie there:
    the server stops then, and proves nothing.
    """
    before = _require_held(request, witness=witness)
    witness.mark(request.run, host=request.host, at=(at := format_time(clock.now())))
    marked = clock.monotonic()
    # From here on nobody who looks renews any more; one renewal may be on its way.
    first = latest = witness.said(request.host) or before
    while not _has_obeyed(latest, request):
        left = marked + patience(max(request.lease, first.lease, latest.lease)) - clock.monotonic()
        if left <= 0:
            break
        clock.sleep(min(_POLL, left))
        latest = _heard(witness, request.host) or latest
    waited = clock.monotonic() - marked
    last = witness.said(request.host)
    _require_silence(request, last, first=first, witness=witness)
    _require_fencing(request, witness=witness)  # somebody may have given it up meanwhile: then the mark says nothing
    said = last or latest
    return Taken(
        repository=witness.repository,
        host=request.host,
        run=request.run,
        state=RELEASED if _has_obeyed(said, request) else "ended",
        session=said.session,
        renewals=said.round,
        last_renewed=said.at,
        marked_at=at,
        waited_seconds=int(waited),
        lease_seconds=int(max(request.lease, said.lease)),
    )


def look_at_lease(request: TakeRequest, *, witness: Witness) -> Said:
    """What the server says of its lease, where it could be taken. Raises as :func:`take_lease`, and writes nothing."""
    return _require_held(request, witness=witness)


def _require_held(request: TakeRequest, *, witness: Witness) -> Said:
    """Before anything is stopped: that the run is known where the lease is, and that it can prove anything."""
    _require_fencing(request, witness=witness)
    said = witness.said(request.host)
    if said is None:
        raise _no_proof(f"nothing on {request.host} has ever renewed the lease of {witness.label}", witness=witness)
    if said.state == WITHDRAWN:
        raise _no_proof(f"{request.host} gave the lease of {witness.label} back at {said.at}", witness=witness)
    runs = (one for one in runs_newest_first(witness.service, storages=witness.storages) if one.run != request.run)
    since = entered(runs, source=witness.source, host=request.host)
    if _number(since) > _number(said.knows) and not _has_obeyed(said, request):
        why = f"{request.host} has not renewed the lease of {witness.label} since {since} made it the primary"
        raise _no_proof(why, witness=witness)
    return said


def _require_fencing(request: TakeRequest, *, witness: Witness) -> Ledger:
    """That whoever renews finds in the witness itself why it must stop."""
    try:
        ledger = read_run(witness.service, request.run, storages=witness.storages)
    except FailoverRunUnknown as error:
        raise _no_proof(
            f"{witness.repository} has no ledger of {request.run}, so whoever renews there would not obey",
            witness=witness,
            hint=f"See that {witness.repository} answers, and go on with -e lifeboat_resume={request.run}",
        ) from error
    if not is_being_fenced(ledger, witness.source):
        last = ledger.entries[-1]
        raise _no_proof(
            f"{request.run} is not fencing {witness.label}: in {witness.repository} its last word is {last.event} "
            f"{last.step}".rstrip(),
            witness=witness,
            hint=f"Go on with -e lifeboat_resume={request.run}, or make a new plan where it has ended.",
        )
    step = entering_step(ledger, witness.source)
    if step is None or step.on == request.host:
        why = f"the new primary is on {request.host} as well, and leases are told apart by their hosts"
        raise _no_proof(why, witness=witness)
    return ledger


def _require_silence(request: TakeRequest, last: Said | None, *, first: Said, witness: Witness) -> None:
    if last is None:
        why = f"somebody removed what {request.host} says of the lease of {witness.label} meanwhile"
        raise _no_proof(why, witness=witness)
    if _has_obeyed(last, request):
        return
    if last.state == WITHDRAWN:
        why = f"{request.host} gave the lease of {witness.label} back while it was waited for"
        raise _no_proof(why, witness=witness)
    since = last.round - first.round if last.session == first.session else last.round
    if since > 1:
        raise _no_proof(
            f"{request.host} renewed the lease of {witness.label} {since} times after it was taken, so it takes writes",
            witness=witness,
            hint=f"Look at it on {request.host}: systemctl status 'lifeboat-lease.*'. {_ANOTHER_WAY}.",
        )


def _has_obeyed(said: Said, request: TakeRequest) -> bool:
    return said.state == RELEASED and said.obeyed == request.run


def _heard(witness: Witness, host: str) -> Said | None:
    try:
        return witness.said(host)
    except LifeboatError:
        return None  # asked again; at the end it must answer


def _no_proof(why: str, *, witness: Witness, hint: str = "") -> FailoverWitnessNotProven:
    return FailoverWitnessNotProven(
        f"The lease in {witness.repository} proves nothing: {why}.",
        hint=hint or f"{_ANOTHER_WAY}.",
        details={"repository": witness.repository},
    )


def _number(run: str) -> int:
    return run_number(run) or 0
