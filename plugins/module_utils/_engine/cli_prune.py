# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat prune``, ``pin`` and ``unpin``: what goes, what stays, and who said so."""

from __future__ import annotations

import argparse
import datetime
import getpass
import json
import os
import shlex
import typing as t

from .cli_telling import Telling
from .core.clock import parse_time
from .core.description.description import Description
from .core.description.duration import parse_duration
from .core.errors import LibraryMissing, LifeboatError, RequestInvalid
from .core.host import Host
from .core.ids import is_name
from .operations.description_requests import repositories_of
from .operations.label_pins import LabelPinResult, pin_label, unpin_label
from .operations.pins import PinResult, labelled_backups, pin_backup, unpin_backup
from .operations.prune import plan_prune, run_prune
from .operations.prune_plans import ReviewedPlans, parse_plans
from .operations.prune_requests import policies_of
from .operations.prune_values import SWEEP_AGE, VERSIONS, PruneRequest
from .report.printer import Printer
from .report.prune import label_pins_text, pins_text, plans_text, pruned_text
from .retention.values import Limits
from .storage.base import Storage


def add_prune_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of ``prune``."""
    command.add_argument(
        "jobs", nargs="*", metavar="JOB", help="service/source/kind, or the beginning of it; default: all"
    )
    how = command.add_mutually_exclusive_group()
    how.add_argument("--plan", action="store_true", help="show what would go, what stays, and why (the default)")
    how.add_argument("--apply", metavar="HASH|FILE", help="remove exactly what this plan says, or nothing")
    how.add_argument("--yes", action="store_true", help="plan and remove at once, without a look: for cron")
    command.add_argument(
        "--repository", action="append", default=[], metavar="NAME", help="remove only there; more than once"
    )
    command.add_argument(
        "--allow", action="append", default=[], metavar="WORD", help="override a guard; refusals name the word"
    )
    command.add_argument("--max-share", type=float, metavar="SHARE", help="of a series, how much may go at once (0.5)")
    command.add_argument("--max-number", type=int, metavar="N", help="of a repository, how many may go at once (1000)")
    command.add_argument(
        "--versions", choices=VERSIONS, default=VERSIONS[0], help="all: older versions and markers, too"
    )
    command.add_argument("--sweep-age", metavar="TIME", help="what belongs to nothing and is older goes, too (7d)")
    command.add_argument("--prices", metavar="FILE", help="a price table, YAML or JSON, to show money")
    command.add_argument("--all", action="store_true", help="name every backup that stays, too")
    command.add_argument("--out", metavar="FILE", help="write the plan there as JSON")
    command.add_argument("--quiet", action="store_true", help="no progress on standard error")


def add_pin_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of ``pin``."""
    _add_pinned(command)
    command.add_argument("--reason", required=True, help="why it stays, for those who come after you")
    command.add_argument("--until", metavar="TIME", help="2027-01-01T00:00:00Z; without it until it is unpinned")
    command.add_argument(
        "--hold", action="store_true", help="a legal hold: where a bucket has locks, nobody can delete it"
    )
    command.add_argument("--by", metavar="NAME", help="who says so; by default the account that you use")
    command.add_argument("--repository", metavar="NAME", help="only there")


def _add_pinned(command: argparse.ArgumentParser) -> None:
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("id", nargs="?", help="the backup's id, as lifeboat list shows it")
    what.add_argument("--label", metavar="SERVICE/NAME", help="a moment instead: a label of lifeboat label")
    what.add_argument("--labelled", metavar="NAME=VALUE", help="all backups that carry this label in their manifest")


def add_unpin_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of ``unpin``."""
    _add_pinned(command)
    command.add_argument("--pin", metavar="PIN", help="only this one of its pins")
    command.add_argument("--repository", metavar="NAME", help="only there")


def prune(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Plan, and remove when told to."""
    host = Host(journal=printer)
    request = _request(options, description)
    if options.apply is None and not options.yes:
        plans = plan_prune(request, host=host)
        printer.result(plans_text(plans, everything=options.all, apply=_apply_command(options)))
        document = plans.as_dict()
        if options.out:
            _write(options.out, document)
        printer.document(document)
        return plans.exit_status
    reviewed = _reviewed(options.apply) if options.apply and os.path.isfile(options.apply) else None
    telling = Telling(description, host=host)
    services = [job.service for job in description.jobs(options.jobs)]
    try:
        result = run_prune(request, plan_hash=options.apply, reviewed=reviewed, host=host, show=printer.progress)
    except LifeboatError as error:
        if options.yes:  # whoever applies a plan by hand sees it
            telling.pruned(services, None, error)
        raise
    telling.pruned(services, result, result.error)
    printer.result(pruned_text(result))
    printer.document(result.as_dict())
    if result.error is not None:
        printer.error(result.error)
        return result.error.exit_status
    return result.plans.exit_status


def pin(options: argparse.Namespace, printer: Printer, storages: t.Mapping[str, Storage]) -> int:
    """Have a backup, several of them or a moment stay."""
    host, by, until = Host(journal=printer), options.by or getpass.getuser(), _time(options.until)
    if options.label:
        service, name = _label(options.label)
        if options.hold:
            raise RequestInvalid(
                "A legal hold is of a backup: a moment has no objects of its own that a bucket could hold.",
                hint="Pin the label without --hold, and put the backup before it under hold: lifeboat list",
            )
        pinned = pin_label(storages, service, name, reason=options.reason, by=by, host=host, until=until)
        return _label_pinned(pinned, printer)
    results = [
        pin_backup(storages, one, reason=options.reason, by=by, host=host, until=until, hold=options.hold)
        for one in _ids(options, storages)
    ]
    return _pinned(results, printer, is_several=bool(options.labelled))


def unpin(options: argparse.Namespace, printer: Printer, storages: t.Mapping[str, Storage]) -> int:
    """Take that back."""
    if options.label:
        service, name = _label(options.label)
        return _label_pinned(unpin_label(storages, service, name, pin_id=options.pin), printer)
    results = [unpin_backup(storages, one, pin_id=options.pin) for one in _ids(options, storages)]
    return _pinned(results, printer, is_several=bool(options.labelled))


def _pinned(results: t.Sequence[PinResult], printer: Printer, *, is_several: bool) -> int:
    printer.result("\n".join(pins_text(result) for result in results))
    documents = [result.as_dict() for result in results]
    printer.document({"backups": documents} if is_several else documents[0])
    for result in results:
        for name, error in result.errors.items():
            printer.error(error, job=name)
    return 3 if any(result.errors or result.unprotected for result in results) else 0


def _label_pinned(result: LabelPinResult, printer: Printer) -> int:
    printer.result(label_pins_text(result))
    printer.document(result.as_dict())
    for name, error in result.errors.items():
        printer.error(error, job=name)
    return 3 if result.errors else 0


def _label(text: str) -> tuple[str, str]:
    """The service and the name of a label. Raises RequestInvalid."""
    service, slash, name = text.partition("/")
    if not slash or not is_name(service) or not is_name(name):
        raise RequestInvalid(
            f"--label {text!r} is not SERVICE/NAME.", hint="See the names: lifeboat label SERVICE --list"
        )
    return service, name


def _ids(options: argparse.Namespace, storages: t.Mapping[str, Storage]) -> list[str]:
    """The backup that is named, or those that carry the label. Raises RequestInvalid when there is none."""
    if not options.labelled:
        return [options.id]
    name, equals, value = options.labelled.partition("=")
    if not equals or not name:
        raise RequestInvalid(f"--labelled {options.labelled!r} is not NAME=VALUE.", hint="--labelled release=7.2")
    found = labelled_backups(storages, name, value)
    if not found:
        raise RequestInvalid(
            f"No backup carries the label {name}={value}.", hint="lifeboat show ID names those of a backup."
        )
    return found


def _request(options: argparse.Namespace, description: Description) -> PruneRequest:
    limits = {"share": options.max_share, "number": options.max_number}
    return PruneRequest(
        repositories=repositories_of(description),
        policies=policies_of(description.jobs(options.jobs)),
        prune=tuple(options.repository),
        limits=Limits(**{name: value for name, value in limits.items() if value is not None}),
        allow=frozenset(options.allow),
        versions=options.versions,
        sweep_age=parse_duration(options.sweep_age) if options.sweep_age else SWEEP_AGE,
        price_table=_prices(options.prices) if options.prices else None,
        state_directory=description.settings.state_directory,
    )


def _apply_command(options: argparse.Namespace) -> str:
    """What to type, without the hash, to have done what these options planned: with other ones it is another plan."""
    words = ["lifeboat", "prune", *options.jobs]
    for option, values in (("--repository", options.repository), ("--allow", options.allow)):
        for value in values:
            words += [option, value]
    for option, value in (
        ("--max-share", options.max_share),
        ("--max-number", options.max_number),
        ("--sweep-age", options.sweep_age),
        ("--versions", None if options.versions == VERSIONS[0] else options.versions),
    ):
        words += [] if value is None else [option, str(value)]
    return shlex.join([*words, "--apply"])


def _prices(path: str) -> t.Any:
    """The price table in a file. Raises RequestInvalid."""
    try:
        import yaml
    except ImportError as error:
        raise LibraryMissing(
            "The Python library PyYAML is needed to read a price table.",
            hint="Install it for the interpreter that runs Lifeboat: pip install PyYAML",
        ) from error
    try:
        with open(path, encoding="utf-8") as file:
            return yaml.safe_load(file)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RequestInvalid(
            f"--prices {path}: {error}", hint="A file with currency and classes; docs/runbooks/retention.md shows one."
        ) from error


def _reviewed(path: str) -> ReviewedPlans:
    """The plan in a file of ``--out``. Raises RequestInvalid, PlanInvalid."""
    try:
        with open(path, "rb") as file:
            return parse_plans(file.read())
    except OSError as error:
        raise RequestInvalid(f"--apply {path}: {error.strerror}.", hint="Name a file that can be read.") from error


def _write(path: str, document: t.Mapping[str, t.Any]) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    except OSError as error:
        raise RequestInvalid(f"--out {path}: {error.strerror}.", hint="Name a file that can be written.") from error


def _time(text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise RequestInvalid(f"--until: {error}", hint="Write 2027-01-01T00:00:00Z.") from error
