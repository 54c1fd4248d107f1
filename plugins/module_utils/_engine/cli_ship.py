# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat ship``: storing what never ends, once or for as long as the service runs."""

from __future__ import annotations

import argparse
import typing as t

from .cli_telling import Telling
from .core.description.description import Description
from .core.description.model import Job
from .core.errors import JobUnknown, LifeboatError, RequestInvalid
from .core.host import Host
from .core.state import StateDirectory
from .operations.prepare_spool import prepare_spool
from .operations.ship import follow_ship, plan_ship, run_ship
from .operations.ship_requests import ship_request, shipping_jobs
from .operations.ship_values import ShipRequest, ShipResult
from .operations.stream_status import BAD, StreamStatus, read_stream_status
from .postgresql.prepare_needs import DEFAULT_SCRIPT
from .report.printer import Printer
from .report.ship import prepared_text, ship_plan_text, ship_result_text, streams_text
from .storage.base import Storage


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("jobs", nargs="*", metavar="JOB", help="service/source/kind, or the beginning of it")
    how = command.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="ship what waits now, and end (the default)")
    how.add_argument("--follow", action="store_true", help="go on until told to stop; one stream for each process")
    how.add_argument("--dry-run", action="store_true", help="look, say what would be done, change nothing")
    how.add_argument(
        "--prepare", action="store_true", help="make spool and script for a PostgreSQL that archives into it"
    )
    how.add_argument("--status", action="store_true", help="newest segment, what waits, and since when")
    command.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="wait for another shipper of the same stream"
    )
    command.add_argument("--quiet", action="store_true", help="no progress on standard error")
    command.add_argument(
        "--script", default=DEFAULT_SCRIPT, metavar="FILE", help=f"with --prepare: the script ({DEFAULT_SCRIPT})"
    )
    command.add_argument(
        "--owner", default="postgres", metavar="ACCOUNT", help="with --prepare: whom the server runs as (postgres)"
    )


def ship(
    options: argparse.Namespace, printer: Printer, description: Description, storages: t.Mapping[str, Storage]
) -> int:
    """Ship streams, one after the other; one that fails does not stop the next."""
    description.require_backups_here()
    jobs = _streams(description, options.jobs)
    requests = [ship_request(job, lock_timeout=options.wait) for job in jobs]
    host = Host(journal=printer)
    if options.status:
        return _status(requests, printer, host=host, description=description, storages=storages)
    if options.prepare:
        prepared = [prepare_spool(request, script=options.script, owner=options.owner) for request in requests]
        printer.result("\n".join(prepared_text(one) for one in prepared))
        printer.document({"prepared": [one.as_dict() for one in prepared]})
        return 0
    if options.follow:
        return _follow(requests, printer, host=host, telling=Telling(description, host=host))
    telling = Telling(description, host=host)
    status = 0
    documents: list[dict[str, t.Any]] = []
    for request in requests:
        error: LifeboatError | None = None
        try:
            if options.dry_run:
                plan = plan_ship(request, host=host)
                printer.result(ship_plan_text(plan))
                documents.append({"job": request.job, "plan": plan.as_dict()})
                continue
            result = run_ship(request, host=host, show=printer.progress)
            printer.result(ship_result_text(result))
            error = result.error
            telling.ship(request.job, request.series.service, result, error)
            documents.append(
                {"job": request.job, "ship": result.as_dict(), "error": error.as_dict() if error else None}
            )
        except LifeboatError as raised:
            error = raised
            documents.append({"job": request.job, "error": error.as_dict()})
            printer.result(f"{request.job}: failed")
            if not options.dry_run:
                telling.ship(request.job, request.series.service, None, error)
        if error is not None:
            printer.error(error, job=request.job)
            # A failure outweighs what waits, whichever came first.
            status = error.exit_status if status in (0, 3) else status
    printer.document({"results": documents})
    return status


def streams_exit_status(streams: t.Sequence[StreamStatus], problems: t.Sequence[LifeboatError]) -> int:
    """1 when somebody must look, 3 when something is not everywhere yet."""
    states = {stream.state for stream in streams}
    if problems or states & BAD:
        return 1
    return 3 if "partial" in states else 0


def _streams(description: Description, names: t.Sequence[str]) -> list[Job]:
    selected = description.jobs(names)
    jobs = selected if names else shipping_jobs(selected)
    if not jobs:
        raise JobUnknown(
            "The description has no stream to ship.",
            hint="Add a backup of the kind wal, oplog or aof-log to a source of lifeboat_services.",
        )
    return list(jobs)


def _follow(requests: t.Sequence[ShipRequest], printer: Printer, *, host: Host, telling: Telling) -> int:
    if len(requests) != 1:
        raise RequestInvalid(
            f"--follow takes one stream, and {len(requests)} are selected.",
            hint=f"Start one service for each: lifeboat ship {requests[0].job} --follow",
        )

    def report(result: ShipResult) -> None:
        printer.result(ship_result_text(result))
        if result.error is not None:
            printer.error(result.error)
        telling.ship(result.job, requests[0].series.service, result, result.error)

    result = follow_ship(requests[0], host=host, show=printer.progress, report=report)
    printer.result(ship_result_text(result))
    printer.document({"results": [{"job": result.job, "ship": result.as_dict(), "error": None}]})
    # It was told to end and did; what waits is the next one's.
    return 0


def _status(
    requests: t.Sequence[ShipRequest],
    printer: Printer,
    *,
    host: Host,
    description: Description,
    storages: t.Mapping[str, Storage],
) -> int:
    state = StateDirectory(path=description.settings.state_directory)
    streams, problems = read_stream_status(requests, storages=storages, state=state, clock=host.clock)
    printer.result(streams_text(streams, now=host.clock.now()))
    printer.document(
        {
            "streams": [stream.as_dict() for stream in streams],
            "problems": [problem.as_dict() for problem in problems],
        }
    )
    for problem in problems:
        printer.error(problem)
    return streams_exit_status(streams, problems)
