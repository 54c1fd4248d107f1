# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat list`` and ``lifeboat show``: the catalog for people."""

from __future__ import annotations

import argparse
import json
import typing as t

from .catalog.catalog import Backup, Reading, find_backup, read_catalog
from .catalog.layout import RESTORE_NOTES
from .catalog.set_members import is_set
from .core.description.description import Description
from .core.host import Host
from .core.state import StateDirectory
from .operations.catalog_requests import selection_from
from .operations.description_requests import recovery_objectives
from .operations.recovery_times import read_forecasts
from .report.printer import Printer
from .report.recovery import forecasts_text
from .report.results import list_text
from .report.sets import sets_text
from .storage.base import Storage


def add_list_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of ``list``."""
    command.add_argument("--service", metavar="NAME", help="only this service")
    command.add_argument("--source", metavar="NAME", help="only this source")
    command.add_argument("--engine", choices=["mongodb", "postgresql", "redis", "files"], help="only this engine")
    command.add_argument("--kind", metavar="KIND", help="only this kind (full, logical, base, rdb ...)")
    command.add_argument("--repository", metavar="NAME", help="only what is in this repository")
    command.add_argument("--newest", type=int, metavar="N", help="only the newest N of each service, source and kind")
    command.add_argument("--before", metavar="TIME", help="only those started before, such as 2026-11-21T02:00:00Z")
    command.add_argument(
        "--state", choices=["complete", "verified", "failed", "partial"], help="only those in this state"
    )


def add_show_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of ``show``."""
    command.add_argument("id", help="the backup's id, as lifeboat list shows it")
    command.add_argument("--repository", metavar="NAME", help="read the copy in this repository only")
    command.add_argument("--restore", action="store_true", help="print RESTORE.md, the commands to restore it")


def list_backups(
    options: argparse.Namespace, printer: Printer, description: Description, storages: t.Mapping[str, Storage]
) -> int:
    """List the catalog."""
    selection = selection_from(vars(options))
    reading = read_catalog(storages, selection=selection)
    forecasts = read_forecasts(
        reading,
        storages=storages,
        selection=selection,
        state=StateDirectory(path=description.settings.state_directory),
        objective_of=recovery_objectives(description),
    )
    printer.result(list_text(reading, now=Host(journal=printer).clock.now()))
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


def show(options: argparse.Namespace, printer: Printer, storages: t.Mapping[str, Storage]) -> int:
    """Show one backup."""
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


def _restore_notes(found: Backup, storages: t.Mapping[str, Storage]) -> str:
    name = next(iter(found.repositories))
    return storages[name].get(found.manifest.folder.key(RESTORE_NOTES)).decode("utf-8")


def _report_problems(reading: Reading, printer: Printer) -> int:
    for problem in reading.problems:
        printer.error(problem)
    return 1 if reading.problems else 0
