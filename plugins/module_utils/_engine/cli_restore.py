# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat restore``: bring a backup back; or finish, undo or tidy up an earlier restore."""

from __future__ import annotations

import argparse
import datetime
import typing as t

from .core.clock import parse_time
from .core.description.description import Description
from .core.errors import LibraryMissing, RequestInvalid
from .core.host import Host
from .core.state import StateDirectory
from .operations.choosing import NEWEST, NEWEST_VERIFIED, Sources
from .operations.description_requests import identity_from, repositories_of, selection_of, source_of
from .operations.earlier_restores import discard_restore, resume_restore, roll_back_restore
from .operations.restore import plan_restore, run_restore
from .operations.restore_values import EarlierRestore, RestoreRequest
from .recovery.ledger import unfinished_restores
from .report.printer import Printer
from .report.recovery import restore_plan_text, restore_text, unfinished_text


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``lifeboat restore``."""
    command.add_argument("what", nargs="?", metavar="JOB|ID", help="service/source/kind, or a backup's id")
    command.add_argument("--before", metavar="TIME", help="a backup started before, such as 2026-11-21T02:00:00Z")
    command.add_argument(
        "--point",
        choices=["verified", "newest"],
        default="verified",
        help="the newest verified backup (default), or the newest whether verified or not",
    )
    command.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the restore: -o data_directory=/srv/copy, -o connection.port=5433",
    )
    command.add_argument("--in-place", action="store_true", help="replace what is there (the same as -o in_place=true)")
    command.add_argument("--confirm", metavar="NAME", help="repeats the name of what is replaced (see --dry-run)")
    command.add_argument("--allow-failed", action="store_true", help="take a backup whose verification failed")
    command.add_argument("--repository", metavar="NAME", help="read the copy in this repository")
    command.add_argument("--identity-file", metavar="FILE", help="the private key of encrypted backups")
    command.add_argument("--dry-run", action="store_true", help="print the plan, change nothing")
    command.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="wait for another restore")
    command.add_argument("--quiet", action="store_true", help="no progress on standard error")
    earlier = command.add_mutually_exclusive_group()
    earlier.add_argument("--unfinished", action="store_true", help="list the restores that died in their middle")
    earlier.add_argument("--resume", metavar="RESTORE", help="go on with a restore that died")
    earlier.add_argument("--roll-back", metavar="RESTORE", help="put everything back as it was before that restore")
    earlier.add_argument("--discard", metavar="RESTORE", help="remove for ever what that restore moved aside")


def restore(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Plan or make the restore that was asked for."""
    host = Host(journal=printer)
    earlier = options.resume or options.roll_back or options.discard
    if options.unfinished:
        state = StateDirectory(path=description.settings.state_directory)
        documents = unfinished_restores(state)
        printer.result(unfinished_text(documents))
        printer.document({"unfinished": documents})
        return 1 if documents else 0
    if earlier:
        return _earlier(options, printer, description, host, restore_id=earlier)
    if not options.what:
        raise RequestInvalid("Nothing was named.", hint="lifeboat restore SERVICE/SOURCE/KIND --dry-run")
    request = _request(options, description, host)
    if options.dry_run:
        plan = plan_restore(request, host=host)
        printer.result(restore_plan_text(plan))
        printer.document({"plan": plan.as_dict()})
        return 0
    result = run_restore(request, host=host, show=printer.progress)
    printer.result(restore_text(result))
    printer.document({"restore": result.as_dict()})
    return 0


def _earlier(
    options: argparse.Namespace, printer: Printer, description: Description, host: Host, *, restore_id: str
) -> int:
    earlier = EarlierRestore(
        restore_id=restore_id,
        repositories=repositories_of(description),
        options=_options(options.option),
        identity=_identity(options, description),
        confirm=options.confirm,
        state_directory=description.settings.state_directory,
        lock_timeout=options.wait,
    )
    if options.resume:
        result = resume_restore(earlier, host=host, show=printer.progress)
    elif options.roll_back:
        result = roll_back_restore(earlier, host=host, show=printer.progress)
    else:
        result = discard_restore(earlier, host=host)
    printer.result(restore_text(result))
    printer.document({"restore": result.as_dict()})
    return 0


def _request(options: argparse.Namespace, description: Description, host: Host) -> RestoreRequest:
    repositories = repositories_of(description, only=options.repository)
    identity = _identity(options, description)
    if "/" in options.what:
        selection = selection_of(options.what, before=_time(options.before))
    else:
        manifest = Sources.open(repositories, host=host, identity=identity).find(options.what).manifest
        selection = selection_of(f"{manifest.service}/{manifest.source}/{manifest.kind}", backup_id=manifest.backup_id)
    source = source_of(description, str(selection.service), str(selection.source))
    own = _options(options.option)
    if options.in_place:
        own["in_place"] = True
    # Where nothing else is said, the target is the server that the backup came from.
    connection = {**source.connection, **own.pop("connection", {})}
    return RestoreRequest(
        repositories=repositories,
        selection=selection,
        options={**own, "connection": connection},
        point=NEWEST if options.point == "newest" else NEWEST_VERIFIED,
        identity=identity,
        confirm=options.confirm,
        allow_failed=options.allow_failed,
        state_directory=description.settings.state_directory,
        lock_timeout=options.wait,
    )


def _identity(options: argparse.Namespace, description: Description) -> t.Any:
    decryption = {"identity_file": options.identity_file} if options.identity_file else description.settings.decryption
    return identity_from(decryption)


def _time(text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise RequestInvalid(f"--before: {error}", hint="Write 2026-11-21T02:00:00Z.") from error


def _options(given: t.Sequence[str]) -> dict[str, t.Any]:
    """From ``name=value`` with dots for what lies deeper; values as in YAML: numbers, true and false, [a, b]."""
    try:
        import yaml
    except ImportError as error:
        raise LibraryMissing(
            "The Python library PyYAML is needed to read options.",
            hint="Install it for the interpreter that runs Lifeboat: pip install PyYAML",
        ) from error
    options: dict[str, t.Any] = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise RequestInvalid(f"-o {entry!r} is not NAME=VALUE.")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise RequestInvalid(f"-o {name}: the value can't be read.", hint="Put quotes around it.") from error
        place = options
        *outer, last = name.split(".")
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = parsed
    return options
