# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat evidence``: what a failover left in the repositories, whether it can be trusted, and its page."""

from __future__ import annotations

import argparse
import re
import typing as t

from .core.errors import RequestInvalid
from .core.files import replace_file
from .core.host import Host
from .failover.copies import newest_name, read_copies
from .failover.proof import Proof, examine
from .failover.record import record
from .report.evidence_page import evidence_page
from .report.evidence_text import proof_text, record_text
from .report.printer import Printer
from .storage.base import Storage

_STATUS: t.Mapping[str, int] = {"trusted": 0, "untrusted": 1, "incomplete": 3}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """``show``, ``verify`` and ``page``, each with its arguments."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    _action(actions, "show", "tell who did what when, the figures, and what came of each step")
    verify = _action(
        actions, "verify", "look whether all of it can be trusted; the status says it: 0 yes, 1 no, 3 not all seen"
    )
    verify.add_argument(
        "--sha256", metavar="HASH", help="the hash of an entry that was noted elsewhere, on a printed page for one"
    )
    page = _action(actions, "page", "write one HTML page that needs nothing beside itself")
    page.add_argument("--output", metavar="FILE", required=True, help="where to; what is there is replaced")


def evidence(options: argparse.Namespace, printer: Printer, storages: t.Mapping[str, Storage]) -> int:
    """Read the copies of the run, the newest where none is named, and do what is asked."""
    host = Host(journal=printer)
    noted = getattr(options, "sha256", None)
    if noted is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", noted):
        raise RequestInvalid(f"{noted!r} is no SHA-256.", hint="It has 64 hexadecimal digits.")
    run = options.run or newest_name(options.service, storages=storages)
    now = host.clock.now()
    copies = read_copies(options.service, run, storages=storages)
    proof = examine(copies, service=options.service, run=run, now=now, noted=noted)
    told = record(proof.entries) if proof.entries else None
    if options.action == "page":
        if told is None:
            raise RequestInvalid(
                f"Nothing of {run} can be read, so there is nothing to show.",
                hint=f"See why: lifeboat evidence verify {options.service} {run}",
            )
        replace_file(options.output, evidence_page(told, proof.as_dict(), now=now).encode("utf-8"))
        printer.result(f"{options.output}: {options.service} {run}")
        printer.document({"page": options.output, "proof": proof.as_dict()})
        return 0
    if options.action == "show" and told is not None:
        printer.result(record_text(told))
    printer.result(proof_text(proof.as_dict()))
    printer.document({"record": told, "proof": proof.as_dict()} if options.action == "show" else proof.as_dict())
    return _status(proof) if options.action == "verify" else 0


def _status(proof: Proof) -> int:
    return _STATUS[proof.verdict]


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, purpose: str
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
    action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
    action.add_argument("service", metavar="SERVICE", help="the service")
    action.add_argument("run", metavar="RUN", nargs="?", help="such as run-0001; the newest without it")
    return action
