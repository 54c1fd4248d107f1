# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat config check``: whether the description can be meant, and whether its schedules meet its objectives."""

from __future__ import annotations

import argparse

from .core.description.description import Description, read_description
from .core.description.named_files import named_files
from .core.description.objectives import UnmetObjective, unmet_objectives
from .core.errors import ObjectivesUnmet
from .operations.named_files import files_refusal, look_at_files
from .operations.ship_requests import is_stream
from .report.printer import Printer


def add_arguments(command: argparse.ArgumentParser) -> None:
    """``check`` with its arguments."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    purpose = "check the whole description, and that its schedules can meet its objectives"
    check_command = actions.add_parser("check", help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
    # Not the default: the one of the command above, given before the action, would be overwritten.
    check_command.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
    check_command.add_argument(
        "--files",
        action="store_true",
        help="look, too, whether the files that are named can be used on this host and whether others can read them",
    )


def check(options: argparse.Namespace, printer: Printer) -> int:
    """Check it; asks no repository and no server. Raises ConfigurationInvalid and its like, with exit status 2.

    With ``--files`` those that it names are looked at, as the account that asks can.
    """
    description = read_description(options.config)
    unmet = list(unmet_objectives(description.services))
    said = {str(one) for one in unmet}
    warnings = [warning for warning in description.warnings if warning not in said]
    warnings += [
        f"{job.id}: {use.name} is version control, which this version doesn't write to."
        for job in description.jobs()
        for use in job.repositories
        if use.is_version_control
    ]
    for warning in warnings:
        printer.warning(warning)
    if unmet:
        raise refusal(unmet)
    files = named_files(description) if options.files else ()
    problems = look_at_files(files)
    if problems:
        raise files_refusal(problems)
    jobs = description.jobs()
    later = [job for job in jobs if not job.runnable and not is_stream(job)]
    for job in later:
        printer.warning(f"{job.id}: backups of the kind {job.engine} {job.kind} can't be made by this version yet.")
    printer.result(f"{options.config}: {_counts(description)}; every objective can be met.")
    if options.files:
        printer.result(f"{len(files)} {'file is' if len(files) == 1 else 'files are'} named, and can be used here.")
    printer.document(
        {
            "file": options.config,
            "services": len(description.services),
            "jobs": [job.id for job in jobs],
            "warnings": warnings,
            **({"files": [file.as_dict() for file in files]} if options.files else {}),
            "not_made_yet": [job.id for job in later],
        }
    )
    return 0


def refusal(unmet: list[UnmetObjective]) -> ObjectivesUnmet:
    """The error that lists every one of *unmet*, each with what to change."""
    lines = [f"{one} {one.change}" for one in unmet]
    heading = "An objective can't be met" if len(lines) == 1 else f"{len(lines)} objectives can't be met"
    return ObjectivesUnmet(
        f"{heading}: {lines[0]}" if len(lines) == 1 else "\n  - ".join([f"{heading}:", *lines]),
        hint="Change schedule or objective in the description, then: lifeboat config check",
        details={"objectives": [one.as_dict() for one in unmet]},
    )


def _counts(description: Description) -> str:
    services, jobs = len(description.services), len(description.jobs())
    return f"{services} service{'' if services == 1 else 's'}, {jobs} job{'' if jobs == 1 else 's'}"
