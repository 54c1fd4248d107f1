# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat``: the front door for people on a host and for cron. Every command takes ``--json``.

What goes wrong leaves with the error's own exit status (see ``core/errors.py``); standard output is for results,
standard error for everything else.
"""

from __future__ import annotations

import argparse
import os
import sys
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
from .cli_commands import COMMANDS
from .core.errors import LifeboatError
from .core.signals import stopping_on_signals
from .core.version import VERSION
from .report.printer import Printer

DEFAULT_CONFIGURATION = "/etc/lifeboat/config.yml"


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit status of the process."""
    options = _parser().parse_args(arguments)
    printer = Printer(as_json=options.json, quiet=getattr(options, "quiet", False))
    try:
        with stopping_on_signals():
            return COMMANDS[options.command](options, printer)
    except LifeboatError as error:
        printer.document({"error": error.as_dict()})
        printer.error(error)
        return error.exit_status
    except BrokenPipeError:
        # Whoever read our output has seen enough ("lifeboat list | head").
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lifeboat",
        description="Backups that are proven to restore. Reads the description of what to protect from --config.",
        epilog="Exit status: 0 well, 1 failed, 2 wrong request (nothing touched), 3 partial, 4 the lock is held.",
    )
    parser.add_argument("--version", action="version", version=f"lifeboat {VERSION}")
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=os.environ.get("LIFEBOAT_CONFIG", DEFAULT_CONFIGURATION),
        help=f"the description, YAML or JSON (default: $LIFEBOAT_CONFIG or {DEFAULT_CONFIGURATION})",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    backup = _command(commands, "backup", "make backups now: all jobs, or those that are named")
    backup.add_argument("jobs", nargs="*", metavar="JOB", help="service/source/kind, or the beginning of it")
    backup.add_argument("--dry-run", action="store_true", help="look, say what would be done, change nothing")
    backup.add_argument(
        "--due", action="store_true", help="only jobs whose schedule has come round since they last went well here"
    )
    backup.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="wait for another run of the same source"
    )
    backup.add_argument(
        "--label", action="append", default=[], metavar="NAME=VALUE", help="noted in the manifest; more than once"
    )
    backup.add_argument(
        "--trigger",
        choices=["schedule", "change", "deployment"],
        default="schedule",
        help="change, deployment: make nothing when nothing has changed (files; default jobs: those with that trigger)",
    )
    backup.add_argument("--whole", action="store_true", help="build on no earlier backup (files static)")
    backup.add_argument("--quiet", action="store_true", help="no progress on standard error")

    cli_ship.add_arguments(_command(commands, "ship", "store what never ends: WAL, oplog, append-only files"))

    listing = _command(commands, "list", "list the backups that exist")
    _filters(listing)
    listing.add_argument("--newest", type=int, metavar="N", help="only the newest N of each service, source and kind")
    listing.add_argument("--before", metavar="TIME", help="only those started before, such as 2026-11-21T02:00:00Z")
    listing.add_argument(
        "--state", choices=["complete", "verified", "failed", "partial"], help="only those in this state"
    )

    show = _command(commands, "show", "show one backup: its manifest, where it is, how to restore it")
    show.add_argument("id", help="the backup's id, as lifeboat list shows it")
    show.add_argument("--repository", metavar="NAME", help="read the copy in this repository only")
    show.add_argument("--restore", action="store_true", help="print RESTORE.md, the commands to restore it")

    cli_verify.add_arguments(_command(commands, "verify", "prove that backups restore, from a look to questions"))

    cli_restore.add_arguments(_command(commands, "restore", "bring a backup back, beside what is there or instead"))

    cli_recover.add_windows_arguments(
        _command(commands, "windows", "show which moments each source can be recovered to")
    )

    cli_recover.add_recover_arguments(_command(commands, "recover", "bring a source to one moment of its past"))

    cli_damage.add_arguments(
        _command(commands, "find-damage", "say what was dropped or deleted around a time (MongoDB)")
    )

    cli_recover.add_label_arguments(_command(commands, "label", "give one instant of a service a name"))

    cli_repo.add_commands(commands)

    cli_prune.add_prune_arguments(_command(commands, "prune", "show what no policy keeps, and remove it when told to"))
    cli_prune.add_pin_arguments(_command(commands, "pin", "have a backup stay, whatever the policies say"))
    cli_prune.add_unpin_arguments(_command(commands, "unpin", "take a pin away again"))

    cli_status.add_arguments(_command(commands, "status", "how every job is doing, and what needs attention"))
    cli_notify.add_arguments(_command(commands, "notify", "tell what is to be told, and look for silence"))
    cli_metrics.add_arguments(_command(commands, "metrics", "the status for Prometheus, its rules and a dashboard"))
    cli_config.add_commands(commands)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, purpose: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
    command.add_argument("--json", action="store_true", help="print one JSON document")
    return command


def _filters(command: argparse.ArgumentParser) -> None:
    command.add_argument("--service", metavar="NAME", help="only this service")
    command.add_argument("--source", metavar="NAME", help="only this source")
    command.add_argument("--engine", choices=["mongodb", "postgresql", "redis", "files"], help="only this engine")
    command.add_argument("--kind", metavar="KIND", help="only this kind (full, logical, base, rdb ...)")
    command.add_argument("--repository", metavar="NAME", help="only what is in this repository")


if __name__ == "__main__":
    raise SystemExit(main())
