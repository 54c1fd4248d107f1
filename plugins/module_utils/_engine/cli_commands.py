# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each command of the command line does: read the description, call the operation, print the result.

What a command needs is loaded when it is called for: see ``cli.py``.
"""

from __future__ import annotations

import argparse
import typing as t

from .core.description.description import Description, read_description
from .core.host import Host
from .operations.description_requests import repositories_of
from .report.printer import Printer
from .storage.base import Storage
from .storage.registry import open_storage


def backup(options: argparse.Namespace, printer: Printer) -> int:
    """Make backups."""
    from . import cli_backup

    return cli_backup.backup(options, printer, _description(options, printer))


def list_backups(options: argparse.Namespace, printer: Printer) -> int:
    """List the catalog."""
    from . import cli_list

    description = _description(options, printer)
    storages = _storages(description, host=Host(journal=printer), only=options.repository)
    return cli_list.list_backups(options, printer, description, storages)


def show(options: argparse.Namespace, printer: Printer) -> int:
    """Show one backup."""
    from . import cli_list

    storages = _storages(_description(options, printer), host=Host(journal=printer), only=options.repository)
    return cli_list.show(options, printer, storages)


def status(options: argparse.Namespace, printer: Printer) -> int:
    """How the jobs are doing."""
    from . import cli_status

    return cli_status.status(options, printer, _description(options, printer))


def metrics(options: argparse.Namespace, printer: Printer) -> int:
    """The status for Prometheus."""
    from . import cli_metrics

    return cli_metrics.metrics(options, printer, _description(options, printer))


def notify(options: argparse.Namespace, printer: Printer) -> int:
    """Tell what is to be told."""
    from . import cli_notify

    return cli_notify.notify(options, printer, _description(options, printer))


def config(options: argparse.Namespace, printer: Printer) -> int:
    """Check the description."""
    from . import cli_config

    return cli_config.check(options, printer)


def verify(options: argparse.Namespace, printer: Printer) -> int:
    """Prove backups."""
    from . import cli_verify

    return cli_verify.verify(options, printer, _description(options, printer))


def restore(options: argparse.Namespace, printer: Printer) -> int:
    """Bring a backup back."""
    from . import cli_restore

    return cli_restore.restore(options, printer, _description(options, printer))


def ship(options: argparse.Namespace, printer: Printer) -> int:
    """Store streams."""
    from . import cli_ship

    description = _description(options, printer)
    return cli_ship.ship(options, printer, description, _storages(description, host=Host(journal=printer)))


def fetch_wal(options: argparse.Namespace, printer: Printer) -> int:
    """One file of the WAL archive."""
    from . import cli_fetch

    description = _description(options, printer)
    return cli_fetch.fetch(options, printer, description, _storages(description, host=Host(journal=printer)))


def windows(options: argparse.Namespace, printer: Printer) -> int:
    """Show what can be recovered to."""
    from . import cli_recover

    return cli_recover.windows(options, printer, _description(options, printer))


def recover(options: argparse.Namespace, printer: Printer) -> int:
    """Recover to a point in time."""
    from . import cli_recover

    return cli_recover.recover(options, printer, _description(options, printer))


def label(options: argparse.Namespace, printer: Printer) -> int:
    """Give one instant a name."""
    from . import cli_recover

    return cli_recover.label(options, printer, _description(options, printer))


def find_damage(options: argparse.Namespace, printer: Printer) -> int:
    """Look for what was destroyed."""
    from . import cli_damage

    return cli_damage.find(options, printer, _description(options, printer))


def copy(options: argparse.Namespace, printer: Printer) -> int:
    """Bring repositories up to the others."""
    from . import cli_repo

    return cli_repo.copy(options, printer, _description(options, printer))


def repo(options: argparse.Namespace, printer: Printer) -> int:
    """Look through whole repositories."""
    from . import cli_repo

    return cli_repo.repo(options, printer, _description(options, printer))


def prune(options: argparse.Namespace, printer: Printer) -> int:
    """Remove what no policy keeps."""
    from . import cli_prune

    return cli_prune.prune(options, printer, _description(options, printer))


def pin(options: argparse.Namespace, printer: Printer) -> int:
    """Have a backup stay."""
    from . import cli_prune

    description = _description(options, printer)
    storages = _storages(description, host=Host(journal=printer), only=options.repository)
    return cli_prune.pin(options, printer, storages)


def unpin(options: argparse.Namespace, printer: Printer) -> int:
    """Take a pin away."""
    from . import cli_prune

    description = _description(options, printer)
    storages = _storages(description, host=Host(journal=printer), only=options.repository)
    return cli_prune.unpin(options, printer, storages)


def failover(options: argparse.Namespace, printer: Printer) -> int:
    """Show and approve plans of failovers."""
    from . import cli_failover

    description = _description(options, printer)
    # A server that wants to start asks again by itself.
    storages = _storages(description, host=Host(journal=printer), hasty=options.action == "guard")
    return cli_failover.failover(options, printer, description, storages)


def evidence(options: argparse.Namespace, printer: Printer) -> int:
    """What a failover left."""
    from . import cli_evidence

    return cli_evidence.evidence(
        options, printer, _storages(_description(options, printer), host=Host(journal=printer))
    )


COMMANDS: t.Mapping[str, t.Callable[[argparse.Namespace, Printer], int]] = {
    "backup": backup,
    "fetch-wal": fetch_wal,
    "ship": ship,
    "list": list_backups,
    "show": show,
    "verify": verify,
    "restore": restore,
    "windows": windows,
    "recover": recover,
    "label": label,
    "find-damage": find_damage,
    "copy": copy,
    "repo": repo,
    "prune": prune,
    "pin": pin,
    "unpin": unpin,
    "failover": failover,
    "config": config,
    "status": status,
    "metrics": metrics,
    "notify": notify,
    "evidence": evidence,
}


def _description(options: argparse.Namespace, printer: Printer) -> Description:
    description = read_description(options.config)
    for warning in description.warnings:
        printer.warning(warning)
    return description


def _storages(
    description: Description, *, host: Host, only: str | None = None, hasty: bool = False
) -> dict[str, Storage]:
    return {
        repository.name: open_storage(
            repository.description, name=repository.name, clock=host.clock, runner=host.runner, hasty=hasty
        )
        for repository in repositories_of(description, only=only)
    }
