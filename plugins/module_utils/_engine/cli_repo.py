# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat copy`` and ``lifeboat repo``: whole repositories, brought up to each other, looked through, counted."""

from __future__ import annotations

import argparse
import typing as t

from .catalog.catalog import Selection
from .core.clock import format_time
from .core.description.description import Description
from .core.errors import LifeboatError, RequestInvalid
from .core.host import Host
from .core.ids import is_backup_id
from .operations.check_values import CheckRequest, Share
from .operations.copy_requests import target_policies
from .operations.copy_values import CopyRequest, TargetPolicy
from .operations.copying import plan_copy, run_copy
from .operations.description_requests import repositories_of
from .operations.prune_requests import policies_of
from .operations.repo_check import check_repositories
from .operations.repo_stats import read_stats
from .operations.repo_unlock import read_leases
from .report.copying import copy_plan_text, copy_result_text
from .report.printer import Printer
from .report.repository import check_text, leases_text, stats_text


def add_copy_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of ``copy``."""
    command.add_argument(
        "what", nargs="?", metavar="WHAT", help="a backup's id, or service/source/kind or its beginning; default: all"
    )
    command.add_argument(
        "--to", action="append", default=[], metavar="NAME", help="bring up this repository only; more than once"
    )
    command.add_argument("--dry-run", action="store_true", help="say what would be copied and why, change nothing")
    command.add_argument(
        "--everything", action="store_true", help="with --to: also what no job stores there, for a new repository"
    )
    command.add_argument(
        "--repair", action="store_true", help="look whether what is there is whole, and replace what is not"
    )
    command.add_argument("--parallel", type=int, default=4, metavar="N", help="objects at the same time (default: 4)")
    command.add_argument("--all", action="store_true", help="name every backup that does not come, too")
    command.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="wait for another copy to the same repository"
    )
    command.add_argument("--quiet", action="store_true", help="no progress on standard error")


def add_repo_arguments(command: argparse.ArgumentParser) -> None:
    """``check``, ``stats`` and ``unlock``, each with its arguments."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = _action(actions, "check", "look whether everything is there that manifests and records name")
    check.add_argument(
        "--read-data",
        nargs="?",
        const="all",
        metavar="SHARE",
        help="read and hash the bytes as well; of all, of 10%% at random, of part 2/7",
    )
    check.add_argument("--parallel", type=int, default=4, metavar="N", help="objects at the same time (default: 4)")
    check.add_argument("--quiet", action="store_true", help="no progress on standard error")
    stats = _action(actions, "stats", "count what repositories hold, how it grows, what old versions take")
    stats.add_argument("--quiet", action="store_true", help="no progress on standard error")
    for each in (check, stats):
        each.add_argument("--service", metavar="NAME", help="only this service")
        each.add_argument("--source", metavar="NAME", help="only this source")
        each.add_argument("--kind", metavar="KIND", help="only this kind")
    unlock = _action(actions, "unlock", "show who prunes a repository just now")
    unlock.add_argument(
        "--break", action="store_true", dest="take_away", help="take the lease away from whoever holds it"
    )


def copy(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Bring repositories up to each other, as far as their retention would keep what they lack."""
    host = Host(journal=printer)
    request = CopyRequest(
        repositories=repositories_of(description),
        to=tuple(options.to),
        selection=_selection_of(options.what),
        policies=targets_of(description),
        everything=options.everything,
        repair=options.repair,
        parallel=options.parallel,
        state_directory=description.settings.state_directory,
        lock_timeout=options.wait,
    )
    if options.dry_run:
        plan = plan_copy(request, host=host)
        printer.result(copy_plan_text(plan, everything=options.all))
        printer.document({"plan": plan.as_dict()})
        return 1 if plan.problems else 0
    result = run_copy(request, host=host, show=printer.progress)
    printer.result(copy_result_text(result, everything=options.all))
    error = result.error
    printer.document({**result.as_dict(), "error": error.as_dict() if error else None})
    if error is not None:
        printer.error(error)
        return error.exit_status
    return 0


def repo(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """What ``check``, ``stats`` or ``unlock`` does."""
    return _ACTIONS[options.action](options, printer, description)


def targets_of(description: Description) -> dict[str, TargetPolicy]:
    """What the jobs of the description store in each repository, and for how long it is kept there."""
    no_job = {name: TargetPolicy(names=lambda _series: False) for name in _names(description)}
    return {**no_job, **target_policies(policies_of(description.jobs()))}


def _check(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    host = Host(journal=printer)
    share = options.read_data
    request = CheckRequest(
        repositories=repositories_of(description),
        only=tuple(options.repository),
        selection=_filters_of(options),
        share=None if share is None else Share.parse(share, seed=format_time(host.clock.now())),
        parallel=_positive(options.parallel),
    )
    result = check_repositories(request, host=host, show=printer.progress)
    printer.result(check_text(result))
    printer.document(result.as_dict())
    return result.exit_status


def _stats(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    host = Host(journal=printer)
    found = read_stats(
        repositories_of(description),
        only=options.repository,
        selection=_filters_of(options),
        host=host,
        show=printer.progress,
    )
    printer.result(stats_text(found))
    printer.document({"repositories": [stats.as_dict() for stats in found]})
    return _tell_errors([(stats.name, stats.error) for stats in found], printer)


def _unlock(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    host = Host(journal=printer)
    names = _names(description)
    unknown = [name for name in options.repository if name not in names]
    if unknown:
        raise RequestInvalid(f"There is no repository {unknown[0]}.", hint=f"Repositories: {', '.join(names)}.")
    wanted = options.repository or names
    repositories = [one for one in repositories_of(description) if one.name in wanted]
    states = read_leases(repositories, take_away=options.take_away, host=host)
    printer.result(leases_text(states, now=host.clock.now()))
    printer.document({"leases": [state.as_dict() for state in states]})
    return _tell_errors([(state.repository, state.error) for state in states], printer)


_ACTIONS: t.Mapping[str, t.Callable[[argparse.Namespace, Printer, Description], int]] = {
    "check": _check,
    "stats": _stats,
    "unlock": _unlock,
}


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, purpose: str
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
    # Not the default: the one of the command above, given before the action, would be overwritten.
    action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
    action.add_argument(
        "--repository", action="append", default=[], metavar="NAME", help="only this repository; more than once"
    )
    return action


def _names(description: Description) -> list[str]:
    return [one.name for one in repositories_of(description)]


def _selection_of(what: str | None) -> Selection:
    if what is None:
        return Selection()
    if is_backup_id(what):
        return Selection(backup_id=what)
    parts = what.strip("/").split("/")
    if len(parts) > 3:
        raise RequestInvalid(
            f"{what!r} is neither a backup's id nor SERVICE/SOURCE/KIND or its beginning.",
            hint="Ids look like 20261121T020000Z-4f2c91; lifeboat list shows them.",
        )
    service, source, kind, *_rest = [*parts, None, None]
    return Selection(service=service, source=source, kind=kind)


def _filters_of(options: argparse.Namespace) -> Selection:
    return Selection(service=options.service, source=options.source, kind=options.kind)


def _positive(number: int) -> int:
    if number < 1:
        raise RequestInvalid(
            f"--parallel is {number}; it is how many objects are read at the same time.",
            hint="Write a number from 1 on, or leave it out for 4.",
        )
    return number


def _tell_errors(errors: t.Iterable[tuple[str, LifeboatError | None]], printer: Printer) -> int:
    """1 when a repository could not be asked."""
    status = 0
    for name, error in errors:
        if error is not None:
            printer.error(error, job=name)
            status = 1
    return status
