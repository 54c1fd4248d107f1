# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat status``: how every job is doing, as a table, as JSON and as a page."""

from __future__ import annotations

import argparse
import typing as t

from .core.clock import parse_time
from .core.description.description import Description
from .core.files import replace_file
from .core.host import Host
from .operations.status_report import StatusReport, read_report
from .operations.status_requests import written
from .report.printer import Printer
from .report.status_page import status_page
from .report.status_text import status_text


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("jobs", nargs="*", metavar="JOB", help="service/source/kind, or the beginning of it")
    command.add_argument("--html", metavar="FILE", help="write a page as well, whole in this one file")


def status(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Print it. The exit status is 1 when something critical is to be looked at, 3 when there are warnings only."""
    report = report_of(options, printer, description, select=options.jobs)
    now = parse_time(report.document["at"])
    if options.html:
        page = status_page([{"host": report.document["host"], "status": report.document, "error": None}], now=now)
        replace_file(options.html, page.encode("utf-8"))
    printer.result(status_text(report.document, now=now))
    printer.document(report.document)
    for problem in report.problems:
        printer.error(problem)
    return report.exit_status


def report_of(
    options: argparse.Namespace, printer: Printer, description: Description, *, select: t.Sequence[str] = ()
) -> StatusReport:
    """What is known of the jobs. The file of the description says since when they are described."""
    return read_report(description, host=Host(journal=printer), select=select, known_since=written(options.config))
