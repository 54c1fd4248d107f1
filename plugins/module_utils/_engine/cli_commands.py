# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each command of the command line does: read the description, call the operation, print the result."""

from __future__ import annotations

import argparse
import functools
import json
import typing as t

from . import (
    cli_config,
    cli_damage,
    cli_metrics,
    cli_notify,
    cli_prune,
    cli_recover,
    cli_repo,
    cli_restore,
    cli_ship,
    cli_status,
    cli_verify,
)
from .catalog.catalog import Backup, Reading, find_backup, read_catalog
from .catalog.layout import RESTORE_NOTES
from .catalog.set_members import SET_LABEL, is_set
from .cli_telling import Telling
from .core.description.description import Description, read_description
from .core.errors import JobUnknown, LifeboatError, RequestInvalid
from .core.host import Host
from .core.ids import is_name
from .core.state import StateDirectory
from .operations.backup import plan_backup, run_backup
from .operations.backup_values import ON_CHANGE, ON_DEPLOYMENT
from .operations.catalog_requests import selection_from
from .operations.description_requests import recovery_objectives, repositories_of
from .operations.due import is_due, run_when_due
from .operations.jobs import backup_request
from .operations.recovery_times import read_forecasts
from .operations.ship_requests import is_stream
from .report.printer import Printer
from .report.recovery import forecasts_text
from .report.results import list_text, plan_text, result_text
from .report.sets import sets_text
from .retention.rules import JOB_LABEL
from .storage.base import Storage
from .storage.registry import open_storage

if t.TYPE_CHECKING:
    from .core.description.model import Job


def backup(options: argparse.Namespace, printer: Printer) -> int:
    """Make backups, one job after the other; one that fails does not stop the next."""
    labels = _labels(options.label)
    host = Host(journal=printer)
    description = _description(options, printer)
    description.require_backups_here()
    jobs = _asked_for(options, printer, description)
    telling = Telling(description, host=host)
    if options.due:
        jobs = [job for job in jobs if is_due(job, now=host.clock.now())]
        if not jobs:
            printer.result("Nothing is due.")
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


def list_backups(options: argparse.Namespace, printer: Printer) -> int:
    """List the catalog."""
    host = Host(journal=printer)
    selection = selection_from(vars(options))
    description = _description(options, printer)
    storages = _storages(description, host=host, only=options.repository)
    reading = read_catalog(storages, selection=selection)
    forecasts = read_forecasts(
        reading,
        storages=storages,
        selection=selection,
        state=StateDirectory(path=description.settings.state_directory),
        objective_of=recovery_objectives(description),
    )
    printer.result(list_text(reading, now=host.clock.now()))
    if any(is_set(found.manifest) for found in reading.backups):
        printer.result(f"\n{sets_text(reading.backups)}")
    if forecasts:
        printer.result(f"\n{forecasts_text(forecasts)}")
    printer.document(
        {
            "backups": [found.as_dict() for found in reading.backups],
            "forecasts": [forecast.as_dict() for forecast in forecasts],
            "problems": [problem.as_dict() for problem in reading.problems],
        }
    )
    return _report_problems(reading, printer)


def show(options: argparse.Namespace, printer: Printer) -> int:
    """Show one backup."""
    host = Host(journal=printer)
    storages = _storages(_description(options, printer), host=host, only=options.repository)
    reading = read_catalog(storages, selection=selection_from({"id": options.id}))
    found = find_backup(reading, options.id)
    notes = _restore_notes(found, storages) if options.restore else None
    if notes is not None:
        printer.result(notes)
    else:
        last = found.last_verification
        facts = {"in": dict(found.repositories), "last_verification": last.as_dict() if last else None}
        printer.result(json.dumps({**found.manifest.as_dict(), **facts}, indent=2))
    document = {
        **found.as_dict(),
        "manifest": found.manifest.as_dict(),
        "verifications": [verification.as_dict() for verification in found.verifications],
    }
    printer.document(document if notes is None else {**document, "restore": notes})
    return 0


def status(options: argparse.Namespace, printer: Printer) -> int:
    """How the jobs are doing."""
    return cli_status.status(options, printer, _description(options, printer))


def metrics(options: argparse.Namespace, printer: Printer) -> int:
    """The status for Prometheus."""
    return cli_metrics.metrics(options, printer, _description(options, printer))


def notify(options: argparse.Namespace, printer: Printer) -> int:
    """Tell what is to be told."""
    return cli_notify.notify(options, printer, _description(options, printer))


def config(options: argparse.Namespace, printer: Printer) -> int:
    """Check the description."""
    return cli_config.check(options, printer)


def verify(options: argparse.Namespace, printer: Printer) -> int:
    """Prove backups."""
    return cli_verify.verify(options, printer, _description(options, printer))


def restore(options: argparse.Namespace, printer: Printer) -> int:
    """Bring a backup back."""
    return cli_restore.restore(options, printer, _description(options, printer))


def ship(options: argparse.Namespace, printer: Printer) -> int:
    """Store streams."""
    description = _description(options, printer)
    return cli_ship.ship(options, printer, description, _storages(description, host=Host(journal=printer)))


def windows(options: argparse.Namespace, printer: Printer) -> int:
    """Show what can be recovered to."""
    return cli_recover.windows(options, printer, _description(options, printer))


def recover(options: argparse.Namespace, printer: Printer) -> int:
    """Recover to a point in time."""
    return cli_recover.recover(options, printer, _description(options, printer))


def label(options: argparse.Namespace, printer: Printer) -> int:
    """Give one instant a name."""
    return cli_recover.label(options, printer, _description(options, printer))


def find_damage(options: argparse.Namespace, printer: Printer) -> int:
    """Look for what was destroyed."""
    return cli_damage.find(options, printer, _description(options, printer))


def copy(options: argparse.Namespace, printer: Printer) -> int:
    """Bring repositories up to the others."""
    return cli_repo.copy(options, printer, _description(options, printer))


def repo(options: argparse.Namespace, printer: Printer) -> int:
    """Look through whole repositories."""
    return cli_repo.repo(options, printer, _description(options, printer))


def prune(options: argparse.Namespace, printer: Printer) -> int:
    """Remove what no policy keeps."""
    return cli_prune.prune(options, printer, _description(options, printer))


def pin(options: argparse.Namespace, printer: Printer) -> int:
    """Have a backup stay."""
    description = _description(options, printer)
    storages = _storages(description, host=Host(journal=printer), only=options.repository)
    return cli_prune.pin(options, printer, storages)


def unpin(options: argparse.Namespace, printer: Printer) -> int:
    """Take a pin away."""
    description = _description(options, printer)
    storages = _storages(description, host=Host(journal=printer), only=options.repository)
    return cli_prune.unpin(options, printer, storages)


COMMANDS: t.Mapping[str, t.Callable[[argparse.Namespace, Printer], int]] = {
    "backup": backup,
    "ship": ship,
    "list": list_backups,
    "show": show,
    "verify": verify,
    "restore": restore,
    "windows": windows,
    "recover": recover,
    "label": label,
    "find-damage": find_damage,
    "copy": copy,
    "repo": repo,
    "prune": prune,
    "pin": pin,
    "unpin": unpin,
    "config": config,
    "status": status,
    "metrics": metrics,
    "notify": notify,
}


def _description(options: argparse.Namespace, printer: Printer) -> Description:
    description = read_description(options.config)
    for warning in description.warnings:
        printer.warning(warning)
    return description


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


def _storages(description: Description, *, host: Host, only: str | None = None) -> dict[str, Storage]:
    return {
        repository.name: open_storage(
            repository.description, name=repository.name, clock=host.clock, runner=host.runner
        )
        for repository in repositories_of(description, only=only)
    }


def _restore_notes(found: Backup, storages: t.Mapping[str, Storage]) -> str:
    name = next(iter(found.repositories))
    return storages[name].get(found.manifest.folder.key(RESTORE_NOTES)).decode("utf-8")


def _report_problems(reading: Reading, printer: Printer) -> int:
    for problem in reading.problems:
        printer.error(problem)
    return 1 if reading.problems else 0
