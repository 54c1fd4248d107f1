# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat backup``: one backup after the other, each with its own end."""

from __future__ import annotations

import argparse
import functools
import typing as t

from .catalog.set_members import SET_LABEL
from .cli_telling import Telling
from .core.description.description import Description
from .core.errors import JobUnknown, LifeboatError, RequestInvalid
from .core.host import Host
from .core.ids import is_name
from .core.state import StateDirectory
from .degraded.notes import pauses
from .operations.backup import plan_backup, run_backup
from .operations.backup_values import ON_CHANGE, ON_DEPLOYMENT
from .operations.due import is_due, run_when_due
from .operations.jobs import backup_request
from .operations.ship_requests import is_stream
from .report.printer import Printer
from .report.results import plan_text, result_text
from .retention.rules import JOB_LABEL

if t.TYPE_CHECKING:
    from .core.description.model import Job


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("jobs", nargs="*", metavar="JOB", help="service/source/kind, or the beginning of it")
    command.add_argument("--dry-run", action="store_true", help="look, say what would be done, change nothing")
    command.add_argument(
        "--due", action="store_true", help="only jobs whose schedule has come round since they last went well here"
    )
    command.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="wait for another run of the same source"
    )
    command.add_argument(
        "--label", action="append", default=[], metavar="NAME=VALUE", help="noted in the manifest; more than once"
    )
    command.add_argument(
        "--trigger",
        choices=["schedule", "change", "deployment"],
        default="schedule",
        help="change, deployment: make nothing when nothing has changed (files; default jobs: those with that trigger)",
    )
    command.add_argument("--whole", action="store_true", help="build on no earlier backup (files static)")
    command.add_argument(
        "--paused", action="store_true", help="also jobs that are paused while their service is in degraded mode"
    )
    command.add_argument("--quiet", action="store_true", help="no progress on standard error")


def backup(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Make backups, one job after the other; one that fails does not stop the next."""
    labels = _labels(options.label)
    host = Host(journal=printer)
    description.require_backups_here()
    jobs = _asked_for(options, printer, description)
    telling = Telling(description, host=host)
    if options.due:
        jobs = [job for job in jobs if is_due(job, now=host.clock.now())]
        if not jobs:
            printer.result("Nothing is due.")
    if not options.paused:
        jobs = _not_paused(jobs, description, printer, host=host)
    documents: list[dict[str, t.Any]] = []
    status = 0
    for job in jobs:
        error: LifeboatError | None
        try:
            document, error = _make_one(job, options, printer, labels=labels, host=host, telling=telling)
        except LifeboatError as raised:
            document, error = {"job": job.id, "error": raised.as_dict()}, raised
            printer.result(f"{job.id}: failed")
            if not options.dry_run:
                telling.backup(job.id, job.service, None, raised)
        if document is not None:
            documents.append(document)
        if error is not None:
            printer.error(error, job=job.id)
            # A failure outweighs a partial backup, whichever came first.
            status = error.exit_status if status in (0, 3) else status
    printer.document({"results": documents})
    return status


def _asked_for(options: argparse.Namespace, printer: Printer, description: Description) -> list[Job]:
    """The jobs that were named, or all. Raises JobUnknown, and what _not_shipped raises."""
    selected = description.jobs(options.jobs)
    if not selected:
        raise JobUnknown("The description has no jobs.", hint="Add backups to a source of lifeboat_services.")
    if options.trigger in (ON_CHANGE, ON_DEPLOYMENT) and not options.jobs:
        selected = tuple(job for job in selected if options.trigger in job.triggers)
    # What was asked for by name must be possible; of "everything", what can't be made yet is said and left out.
    return list(_not_shipped(selected, options.jobs) if options.jobs else _runnable(selected, printer))


def _not_paused(jobs: list[Job], description: Description, printer: Printer, *, host: Host) -> list[Job]:
    """Without those that degraded mode pauses on this host; each is said."""
    state = StateDirectory(path=description.settings.state_directory)
    paused = pauses(state, now=host.clock.now())
    found: list[Job] = []
    for job in jobs:
        why = next((said for name, said in paused.items() if job.id == name or job.id.startswith(f"{name}/")), None)
        if why is None:
            found.append(job)
        else:
            printer.warning(f"{job.id} is paused: {why}. To make it all the same: lifeboat backup {job.id} --paused")
    return found


def _make_one(
    job: Job,
    options: argparse.Namespace,
    printer: Printer,
    *,
    labels: t.Mapping[str, str],
    host: Host,
    telling: Telling,
) -> tuple[dict[str, t.Any] | None, LifeboatError | None]:
    """Plan or make one backup: its part of the document, and the error of one that is partial."""
    request = backup_request(
        job,
        lock_timeout=0.0 if options.due else options.wait,
        labels=labels,
        trigger=options.trigger,
        whole=options.whole,
    )
    for use in job.repositories:
        if use.is_version_control:
            printer.warning(f"{job.id}: {use.name} is version control, which this version doesn't write to.")
    if options.dry_run:
        plan = plan_backup(request, host=host)
        printer.result(plan_text(plan))
        return {"job": job.id, "plan": plan.as_dict()}, None
    if not request.only_if_changed:  # each minute, and mostly for nothing
        telling.backup_started(job.id, job.service)
    run = functools.partial(run_backup, request, host=host, show=printer.progress)
    result = run_when_due(job, run, clock=host.clock, wait=options.wait) if options.due else run()
    if result is None:
        printer.result(f"{job.id}: made by another run meanwhile")
        return None, None
    printer.result(result_text(result))
    error = result.error
    telling.backup(job.id, job.service, result, error)
    return {"job": job.id, "backup": result.as_dict(), "error": error.as_dict() if error else None}, error


def _labels(given: t.Sequence[str]) -> dict[str, str]:
    """Of --label. Raises RequestInvalid."""
    labels: dict[str, str] = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if not equals or not is_name(name) or name in (JOB_LABEL, SET_LABEL):
            raise RequestInvalid(
                f"--label {entry!r} is not NAME=VALUE with a name of your own.",
                hint=f"For example --label release=7.2; {JOB_LABEL!r} and {SET_LABEL!r} are Lifeboat's own.",
            )
        labels[name] = value
    return labels


def _not_shipped(jobs: t.Sequence[Job], names: t.Sequence[str]) -> list[Job]:
    """Without the streams that only the beginning of a name selected: there are other jobs meant by it."""
    others = [job for job in jobs if not is_stream(job) or job.id in names]
    return others or list(jobs)


def _runnable(jobs: t.Sequence[Job], printer: Printer) -> list[Job]:
    for job in jobs:
        if is_stream(job):
            printer.info(f"{job.id} is a stream; it is stored by: lifeboat ship {job.id}")
        elif not job.runnable:
            printer.warning(f"{job.id}: backups of the kind {job.engine} {job.kind} can't be made by this version yet.")
    return [job for job in jobs if job.runnable]
