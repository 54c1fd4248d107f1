# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a measure of degraded mode on this host, and putting it back: what was so before is noted first.

Killed anywhere and run again, both end in the same state. A measure is taken once; what was noted the first time is
what is put back, however often it is taken.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.errors import DegradedChangedMeanwhile, DegradedMeasureFailed
from ..core.state import SourceLock
from .notes import LEAVING, NOTED, ON, Notes

if t.TYPE_CHECKING:
    from ..core.host import Host

Json = t.Mapping[str, t.Any]


class Lever(t.Protocol):
    """One kind of measure. What ``read`` gives is JSON, and None where the world can't be asked."""

    def read(self) -> t.Any:
        """What is so now."""

    def is_on(self, now: t.Any) -> bool:
        """Whether that is what the measure wants."""

    def is_back(self, now: t.Any, before: t.Any) -> bool:
        """Whether that is what was before."""

    def turn_on(self, before: t.Any) -> None:
        """Take it."""

    def turn_back(self, before: t.Any) -> None:
        """Put back what was before."""

    def settle(self) -> None:
        """What has to follow a change, and does no harm when it follows twice."""

    def pauses(self) -> t.Sequence[str]:
        """The jobs that are paused by it."""


@dataclass(frozen=True)
class Taken:
    """What came of it. *before* is what was noted, *now* what is so."""

    changed: bool
    state: str | None
    before: t.Any
    now: t.Any

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"state": self.state, "before": self.before, "now": self.now}


def look(name: str, lever: Lever, *, notes: Notes) -> Taken:
    """How it is: ``state`` is None when the measure is not noted here, and *changed* says whether it would be taken."""
    note = notes.read()["measures"].get(name)
    now = lever.read()
    return Taken(
        changed=note is None or note["state"] != ON or (now is not None and not lever.is_on(now)),
        state=None if note is None else str(note["state"]),
        before=None if note is None else note["before"],
        now=now,
    )


def enter(name: str, lever: Lever, *, notes: Notes, host: Host) -> Taken:
    """Take it. Raises DegradedMeasureFailed when it has no effect, and what the lever raises."""
    with _alone(notes, host=host):
        note = notes.read()["measures"].get(name)
        now = lever.read()
        before = note["before"] if note is not None else now
        if note is not None and note["state"] == ON and (now is None or lever.is_on(now)):
            return Taken(changed=False, state=ON, before=before, now=now)
        common = {"before": before, "at": format_time(host.clock.now()), "pauses": list(lever.pauses())}
        if note is None:
            notes.put_measure(name, {**common, "state": NOTED})
        changed = now is None or not lever.is_on(now)
        if changed:
            lever.turn_on(before)
            now = lever.read()
            if now is not None and not lever.is_on(now):
                raise _without_effect(name, now)
        if changed or note is not None:  # a run that died may have changed it, and not gone on
            lever.settle()
        notes.put_measure(name, {**common, "state": ON})
    return Taken(changed=changed, state=ON, before=before, now=now)


def leave(name: str, lever: Lever, *, notes: Notes, host: Host, force: bool) -> Taken:
    """Put it back. Raises DegradedChangedMeanwhile where somebody changed it, unless *force*."""
    with _alone(notes, host=host):
        note = notes.read()["measures"].get(name)
        now = lever.read()
        if note is None:
            return Taken(changed=False, state=None, before=None, now=now)
        before = note["before"]
        foreign = now is not None and not lever.is_on(now) and not lever.is_back(now, before)
        if foreign and note["state"] == ON and not force:
            raise DegradedChangedMeanwhile(
                f"{name}: it is {now!r} now, was {before!r} before, and neither is what the measure made of it.",
                hint="See who changed it. To put back what was before all the same: -e lifeboat_degraded_force=true",
                details={"now": now, "before": before},
            )
        was_leaving = note["state"] == LEAVING
        notes.put_measure(name, {**note, "state": LEAVING})
        changed = not lever.is_back(now, before) if now is not None else True
        if changed:
            lever.turn_back(before)
            now = lever.read()
            if now is not None and not lever.is_back(now, before):
                raise _without_effect(name, now)
        if changed or was_leaving:
            lever.settle()
        notes.put_measure(name, None)
    return Taken(changed=changed, state=None, before=before, now=now)


def _without_effect(name: str, now: t.Any) -> DegradedMeasureFailed:
    return DegradedMeasureFailed(
        f"{name} had no effect: it is {now!r} still.",
        hint="Do it by hand, or see what sets it again; then the same command goes on.",
        details={"now": now},
    )


@contextlib.contextmanager
def _alone(notes: Notes, *, host: Host) -> t.Iterator[None]:
    lock = SourceLock(state=notes.state, name=f"{notes.service}.degraded", clock=host.clock)
    lock.acquire(holder={"job": f"{notes.service}: degraded mode"}, timeout=60.0)
    try:
        yield
    finally:
        lock.release()
