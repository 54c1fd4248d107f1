# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore as steps, each of which can be undone: how nothing is destroyed before its replacement works."""

from __future__ import annotations

import errno
import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError, RestoreError, RestoreRollBackFailed
from ..core.journal import Journal
from ..core.progress import Progress
from .ledger import DONE, UNDONE, Ledger

Facts = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Step:
    """One step of a restore.

    *plan* gives the facts that undoing needs and that are known before (the name under which something will be moved
    aside); they are durable before *do* runs. *do* gets the facts noted so far and returns more. It must be fit to be
    called again after a death in its middle: what it finds done it leaves. *undo* gets all facts noted and takes back
    whatever *do* did, also when that was nothing or only a part; it must be fit to be called twice.
    """

    name: str  # stable: it is looked up in the ledger
    title: str  # for people: "Move /var/lib/postgresql/15/main aside"
    do: t.Callable[[Facts], Facts | None]
    undo: t.Callable[[Facts], None]
    plan: t.Callable[[], Facts] = dict


def run_steps(steps: t.Sequence[Step], *, ledger: Ledger, journal: Journal, progress: Progress) -> None:
    """Do every step that is not done yet, in order; when one fails, undo all in reverse order and raise its error.

    What the operating system refused (a folder that can't be renamed, a disk that is full) is raised as RestoreError.

    To resume a restore that died, call it with the same steps and the ledger of then.
    """
    title = ""
    try:
        for step in steps:
            title = step.title
            if ledger.step_state(step.name) == DONE:
                continue
            progress.stage(step.title)
            if ledger.step_state(step.name) in (None, UNDONE):
                ledger.intend(step.name, step.plan())
            ledger.done(step.name, step.do(ledger.facts(step.name)))
    except BaseException as error:
        try:
            roll_back(steps, ledger=ledger, journal=journal, progress=progress)
        except BaseException as second:  # noqa: BLE001 it is raised again, as what it means
            # Whatever it is, also the next signal: nobody may believe that the old data is back in its place.
            reason = second.message if isinstance(second, LifeboatError) else str(second) or type(second).__name__
            raise RestoreRollBackFailed(
                f"The restore failed ({error}), and undoing it failed too: {reason}",
                hint=f"Mend the reason, then: lifeboat restore --roll-back {ledger.restore_id}",
                details={"restore": ledger.restore_id, "error": str(error)},
            ) from error
        if isinstance(error, OSError):
            raise _refused(error, title=title) from error
        raise


def _refused(error: OSError, *, title: str) -> RestoreError:
    place = f" ({error.filename})" if error.filename else ""
    hint = "Mend that, and restore again."
    if error.errno == errno.EXDEV:
        hint = "It can't be renamed where it lies (a folder of a container's image, or of another file system). "
        hint += "Restore beside it: -o data_directory=FOLDER without in_place."
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "Make room there, and restore again."
    return RestoreError(
        f"{title}: {error.strerror or error}{place}. What was there before is there again.",
        hint=hint,
        details={"errno": error.errno, "path": str(error.filename or "")},
    )


def roll_back(steps: t.Sequence[Step], *, ledger: Ledger, journal: Journal, progress: Progress) -> None:
    """Undo every step that was begun, last one first. Fit to be called again when it died or failed in between."""
    for step in reversed(steps):
        if ledger.step_state(step.name) in (None, UNDONE):
            continue
        progress.stage(f"undoing: {step.title}")
        journal.info(f"undoing: {step.title}")
        if ledger.step_state(step.name) == DONE:
            # From here on it is done in part at most: who goes on after a death must do it again.
            ledger.intend(step.name)
        step.undo(ledger.facts(step.name))
        ledger.undone(step.name)
