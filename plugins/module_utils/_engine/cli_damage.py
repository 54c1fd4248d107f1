# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat find-damage``: what was dropped, deleted or changed in the mass, and the point just before it."""

from __future__ import annotations

import argparse

from .cli_options import identity_of
from .core.description.description import Description
from .core.description.duration import parse_duration
from .core.errors import RequestInvalid
from .core.host import Host
from .mongodb.oplog_damage import Thresholds
from .operations.choosing import Sources
from .operations.damage import source_damage
from .operations.description_requests import repositories_of, selection_of, source_of
from .recovery.recovery_target import recovery_target_from
from .report.damage import damage_text
from .report.printer import Printer


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``lifeboat find-damage``."""
    usual = Thresholds()
    command.add_argument("what", metavar="SOURCE", help="service/source of a MongoDB")
    command.add_argument(
        "--around", required=True, metavar="TIME", help="when somebody saw it: 2026-11-21T14:03:00Z, or a named zone"
    )
    command.add_argument("--span", default="30m", metavar="DURATION", help="how far to look both ways (default: 30m)")
    command.add_argument(
        "--deletes", type=int, default=usual.deletes, metavar="N", help=f"so many are many ({usual.deletes})"
    )
    command.add_argument(
        "--updates", type=int, default=usual.updates, metavar="N", help=f"so many are many ({usual.updates})"
    )
    command.add_argument("--repository", metavar="NAME", help="read this repository only")
    command.add_argument("--identity-file", metavar="FILE", help="the private key of encrypted slices")


def find(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Look, and say each with the option that goes back to just before it."""
    host = Host(journal=printer)
    if options.deletes < 1 or options.updates < 1:
        raise RequestInvalid("--deletes and --updates are counts from 1 on.", hint="Leave them out for the usual ones.")
    selection = selection_of(options.what)
    source = source_of(description, str(selection.service), str(selection.source))
    around = recovery_target_from({"time": options.around}, now=host.clock.now()).time or host.clock.now()
    sources = Sources.open(
        repositories_of(description, only=options.repository), host=host, identity=identity_of(options, description)
    )
    damage = source_damage(
        sources,
        selection,
        engine=source.engine,
        around=around,
        span=parse_duration(options.span),
        thresholds=Thresholds(deletes=options.deletes, updates=options.updates),
    )
    found = [one.as_dict() for one in damage]
    printer.result(damage_text(found))
    printer.document({"damage": found})
    return 0
