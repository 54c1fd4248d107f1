# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which restores of before are not done with, and what finishing one of them would do."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid, RestoreLedgerInvalid
from ..core.host import Host
from ..core.progress import ProgressSink
from ..core.state import StateDirectory
from ..recovery.ledger import DISCARDED, FINISHED, ROLLED_BACK, RUNNING, Ledger
from .earlier_restores import discard_restore, resume_restore, roll_back_restore
from .open_restores import aside_of, running_restores, state_of
from .restore_run import require_confirmation
from .restore_values import EarlierRestore, RestoreResult

RESUME, ROLL_BACK, DISCARD = "resume", "roll_back", "discard"
ACTIONS = (RESUME, ROLL_BACK, DISCARD)
_ENDS: t.Mapping[str, str] = {RESUME: FINISHED, ROLL_BACK: ROLLED_BACK, DISCARD: DISCARDED}
_STARTS: t.Mapping[str, tuple[str, ...]] = {RESUME: (RUNNING,), ROLL_BACK: (RUNNING, FINISHED), DISCARD: (FINISHED,)}
_WORDS: t.Mapping[str, str] = {RESUME: "be resumed", ROLL_BACK: "be rolled back", DISCARD: "be tidied up"}


@dataclass(frozen=True)
class FinishPlan:
    """What *action* would do to a restore that is in *state* (running, died, finished, rolled back or discarded).

    *changes* is False when the restore has come to that end already. *confirm* is the name that must be repeated, None
    where nothing is lost. *steps* tell each step's state, *aside* where old data lies.
    """

    restore_id: str
    target: str
    state: str
    action: str
    changes: bool
    confirm: str | None
    steps: tuple[t.Mapping[str, t.Any], ...] = ()
    aside: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "id": self.restore_id,
            "target": self.target,
            "state": self.state,
            "action": self.action,
            "changes": self.changes,
            "confirm": self.confirm,
            "steps": [dict(step) for step in self.steps],
            "aside": list(self.aside),
        }


def plan_finish(earlier: EarlierRestore, action: str, *, host: Host) -> FinishPlan:
    """What the action would do, by the notes alone; changes nothing.

    Raises RestoreLedgerInvalid when there is no such restore, or none that the action could be done to, and
    RestoreConfirmationMissing when ``confirm`` is given and names something else.
    """
    if action not in ACTIONS:
        raise RequestInvalid(f"{action!r} is no way to finish a restore.", hint=f"One of {', '.join(ACTIONS)}.")
    state = StateDirectory(path=earlier.state_directory)
    document = Ledger.load(state=state, clock=host.clock, restore_id=earlier.restore_id).as_dict()
    found = state_of(document, running=running_restores(state))
    noted = str(document["state"])
    changes = noted != _ENDS[action]
    if changes and noted not in _STARTS[action]:
        raise RestoreLedgerInvalid(
            f"The restore {earlier.restore_id} is {noted}, so it can't {_WORDS[action]}.",
            hint="See which are unfinished: lifeboat restore --list",
            details={"state": noted},
        )
    confirm = str(document["target"]) if changes and noted == FINISHED else None
    if changes and earlier.confirm is not None:
        require_confirmation(confirm, earlier.confirm)
    return FinishPlan(
        restore_id=earlier.restore_id,
        target=str(document["target"]),
        state=found,
        action=action,
        changes=changes,
        confirm=confirm,
        steps=tuple({"name": step["name"], "state": step["state"]} for step in document["steps"]),
        aside=aside_of(document),
    )


def finish_earlier(
    earlier: EarlierRestore, action: str, *, host: Host, show: ProgressSink | None = None
) -> RestoreResult:
    """Do it. Raises what the three functions of :mod:`earlier_restores` raise."""
    if action == RESUME:
        return resume_restore(earlier, host=host, show=show)
    if action == ROLL_BACK:
        return roll_back_restore(earlier, host=host, show=show)
    return discard_restore(earlier, host=host)
