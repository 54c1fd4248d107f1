# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each command of the command line does: read the description, call the operation, print the result."""

from __future__ import annotations

import argparse
import json
import typing as t

from . import cli_restore, cli_verify
from .catalog.catalog import Backup, Reading, find_backup, read_catalog
from .catalog.layout import RESTORE_NOTES
from .core.description.description import Description, read_description
from .core.errors import JobUnknown, LifeboatError, RequestInvalid
from .core.host import Host
from .core.state import StateDirectory
from .operations.backup import plan_backup, run_backup
from .operations.description_requests import recovery_objectives
from .operations.information import selection_from
from .operations.jobs import backup_request
from .operations.recovery_times import read_forecasts
from .operations.status import JobToLookAt, read_status
from .report.printer import Printer
from .report.recovery import forecasts_text
from .report.results import list_text, plan_text, result_text, status_text
from .storage.base import Storage
from .storage.registry import open_storage

if t.TYPE_CHECKING:
    from .core.description.model import Job


def backup(options: argparse.Namespace, printer: Printer) -> int:
    """Make backups, one job after the other; one that fails does not stop the next."""
    description = _description(options, printer)
    selected = description.jobs(options.jobs)
    if not selected:
        raise JobUnknown("The description has no jobs.", hint="Add backups to a source of lifeboat_services.")
    host = Host(journal=printer)
    # What was asked for by name must be possible; of "everything", what can't be made yet is said and left out.
    jobs = selected if options.jobs else _runnable(selected, printer)
    documents: list[dict[str, t.Any]] = []
    status = 0
    for job in jobs:
        try:
            request = backup_request(job, lock_timeout=options.wait)
            if options.dry_run:
                plan = plan_backup(request, host=host)
                printer.result(plan_text(plan))
                documents.append({"job": job.id, "plan": plan.as_dict()})
                continue
            result = run_backup(request, host=host, show=printer.progress)
            printer.result(result_text(result))
            error = result.error
            documents.append({"job": job.id, "backup": result.as_dict(), "error": error.as_dict() if error else None})
        except LifeboatError as raised:
            error = raised
            documents.append({"job": job.id, "error": error.as_dict()})
            printer.result(f"{job.id}: failed")
        if error is not None:
            printer.error(error, job=job.id)
            # A failure outweighs a partial backup, whichever came first.
            status = error.exit_status if status in (0, 3) else status
    printer.document({"results": documents})
    return status


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
    """How the jobs are doing. The exit status is 1 when one failed or was never made, 3 when one is partial."""
    host = Host(journal=printer)
    description = _description(options, printer)
    now = host.clock.now()
    jobs = [
        JobToLookAt(
            job_id=job.id,
            service=job.service,
            source=job.source,
            kind=job.kind,
            repositories=tuple(use.name for use in job.repositories),
            next_run=job.schedule.next_run(now) if job.schedule else None,
            schedule=job.describe_schedule(),
            keep=job.keep.describe() if job.keep else None,
        )
        for job in description.jobs(options.jobs)
        if job.runnable
    ]
    state = StateDirectory(path=description.settings.state_directory)
    found = read_status(jobs, storages=_storages(description, host=host), state=state)
    printer.result(status_text(found, now=now))
    printer.document(found.as_dict())
    for problem in found.problems:
        printer.error(problem)
    states = {job.state for job in found.jobs}
    if found.problems or states & {"failed", "never"}:
        return 1
    return 3 if "partial" in states else 0


def verify(options: argparse.Namespace, printer: Printer) -> int:
    """Prove backups."""
    return cli_verify.verify(options, printer, _description(options, printer))


def restore(options: argparse.Namespace, printer: Printer) -> int:
    """Bring a backup back."""
    return cli_restore.restore(options, printer, _description(options, printer))


COMMANDS: t.Mapping[str, t.Callable[[argparse.Namespace, Printer], int]] = {
    "backup": backup,
    "list": list_backups,
    "show": show,
    "verify": verify,
    "restore": restore,
    "status": status,
}


def _description(options: argparse.Namespace, printer: Printer) -> Description:
    description = read_description(options.config)
    for warning in description.warnings:
        printer.warning(warning)
    return description


def _runnable(jobs: t.Sequence[Job], printer: Printer) -> list[Job]:
    for job in jobs:
        if not job.runnable:
            printer.warning(f"{job.id}: backups of the kind {job.engine} {job.kind} can't be made by this version yet.")
    return [job for job in jobs if job.runnable]


def _storages(description: Description, *, host: Host, only: str | None = None) -> dict[str, Storage]:
    names = [repository.name for repository in description.repositories]
    if only is not None and only not in names:
        raise RequestInvalid(f"There is no repository {only}.", hint=f"Repositories: {', '.join(names)}.")
    return {
        repository.name: open_storage(
            repository.description, name=repository.name, clock=host.clock, runner=host.runner
        )
        for repository in description.repositories
        # Version control holds configuration and code; it is no place for a catalog.
        if repository.type != "git" and only in (None, repository.name)
    }


def _restore_notes(found: Backup, storages: t.Mapping[str, Storage]) -> str:
    name = next(iter(found.repositories))
    return storages[name].get(found.manifest.folder.key(RESTORE_NOTES)).decode("utf-8")


def _report_problems(reading: Reading, printer: Printer) -> int:
    for problem in reading.problems:
        printer.error(problem)
    return 1 if reading.problems else 0
