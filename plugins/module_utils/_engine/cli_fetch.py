# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat fetch-wal``: one file of the WAL archive, for the ``restore_command`` of a standby."""

from __future__ import annotations

import argparse
import threading
import typing as t

from .catalog.layout import Series
from .core.description.description import Description
from .core.errors import LifeboatError, RequestInvalid
from .core.host import Host
from .core.secrets import Secret
from .operations.description_requests import selection_of, source_of
from .operations.fetch_wal import AHEAD, WAL, fetch_wal, lineage_here, serve_wal
from .report.printer import Printer
from .storage.base import Storage

#: The script that PostgreSQL calls takes it for: there is none.
_MISSING = 3


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``lifeboat fetch-wal``."""
    command.add_argument("what", metavar="SOURCE", help="service/source")
    command.add_argument("name", nargs="?", metavar="NAME", help="the file: %%f")
    command.add_argument("path", nargs="?", metavar="PATH", help="where it is to lie")
    command.add_argument("--serve", metavar="CACHE", help="answer in that folder what a standby's script asks for")
    command.add_argument("--lineage", metavar="ID", help="the system identifier; that of the data folder we are in")
    command.add_argument("--identity-file", metavar="FILE", help="the private key of encrypted backups")
    command.add_argument("--ahead", type=int, default=AHEAD, metavar="N", help=f"bring so many more; {AHEAD} without")
    command.add_argument(
        "--strict",
        action="store_true",
        help="end with the error's status when nobody knows whether it is stored; without, a standby goes on streaming",
    )


def fetch(
    options: argparse.Namespace, printer: Printer, description: Description, storages: t.Mapping[str, Storage]
) -> int:
    """Fetch it. The exit status is 0 when it is there, and 3 when there is none."""
    host = Host(journal=printer)
    selection = selection_of(options.what)
    if selection.kind is not None or bool(options.serve) == bool(options.name and options.path):
        raise RequestInvalid(
            "It is not said what is wanted: one file of one source, or whatever is asked for in a folder.",
            hint="Write SERVICE/SOURCE NAME PATH, or --serve CACHE --lineage ID SERVICE/SOURCE.",
        )
    source = source_of(description, str(selection.service), str(selection.source))
    lineage = options.lineage or lineage_here()

    def bring(name: str, path: str) -> bool:
        return fetch_wal(
            name,
            path,
            series=Series(service=str(selection.service), source=source.name, kind=WAL),
            lineage=lineage,
            storages=storages,
            identity=Secret(name="identity", file=options.identity_file),
            host=host,
            ahead=max(0, options.ahead),
        )

    if options.serve:
        serve_wal(options.serve, fetch=bring, host=host, stop=threading.Event())
        return 0
    try:
        return 0 if bring(options.name, options.path) else _MISSING
    except RequestInvalid:
        raise
    except LifeboatError as error:
        if options.strict:
            raise
        # A standby never promotes itself at the end of an archive: it asks its primary, and here again later.
        printer.error(error)
        return _MISSING
