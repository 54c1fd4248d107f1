# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat failover lease``: the service that renews the lease of a primary, and stops it when that can't be done."""

from __future__ import annotations

import argparse
import os

from .core.description.description import Description
from .core.errors import RequestInvalid
from .core.host import Host
from .failover.fencing import witness_of
from .failover.lease import EVERY, Holder
from .failover.lease_server import LeasedServer, SystemdGate
from .failover.witness import Witness
from .operations.description_requests import source_of
from .recovery.service_control import service_control_from
from .report.printer import Printer
from .storage.registry import open_storage


def add_lease_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``lifeboat failover lease``."""
    command.add_argument("source", metavar="SERVICE/SOURCE", help="what it is the server of")
    command.add_argument("--host", required=True, metavar="NAME", help="this host, as the inventory calls it")
    command.add_argument(
        "--data-directory", default="", metavar="FOLDER", help="PostgreSQL's: a standby needs no lease"
    )
    command.add_argument("--configuration-file", default="", metavar="FILE", help="the same of Redis")
    command.add_argument("--unit", default="", metavar="UNIT", help="the server's, where the source has another one")
    command.add_argument("--gate", default="", metavar="FILE", help="a file that is there while the server may start")


def hold_lease(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Hold it until this process is told to end."""
    service, _slash, name = options.source.partition("/")
    if not name:
        raise RequestInvalid(f"{options.source} names no source.", hint="Write SERVICE/SOURCE.")
    source = source_of(description, service, name)
    way = witness_of(source.fencing)
    if way is None:
        raise RequestInvalid(
            f"{options.source} has no witness.",
            hint="Describe one: fencing: {methods: [{witness: {repository: NAME}}]} (docs/description.md)",
        )
    if not options.data_directory and not options.configuration_file:
        raise RequestInvalid(
            "Nothing says whether the server is a standby.", hint="Give --data-directory or --configuration-file."
        )
    control = service_control_from({"unit": options.unit} if options.unit else source.service_control)
    if control is None:
        raise RequestInvalid(
            f"Nothing says how the server of {options.source} is stopped.",
            hint="Describe service_control of the source, or give --unit.",
        )
    host, lease = Host(journal=printer), float(way["lease"])
    repository = next(one for one in description.repositories if one.name == way["repository"])
    storage = open_storage(
        repository.description,
        name=repository.name,
        clock=host.clock,
        runner=host.runner,
        lock_writes=False,
        answer_within=lease * EVERY,
    )
    Holder(
        name=options.host,
        lease=lease,
        witness=Witness(repository=repository.name, storage=storage, service=service, source=name),
        server=LeasedServer(
            control=control,
            host=host,
            unit=options.unit or str(source.service_control.get("unit") or ""),
            data_directory=options.data_directory,
            configuration_file=options.configuration_file,
        ),
        gate=SystemdGate(path=options.gate, notify_socket=os.environ.get("NOTIFY_SOCKET", "")),
        host=host,
    ).hold()
    printer.result(f"The lease of {options.source} is not held any more.")
    return 0
