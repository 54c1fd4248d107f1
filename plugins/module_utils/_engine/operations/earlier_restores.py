# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores of before: resumed or rolled back after a death, rolled back or tidied up after their end."""

from __future__ import annotations

import contextlib
import json
import typing as t
from dataclasses import replace

from ..catalog.catalog import Backup
from ..catalog.layout import Series
from ..catalog.manifest import Manifest, parse_manifest
from ..catalog.standing import COMPLETE
from ..core.errors import RestoreConfirmationMissing, RestoreLedgerInvalid
from ..core.host import Host
from ..core.progress import Progress, ProgressSink
from ..core.state import SourceLock, StateDirectory
from ..recovery.ledger import DISCARDED, FINISHED, ROLLED_BACK, RUNNING, Ledger
from ..recovery.restorer import RestorerContext
from ..recovery.steps import roll_back
from .choosing import Choice, Sources
from .recovering import read_again, recovery_as_noted
from .restore_run import facts_of, finish, make_restorer, shown_progress, target_lock
from .restore_values import (
    EarlierRestore,
    RestoreResult,
    with_secrets,
)


def resume_restore(earlier: EarlierRestore, *, host: Host, show: ProgressSink | None = None) -> RestoreResult:
    """Go on with a restore that died in its middle, at the step where it died."""
    return Earlier(earlier, host=host, show=show).resume()


def roll_back_restore(earlier: EarlierRestore, *, host: Host, show: ProgressSink | None = None) -> RestoreResult:
    """Put everything back as it was before a restore that died or failed; or before one that finished.

    The latter loses what was written since, so it needs ``confirm`` with the target's name.
    """
    return Earlier(earlier, host=host, show=show).roll_back()


def discard_restore(earlier: EarlierRestore, *, host: Host) -> RestoreResult:
    """Remove for ever what a finished restore moved aside. Needs ``confirm`` with the target's name."""
    return Earlier(earlier, host=host, show=None).discard()


class Earlier:
    """A restore of before."""

    def __init__(self, earlier: EarlierRestore, *, host: Host, show: ProgressSink | None) -> None:
        self._earlier = earlier
        self._host = host
        self._show = show
        self._state = StateDirectory(path=earlier.state_directory)
        self._ledger = Ledger.load(state=self._state, clock=host.clock, restore_id=earlier.restore_id)
        request = self._ledger.request
        self._sources = Sources.open(earlier.repositories, host=host, identity=earlier.identity)
        # By the notes alone: putting things back must work while the repositories can't be reached.
        self._choice = _noted(request)
        chain = tuple(
            self._sources.payloads(_manifest(link["manifest"]), str(link["repository"])) for link in request["chain"]
        )
        recovery = request.get("recovery")
        base = self._choice.backup
        self._options = with_secrets(request["options"], earlier.options)
        segments = None
        if recovery:
            segments = recovery_as_noted(recovery, base=base, sources=self._sources, host=host, options=self._options)
        self._context = RestorerContext(
            restore_id=earlier.restore_id, host=host, state=self._state, chain=chain, segments=segments
        )
        self._restorer = make_restorer(self._choice, self._options, self._context)

    def resume(self) -> RestoreResult:
        with self._lock() as lock:
            self._require_state(RUNNING, "be resumed")
            lock.add(id=self._earlier.restore_id, backup=self._choice.manifest.backup_id)
            progress = shown_progress(self._host, lock, self._show)
            recovery = self._ledger.request.get("recovery")
            if recovery:
                base = self._choice.backup
                segments = read_again(
                    recovery, base=base, sources=self._sources, host=self._host, options=self._options
                )
                context = replace(self._context, segments=segments)
                self._restorer = make_restorer(self._choice, self._options, context)
            return finish(self._ledger, self._restorer, self._sources, self._choice, progress=progress, host=self._host)

    def roll_back(self) -> RestoreResult:
        with self._lock():
            self._reload()
            if self._ledger.state == FINISHED:
                self._confirm("This puts back what was there before the restore; what was written since is lost.")
            elif self._ledger.state != RUNNING:
                self._require_state(RUNNING, "be rolled back")
            return self.roll_back_locked()

    def roll_back_locked(self) -> RestoreResult:
        progress = Progress(clock=self._host.clock, sink=self._show)
        source = self._sources.payloads(self._choice.manifest, self._choice.repository)
        steps = self._restorer.steps(source=source, progress=progress)
        roll_back(steps, ledger=self._ledger, journal=self._host.journal, progress=progress)
        self._ledger.close(ROLLED_BACK)
        return self._result(ROLLED_BACK, progress)

    def discard(self) -> RestoreResult:
        with self._lock():
            self._require_state(FINISHED, "be tidied up")
            self._confirm("This removes for ever what the restore moved aside; after it there is no way back.")
            removed = self._restorer.discard(facts=facts_of(self._ledger))
            self._ledger.close(DISCARDED, {"removed": list(removed)})
            return self._result(DISCARDED, Progress(clock=self._host.clock), removed=removed)

    def _lock(self) -> contextlib.AbstractContextManager[SourceLock]:
        return target_lock(self._earlier, target=self._ledger.target, state=self._state, host=self._host)

    def _confirm(self, what: str) -> None:
        target, confirm = self._ledger.target, self._earlier.confirm
        if confirm != target:
            given = f", not {confirm!r}" if confirm else ""
            raise RestoreConfirmationMissing(
                f"{what} Repeat the target's name to confirm{given}: {target}",
                hint=f'Add --confirm "{target}" (confirm: "{target}").',
                details={"replaces": target},
            )

    def _require_state(self, state: str, what: str) -> None:
        self._reload()
        if self._ledger.state != state:
            raise RestoreLedgerInvalid(
                f"The restore {self._earlier.restore_id} is {self._ledger.state}, so it can't {what}.",
                hint="See what became of each: lifeboat restore --list",
                details={"state": self._ledger.state},
            )

    def _reload(self) -> None:
        # Under the lock: somebody else may have finished it meanwhile.
        self._ledger = Ledger.load(state=self._state, clock=self._host.clock, restore_id=self._earlier.restore_id)

    def _result(self, state: str, progress: Progress, removed: tuple[str, ...] = ()) -> RestoreResult:
        return RestoreResult(
            restore_id=self._earlier.restore_id,
            target=self._ledger.target,
            state=state,
            backup=self._choice.as_dict(),
            stages=progress.stage_seconds(),
            removed=removed,
        )


def _noted(request: t.Mapping[str, t.Any]) -> Choice:
    """The backup of an earlier restore, as its notes describe it."""
    manifest, repository = _manifest(request["manifest"]), str(request["repository"])
    backup = Backup(manifest=manifest, repositories={repository: COMPLETE})
    return Choice(backup=backup, repository=repository, reason=str(request["reason"]), series=(backup,))


def _manifest(document: t.Mapping[str, t.Any]) -> Manifest:
    series = Series(service=str(document["service"]), source=str(document["source"]), kind=str(document["kind"]))
    return parse_manifest(json.dumps(document).encode("utf-8"), folder=series.backup(str(document["id"])))
