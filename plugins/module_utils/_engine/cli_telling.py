# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What commands tell of their runs, without ever failing one by it."""

from __future__ import annotations

import contextlib
import typing as t

from .core.description.description import Description
from .core.errors import LifeboatError, LockHeld
from .core.host import Host
from .notify.channels import PING, selects
from .notify.delivery import send_waiting, tell_started
from .notify.recorder import Recorder
from .notify.values import BACKUP, FAILED, PARTIAL, RETENTION, VERIFICATION, WELL, Json, Occurrence
from .retention.rules import JOB_LABEL

if t.TYPE_CHECKING:
    from .operations.backup_values import BackupResult
    from .operations.prune_results import PruneResult
    from .operations.ship_values import ShipResult
    from .operations.verify_values import Outcome


class Telling:
    """Records what came of runs and sends what waits. What goes wrong in doing so is a warning."""

    def __init__(self, description: Description, *, host: Host) -> None:
        self._host = host
        self._recorder = Recorder(description, host=host)
        self._channels = self._recorder.channels

    def backup_started(self, job: str, service: str) -> None:
        """A backup begins."""
        self._started(job, service, BACKUP)

    def backup(self, job: str, service: str, result: BackupResult | None, error: LifeboatError | None) -> None:
        """A backup ended: with *result* (and the *error* of a partial one), or with *error* alone."""
        if isinstance(error, LockHeld) or (result is None and error is None):
            return  # somebody else makes it, and tells of it
        facts: dict[str, t.Any] = {}
        word = "failed"
        if result is not None:
            document = result.as_dict()
            word = str(document["state"])
            facts = {name: document[name] for name in ("engine", "stored_bytes", "plain_bytes", "seconds")}
            facts["backup"] = document["id"]
            facts["repositories"] = {str(one["name"]): one["state"] for one in document["repositories"]}
        self._tell(
            [
                Occurrence(
                    topic=BACKUP,
                    service=service,
                    job=job,
                    state=FAILED if result is None else PARTIAL if result.is_partial else WELL,
                    at=self._host.clock.now(),
                    error=_facts_of(error),
                    facts=facts,
                    state_word=word,
                    # Nothing was made: no news, however often it is looked at.
                    is_told_each=result is None or not result.is_unchanged,
                )
            ]
        )

    def ship(self, job: str, service: str, result: ShipResult | None, error: LifeboatError | None) -> None:
        """A stream was shipped."""
        if isinstance(error, LockHeld):
            return
        state = WELL if error is None else PARTIAL if result is not None and result.state == PARTIAL else FAILED
        word = result.state if result is not None else "failed"
        self._tell(
            [
                Occurrence(
                    topic=BACKUP,
                    service=service,
                    job=job,
                    state=state,
                    at=self._host.clock.now(),
                    error=_facts_of(error),
                    state_word=word,
                )
            ]
        )

    def verified(self, outcomes: t.Sequence[Outcome]) -> None:
        """Backups were verified: one word for each job."""
        by_job: dict[str, list[Outcome]] = {}
        for outcome in outcomes:
            manifest = outcome.backup.manifest
            by_job.setdefault(manifest.labels.get(JOB_LABEL) or _series(outcome), []).append(outcome)
        self._tell([self._verification(job, found) for job, found in by_job.items()])

    def pruned(self, services: t.Sequence[str], result: PruneResult | None, error: LifeboatError | None) -> None:
        """The retention of *services* ended."""
        if isinstance(error, LockHeld):
            return
        refused = result is not None and result.plans.exit_status != 0
        told = _facts_of(error)
        if error is None and refused:
            told = {
                "code": "retention.refused",
                "message": "A guard of retention keeps what the policies would let go.",
                "hint": "See which and why: lifeboat prune --plan",
            }
        state = FAILED if error is not None else PARTIAL if refused else WELL
        self._tell(
            [
                Occurrence(
                    topic=RETENTION,
                    service=service,
                    job=service,
                    state=state,
                    at=self._host.clock.now(),
                    error=told,
                )
                for service in dict.fromkeys(services)
            ]
        )

    def send(self) -> None:
        """Send what waits of before, too."""
        with self._undisturbed():
            sent = send_waiting(self._channels, self._recorder.spool, host=self._host)
            for key, error in (sent.errors or {}).items():
                self._host.journal.warning(f"The channel {key} could not be told: {error.message} It is tried again.")

    def _verification(self, job: str, outcomes: t.Sequence[Outcome]) -> Occurrence:
        bad = [outcome for outcome in outcomes if outcome.state != "passed"]
        shown = (bad or outcomes)[-1]
        document = shown.as_dict()
        verification = document["verification"] or {}
        error = document["error"] or verification.get("error") or {}
        if bad and not error.get("message"):
            error = {**error, "message": f"The backup {document['backup']} is not proved."}
        return Occurrence(
            topic=VERIFICATION,
            service=shown.backup.manifest.service,
            job=job,
            state=FAILED if bad else WELL,
            at=self._host.clock.now(),
            error={"hint": f"lifeboat show {document['backup']}", **{k: v for k, v in error.items() if v}}
            if bad
            else {},
            facts={
                "backup": document["backup"],
                "engine": document["engine"],
                "level": verification.get("level"),
                "reached": verification.get("reached"),
                "recovery_seconds": verification.get("recovery_seconds"),
                "verified": len(outcomes),
                "not_proved": len(bad),
            },
            is_told_each=True,
            state_word=shown.state,
        )

    def _started(self, job: str, service: str, topic: str) -> None:
        pings = [
            one
            for one in self._channels
            if one.kind == PING
            and one.service == service
            and "start" in one.options
            and topic in one.options.get("of", (BACKUP,))
            and selects(one.jobs, job, service)
        ]
        if pings:
            with self._undisturbed():
                values = {"job": job, "slug": job.replace("/", "-"), "service": service, "host": self._host.name}
                tell_started(pings, values, spool=self._recorder.spool, host=self._host)

    def _tell(self, occurrences: t.Sequence[Occurrence]) -> None:
        if not self._channels:
            return
        with self._undisturbed():
            self._recorder.record(occurrences)
        self.send()

    @contextlib.contextmanager
    def _undisturbed(self) -> t.Iterator[None]:
        try:
            yield
        except LifeboatError as error:
            self._host.journal.warning(f"Nobody could be told: {error.message}")
        except Exception as error:  # noqa: BLE001 a backup must not fail because nobody could be told of it
            self._host.journal.warning(f"Nobody could be told, for a reason nobody thought of: {type(error).__name__}.")


def _facts_of(error: LifeboatError | None) -> Json:
    return {} if error is None else {"code": error.code, "message": error.message, "hint": error.hint}


def _series(outcome: Outcome) -> str:
    return outcome.backup.manifest.folder.series.folder.rstrip("/")
