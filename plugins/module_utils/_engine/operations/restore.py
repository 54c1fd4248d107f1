# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a backup back, start to end: choose, look, confirm, lock, clear up what died, do the steps, record.

What a restore replaces is moved aside and put back when any step fails; what a death leaves in its middle is finished
by the next restore into the same target, or by resume_restore() and roll_back_restore() (:mod:`earlier_restores`).
"""

from __future__ import annotations

import typing as t

from ..core.errors import RecoveryTargetUnreachable, RestoreNoSpace
from ..core.host import Host
from ..core.ids import new_backup_id
from ..core.journal import RecordingJournal
from ..core.progress import ProgressSink
from ..core.state import StateDirectory
from ..recovery.ledger import Ledger, unfinished_restores
from ..recovery.recovery_planner import SegmentReader
from ..recovery.restorer import RestoreInspection, RestorerContext
from .choosing import Choice, Sources, choose
from .earlier_restores import Earlier
from .forecast import Forecast, forecast
from .recovering import explain_hole, noted_recovery, plan_point
from .recovery_times import restores_of, verified_recoveries
from .restore_run import finish, make_restorer, require_confirmation, shown_progress, target_lock
from .restore_values import (
    EarlierRestore,
    RestorePlan,
    RestoreRequest,
    RestoreResult,
    without_secrets,
)


def plan_restore(request: RestoreRequest, *, host: Host) -> RestorePlan:
    """Choose the backup and look at the target, without changing anything; refuse what can't become a good restore.

    Of a recovery to a point in time every segment is read and compared, so that what is planned can be done. Raises
    BackupNotFound, BackupNotTrusted, RecoveryTargetUnreachable, RestoreNoSpace and what inspect() raises.
    """
    return _Restore.of(request, host=host, show=None).plan()


def run_restore(request: RestoreRequest, *, host: Host, show: ProgressSink | None = None) -> RestoreResult:
    """Restore, and return what came of it. An earlier restore into the same target that died is rolled back first.

    Raises RestoreConfirmationMissing when existing data would be replaced and ``confirm`` doesn't repeat its name.
    Whatever is raised, what was there before is there again, unless it is RestoreRollBackFailed: that names the command
    that tries again.
    """
    return _Restore.of(request, host=host, show=show).run()


class _Restore:
    """One new restore."""

    def __init__(
        self,
        request: RestoreRequest,
        *,
        sources: Sources,
        choice: Choice,
        segments: SegmentReader | None,
        host: Host,
        show: ProgressSink | None,
    ) -> None:
        self._request = request
        self._sources = sources
        self._choice = choice
        self._segments = segments
        self._host = host
        self._show = show
        self._state = StateDirectory(path=request.state_directory)
        self._restore_id = new_backup_id(now=host.clock.now())
        self._chain = sources.chain_of(choice.manifest)
        self._restorer = make_restorer(
            choice,
            request.options,
            RestorerContext(
                restore_id=self._restore_id, host=host, state=self._state, chain=self._chain, segments=segments
            ),
        )

    @classmethod
    def of(cls, request: RestoreRequest, *, host: Host, show: ProgressSink | None) -> _Restore:
        recording = Host(
            clock=host.clock, runner=host.runner, journal=RecordingJournal(target=host.journal), name=host.name
        )
        sources = Sources.open(request.repositories, host=recording, identity=request.identity)
        if request.recovery is not None:
            planned = plan_point(sources, request.selection, request.recovery)
            return cls(
                request, sources=sources, choice=planned.choice, segments=planned.segments, host=recording, show=show
            )
        choice = choose(sources, request.selection, point=request.point, allow_failed=request.allow_failed)
        return cls(request, sources=sources, choice=choice, segments=None, host=recording, show=show)

    def plan(self) -> RestorePlan:
        inspection = self._inspect()
        self._check_segments()
        unfinished = unfinished_restores(self._state, target=self._restorer.target)
        return RestorePlan(
            choice=self._choice,
            target=self._restorer.target,
            inspection=inspection,
            forecast=self._forecast(),
            unfinished=tuple(str(document["id"]) for document in unfinished),
            recovery=self._segments.plan if self._segments is not None else None,
        )

    def run(self) -> RestoreResult:
        target, manifest = self._restorer.target, self._choice.manifest
        with target_lock(self._request, target=target, state=self._state, host=self._host) as lock:
            lock.add(id=self._restore_id, backup=manifest.backup_id)
            self._clear_up(target)
            progress = shown_progress(self._host, lock, self._show)
            progress.stage("looking at the target")
            inspection = self._inspect()
            require_confirmation(inspection.replaces, self._request.confirm)
            if self._segments is not None:
                progress.stage("checking every segment")
            self._check_segments()
            ledger = Ledger.begin(
                state=self._state,
                clock=self._host.clock,
                restore_id=self._restore_id,
                target=target,
                request=self._request_document(),
            )
            progress.stage("restoring", bytes_expected=manifest.plain_bytes or 0)
            return finish(ledger, self._restorer, self._sources, self._choice, progress=progress, host=self._host)

    def _inspect(self) -> RestoreInspection:
        inspection = self._restorer.inspect(
            source=self._sources.payloads(self._choice.manifest, self._choice.repository)
        )
        if inspection.free_bytes is not None and inspection.needed_bytes > inspection.free_bytes:
            raise RestoreNoSpace(
                f"{self._restorer.target}: about {inspection.needed_bytes} bytes are needed, and "
                f"{inspection.free_bytes} are free.",
                hint="Free space there, or restore to another place.",
                details={"needed": inspection.needed_bytes, "free": inspection.free_bytes},
            )
        return inspection

    def _check_segments(self) -> None:
        """Before anything stops: what is to be replayed is there, whole, in at least one repository."""
        if self._segments is None or self._request.recovery is None:
            return
        try:
            self._segments.check()
        except RecoveryTargetUnreachable as error:
            selection, recovery = self._request.selection, self._request.recovery
            raise explain_hole(self._sources, selection, recovery, error) from error

    def _clear_up(self, target: str) -> None:
        """Roll back what died in its middle: two half restores into one target are one too many."""
        for document in unfinished_restores(self._state, target=target):
            self._host.journal.warning(f"The restore {document['id']} into {target} died; it is rolled back first.")
            Earlier(
                EarlierRestore(
                    restore_id=str(document["id"]),
                    repositories=self._request.repositories,
                    options=self._request.options,
                    identity=self._request.identity,
                    state_directory=self._request.state_directory,
                ),
                host=self._host,
                show=self._show,
            ).roll_back_locked()

    def _request_document(self) -> dict[str, t.Any]:
        manifest = self._choice.manifest
        return {
            "manifest": manifest.as_dict(),
            "chain": [{"manifest": link.manifest.as_dict(), "repository": link.repository} for link in self._chain],
            "repository": self._choice.repository,
            "reason": self._choice.reason,
            "options": without_secrets(self._request.options),
            **self._noted_recovery(),
        }

    def _noted_recovery(self) -> dict[str, t.Any]:
        if self._segments is None or self._request.recovery is None:
            return {}
        return {"recovery": noted_recovery(self._segments.plan, engine=self._request.recovery.engine)}

    def _forecast(self) -> Forecast | None:
        return forecast(
            [*verified_recoveries(self._choice.series), *restores_of(self._state, self._choice.manifest.folder.series)],
            plain_bytes=self._choice.manifest.restored_bytes,
        )
