# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What new and earlier restores share: the lock of the target, the steps to their end, the record."""

from __future__ import annotations

import contextlib
import hashlib
import re
import typing as t

from ..core.clock import format_time
from ..core.errors import LifeboatError, RestoreConfirmationMissing
from ..core.host import Host
from ..core.journal import RecordingJournal
from ..core.progress import Progress, ProgressSink
from ..core.signals import Stop, interrupted
from ..core.state import SourceLock, StateDirectory
from ..recovery.ledger import FINISHED, ROLLED_BACK, Ledger
from ..recovery.restorer import Restorer, RestorerContext
from ..recovery.steps import run_steps
from .choosing import Choice, Sources
from .recovery_times import restore_record_name, restores_a_part
from .restore_values import (
    EarlierRestore,
    RestoreRequest,
    RestoreResult,
)
from .restorer_kinds import restorer_factory
from .wanted import want_full_backup


def finish(
    ledger: Ledger, restorer: Restorer, sources: Sources, choice: Choice, *, progress: Progress, host: Host
) -> RestoreResult:
    """Do the steps that are left, and record what came of it."""
    started = host.clock.monotonic()
    state = StateDirectory(path=ledger.state_directory)
    steps = restorer.steps(source=sources.payloads(choice.manifest, choice.repository), progress=progress)
    try:
        run_steps(steps, ledger=ledger, journal=host.journal, progress=progress)
        restoration = restorer.outcome(facts=facts_of(ledger))
    except BaseException as error:
        if all(ledger.step_state(step.name) in (None, "undone") for step in steps):
            ledger.close(ROLLED_BACK, {"error": str(error)})
        _record(state, ledger, choice, host=host, seconds=host.clock.monotonic() - started, error=error)
        raise
    seconds = host.clock.monotonic() - started
    ledger.close(FINISHED, {"aside": list(restoration.aside), "where": restoration.where, "seconds": seconds})
    _record(state, ledger, choice, host=host, seconds=seconds, error=restoration.error)
    if restoration.content.get("full_backup_needed") and ledger.request["options"].get("in_place"):
        manifest = choice.manifest
        reason = f"the recovery {ledger.restore_id} of {manifest.service}/{manifest.source} began a new timeline"
        want_full_backup(state, service=manifest.service, source=manifest.source, reason=reason, host=host)
    journal = host.journal
    return RestoreResult(
        restore_id=ledger.restore_id,
        target=ledger.target,
        state=FINISHED,
        backup=choice.as_dict(),
        restoration=restoration,
        seconds=seconds,
        stages=progress.stage_seconds(),
        warnings=tuple(journal.warnings) if isinstance(journal, RecordingJournal) else (),
    )


def make_restorer(choice: Choice, options: t.Mapping[str, t.Any], context: RestorerContext) -> Restorer:
    """The restorer of the backup's kind. Raises KindNotRunnable, and RequestInvalid for options that can't be."""
    return restorer_factory(choice.manifest.engine, choice.manifest.kind)(options)(context)


def facts_of(ledger: Ledger) -> dict[str, dict[str, t.Any]]:
    """What each step noted, by name."""
    return {str(entry["name"]): dict(entry["facts"]) for entry in ledger.as_dict()["steps"]}


def require_confirmation(replaces: str | None, confirm: str | None) -> None:
    """Raise RestoreConfirmationMissing when something is replaced and *confirm* doesn't repeat its name."""
    if replaces is None or confirm == replaces:
        return
    given = f", not {confirm!r}" if confirm else ""
    raise RestoreConfirmationMissing(
        f"This replaces {replaces}; what is there now would be moved aside. Repeat its name to confirm{given}.",
        hint=f'Look at the plan (--dry-run, check mode), then add --confirm "{replaces}" (confirm: "{replaces}").',
        details={"replaces": replaces},
    )


@contextlib.contextmanager
def target_lock(
    request: RestoreRequest | EarlierRestore, *, target: str, state: StateDirectory, host: Host
) -> t.Iterator[SourceLock]:
    """One restore into a target at a time; the name of the lock is made of the target's, which may hold anything."""
    words = re.sub(r"[^a-z0-9]+", "-", target.lower()).strip("-")[:40]
    name = f"restore.{words}-{hashlib.sha256(target.encode('utf-8')).hexdigest()[:8]}"
    lock = SourceLock(state=state, name=name, clock=host.clock)
    lock.acquire(holder={"job": f"restore into {target}"}, timeout=request.lock_timeout)
    try:
        yield lock
    except Stop as stop:
        raise interrupted(stop) from None
    finally:
        lock.release()


def shown_progress(host: Host, lock: SourceLock, show: ProgressSink | None) -> Progress:
    """A progress that lifeboat status and *show* are told of."""

    def sink(snapshot: t.Mapping[str, t.Any]) -> None:
        with contextlib.suppress(LifeboatError):  # a full state folder must not stop a restore
            lock.show(snapshot)
        if show is not None:
            show(snapshot)

    return Progress(clock=host.clock, sink=sink)


def _record(
    state: StateDirectory, ledger: Ledger, choice: Choice, *, host: Host, seconds: float, error: BaseException | None
) -> None:
    record = {
        "id": ledger.restore_id,
        "backup": choice.manifest.backup_id,
        "target": ledger.target,
        "state": ledger.state,
        "seconds": round(seconds, 3),
        "plain_bytes": choice.manifest.restored_bytes,
        "part": restores_a_part(ledger.request["options"], choice.manifest),
        "ended": format_time(host.clock.now()),
        "error": error.as_dict() if isinstance(error, LifeboatError) else (str(error) if error else None),
    }
    try:
        state.append_record(restore_record_name(choice.manifest.folder.series), record)
    except LifeboatError as problem:
        host.journal.warning(f"The restore is not in the records of this host: {problem.message}")
