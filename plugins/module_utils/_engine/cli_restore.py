# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat restore``: bring a backup back; or finish, undo or tidy up an earlier restore."""

from __future__ import annotations

import argparse
import re

from .cli_options import OPTION_HELP, identity_of, options_from, target_options, time_from
from .core.description.description import Description
from .core.description.kinds import SET_KIND
from .core.errors import LifeboatError, RequestInvalid
from .core.host import Host
from .core.ids import is_backup_id
from .core.state import StateDirectory, running_jobs
from .operations.choosing import NEWEST, NEWEST_VERIFIED, Sources
from .operations.description_requests import repositories_of, selection_of, source_of
from .operations.earlier_restores import discard_restore, resume_restore, roll_back_restore
from .operations.option_names import RESTORE_OPTIONS, restore_options_text
from .operations.restore import plan_restore, run_restore
from .operations.restore_values import EarlierRestore, RestoreRequest, RestoreResult
from .operations.set_restore import plan_set_restore, refuse_set_restore
from .recovery.ledger import all_restores, unfinished_restores
from .report.printer import Printer
from .report.recovery import restore_plan_text, restore_text, restores_text, unfinished_text
from .report.sets import set_plan_text

VERIFIED_POINT = "verified"
_OF_NEW_RESTORES = ("before", "in_place", "allow_failed", "repository", "dry_run")
_NAME_AND_VALUE = re.compile(r"\b([a-z_]+): (?=[\w/{\[])")
_OPTIONS = {name for names in RESTORE_OPTIONS.values() for name in names}
_OPTIONS_HERE = (
    "here: such options are -o NAME=VALUE, as -o data_directory=/srv/copy or -o service_control.unit=redis-server"
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``lifeboat restore``."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = f"options of the restore (-o NAME=VALUE), by what is restored:\n{restore_options_text()}"
    command.add_argument("what", nargs="?", metavar="JOB|ID", help="service/source/kind, or a backup's id")
    command.add_argument("--before", metavar="TIME", help="a backup started before, such as 2026-11-21T02:00:00Z")
    command.add_argument(
        "--point",
        choices=[VERIFIED_POINT, "newest"],
        default=VERIFIED_POINT,
        help="the newest verified backup (default), or the newest whether verified or not",
    )
    command.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=OPTION_HELP,
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
    earlier.add_argument("--list", action="store_true", help="list the restores that this host made")
    earlier.add_argument("--unfinished", action="store_true", help="list the restores that died in their middle")
    earlier.add_argument("--resume", metavar="RESTORE", help="go on with a restore that died")
    earlier.add_argument("--roll-back", metavar="RESTORE", help="put everything back as it was before that restore")
    earlier.add_argument("--discard", metavar="RESTORE", help="remove for ever what that restore moved aside")


def restore(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Plan or make the restore that was asked for."""
    host = Host(journal=printer)
    _refuse_what_says_nothing(options)
    state = StateDirectory(path=description.settings.state_directory)
    if options.list:
        documents = all_restores(state)
        printer.result(restores_text(documents))
        printer.document({"restores": documents})
        return 0
    if options.unfinished:
        documents = unfinished_restores(state)
        running = {str(document.get("id")) for document in running_jobs(state)}
        printer.result(unfinished_text(documents, running=running))
        printer.document({"unfinished": [{**one, "runs_now": one["id"] in running} for one in documents]})
        return 1 if any(document["id"] not in running for document in documents) else 0
    try:
        if options.resume or options.roll_back or options.discard:
            return _earlier(options, printer, description, host)
        return _new(options, printer, description, host)
    except LifeboatError as error:
        named = _OPTIONS.intersection(_NAME_AND_VALUE.findall(error.hint))
        if error.exit_status == RequestInvalid.exit_status and "--" not in error.hint and named:
            # The hint has the words of modules and descriptions.
            error.hint += f"\n  {_OPTIONS_HERE}"
        raise


def _refuse_what_says_nothing(options: argparse.Namespace) -> None:
    """Options that would be passed over: whoever says --roll-back ID --dry-run must not see it done."""
    names = ("list", "unfinished", "resume", "roll_back", "discard")
    asked = next((name for name in names if getattr(options, name)), None)
    if asked is None:
        if not options.what:
            raise RequestInvalid(
                "It is not said what to restore.", hint="lifeboat restore SERVICE/SOURCE/KIND --dry-run"
            )
        return
    given = [f"--{name.replace('_', '-')}" for name in _OF_NEW_RESTORES if getattr(options, name)]
    given += ["JOB or ID"] if options.what else []
    given += ["--point"] if options.point != VERIFIED_POINT else []
    if given:
        raise RequestInvalid(
            f"--{asked.replace('_', '-')} is about an earlier restore and takes no {', no '.join(given)}.",
            hint="See the earlier restores: lifeboat restore --list",
        )


def _new(options: argparse.Namespace, printer: Printer, description: Description, host: Host) -> int:
    request = _request(options, description, host)
    if request.selection.kind == SET_KIND:
        return _set(options, printer, request, host)
    if options.dry_run:
        plan = plan_restore(request, host=host)
        printer.result(restore_plan_text(plan))
        printer.document({"plan": plan.as_dict()})
        return 0
    return _tell(run_restore(request, host=host, show=printer.progress), printer)


def _set(options: argparse.Namespace, printer: Printer, request: RestoreRequest, host: Host) -> int:
    plan = plan_set_restore(request, host=host)
    if not options.dry_run:
        raise refuse_set_restore(plan)
    printer.result(set_plan_text(plan))
    printer.document({"plan": plan.as_dict()})
    if plan.error is None:
        return 0
    printer.error(plan.error)
    return plan.error.exit_status


def _earlier(options: argparse.Namespace, printer: Printer, description: Description, host: Host) -> int:
    earlier = EarlierRestore(
        restore_id=options.resume or options.roll_back or options.discard,
        repositories=repositories_of(description),
        options=options_from(options.option),
        identity=identity_of(options, description),
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
    return _tell(result, printer)


def _tell(result: RestoreResult, printer: Printer) -> int:
    """What came of it, and what failed once the data was right."""
    error = result.error
    printer.result(restore_text(result))
    printer.document({"restore": result.as_dict(), **({"error": error.as_dict()} if error else {})})
    if error is None:
        return 0
    printer.error(error)
    return error.exit_status


def _request(options: argparse.Namespace, description: Description, host: Host) -> RestoreRequest:
    repositories = repositories_of(description, only=options.repository)
    identity = identity_of(options, description)
    if "/" in options.what:
        selection = selection_of(options.what, before=time_from(options.before))
    elif not is_backup_id(options.what):
        jobs = ", ".join(job.id for job in description.jobs([]) if job.runnable)
        raise RequestInvalid(
            f"{options.what!r} is neither SERVICE/SOURCE/KIND nor a backup's id.",
            hint=f"Jobs: {jobs}. Ids look like 20261121T020000Z-4f2c91; lifeboat list shows them.",
        )
    else:
        manifest = Sources.open(repositories, host=host, identity=identity).find(options.what).manifest
        selection = selection_of(f"{manifest.service}/{manifest.source}/{manifest.kind}", backup_id=manifest.backup_id)
    source = source_of(description, str(selection.service), str(selection.source))
    return RestoreRequest(
        repositories=repositories,
        selection=selection,
        options=target_options(options, source, kind=selection.kind),
        point=NEWEST if options.point == "newest" else NEWEST_VERIFIED,
        identity=identity,
        confirm=options.confirm,
        allow_failed=options.allow_failed,
        state_directory=description.settings.state_directory,
        lock_timeout=options.wait,
    )
