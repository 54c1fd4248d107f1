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

from .cli_commands import COMMANDS
from .core.errors import LifeboatError
from .core.signals import stopping_on_signals
from .core.version import VERSION
from .report.printer import Printer

DEFAULT_CONFIGURATION = "/etc/lifeboat/config.yml"


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit status of the process."""
    words = sys.argv[1:] if arguments is None else arguments
    options = _parser(words).parse_args(words)
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


def _parser(words: t.Sequence[str]) -> argparse.ArgumentParser:
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
    for name, (purpose, add_arguments) in _ARGUMENTS.items():
        command = commands.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
        command.add_argument("--json", action="store_true", help="print one JSON document")
        if name in words:
            add_arguments(command)
    return parser


def _backup(command: argparse.ArgumentParser) -> None:
    from . import cli_backup

    cli_backup.add_arguments(command)


def _fetch_wal(command: argparse.ArgumentParser) -> None:
    from . import cli_fetch

    cli_fetch.add_arguments(command)


def _list(command: argparse.ArgumentParser) -> None:
    from . import cli_list

    cli_list.add_list_arguments(command)


def _show(command: argparse.ArgumentParser) -> None:
    from . import cli_list

    cli_list.add_show_arguments(command)


def _ship(command: argparse.ArgumentParser) -> None:
    from . import cli_ship

    cli_ship.add_arguments(command)


def _verify(command: argparse.ArgumentParser) -> None:
    from . import cli_verify

    cli_verify.add_arguments(command)


def _restore(command: argparse.ArgumentParser) -> None:
    from . import cli_restore

    cli_restore.add_arguments(command)


def _windows(command: argparse.ArgumentParser) -> None:
    from . import cli_recover

    cli_recover.add_windows_arguments(command)


def _recover(command: argparse.ArgumentParser) -> None:
    from . import cli_recover

    cli_recover.add_recover_arguments(command)


def _find_damage(command: argparse.ArgumentParser) -> None:
    from . import cli_damage

    cli_damage.add_arguments(command)


def _label(command: argparse.ArgumentParser) -> None:
    from . import cli_recover

    cli_recover.add_label_arguments(command)


def _copy(command: argparse.ArgumentParser) -> None:
    from . import cli_repo

    cli_repo.add_copy_arguments(command)


def _repo(command: argparse.ArgumentParser) -> None:
    from . import cli_repo

    cli_repo.add_repo_arguments(command)


def _prune(command: argparse.ArgumentParser) -> None:
    from . import cli_prune

    cli_prune.add_prune_arguments(command)


def _pin(command: argparse.ArgumentParser) -> None:
    from . import cli_prune

    cli_prune.add_pin_arguments(command)


def _unpin(command: argparse.ArgumentParser) -> None:
    from . import cli_prune

    cli_prune.add_unpin_arguments(command)


def _failover(command: argparse.ArgumentParser) -> None:
    from . import cli_failover

    cli_failover.add_arguments(command)


def _status(command: argparse.ArgumentParser) -> None:
    from . import cli_status

    cli_status.add_arguments(command)


def _notify(command: argparse.ArgumentParser) -> None:
    from . import cli_notify

    cli_notify.add_arguments(command)


def _metrics(command: argparse.ArgumentParser) -> None:
    from . import cli_metrics

    cli_metrics.add_arguments(command)


def _evidence(command: argparse.ArgumentParser) -> None:
    from . import cli_evidence

    cli_evidence.add_arguments(command)


def _config(command: argparse.ArgumentParser) -> None:
    from . import cli_config

    cli_config.add_arguments(command)


# What a command needs takes up to half a second of a processor to load, and hosts have jobs each minute: only the
# command that is asked for gets its arguments.
_ARGUMENTS: t.Mapping[str, tuple[str, t.Callable[[argparse.ArgumentParser], None]]] = {
    "backup": ("make backups now: all jobs, or those that are named", _backup),
    "ship": ("store what never ends: WAL, oplog, append-only files", _ship),
    "fetch-wal": ("bring one file of the WAL archive, for a standby's restore_command", _fetch_wal),
    "list": ("list the backups that exist", _list),
    "show": ("show one backup: its manifest, where it is, how to restore it", _show),
    "verify": ("prove that backups restore, from a look to questions", _verify),
    "restore": ("bring a backup back, beside what is there or instead", _restore),
    "windows": ("show which moments each source can be recovered to", _windows),
    "recover": ("bring a source to one moment of its past", _recover),
    "find-damage": ("say what was dropped or deleted around a time (MongoDB)", _find_damage),
    "label": ("give one instant of a service a name", _label),
    "copy": ("bring repositories up to the others: what one of them lacks, verified on its way", _copy),
    "repo": ("look through whole repositories: check, stats, unlock", _repo),
    "prune": ("show what no policy keeps, and remove it when told to", _prune),
    "pin": ("have a backup stay, whatever the policies say", _pin),
    "unpin": ("take a pin away again", _unpin),
    "failover": ("show and approve plans of failovers", _failover),
    "status": ("how every job is doing, and what needs attention", _status),
    "notify": ("tell what is to be told, and look for silence", _notify),
    "metrics": ("the status for Prometheus, its rules and a dashboard", _metrics),
    "evidence": ("what a failover left, and whether it can be trusted", _evidence),
    "config": ("look through the description", _config),
}


if __name__ == "__main__":
    raise SystemExit(main())
