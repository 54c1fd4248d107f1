# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat windows``, ``lifeboat recover`` and ``lifeboat label``: moments that can be reached, and reaching one."""

from __future__ import annotations

import argparse
import typing as t
from dataclasses import replace

from .catalog.catalog import Selection
from .cli_options import OPTION_HELP, identity_of, options_from, target_options
from .core.description.description import Description
from .core.description.model import Service, Source
from .core.errors import LifeboatError, RequestInvalid
from .core.host import Host
from .core.secrets import Secret
from .operations.choosing import Sources
from .operations.description_requests import repositories_of, selection_of, source_of, with_vendor_options
from .operations.labels import LabelSource, can_label, find_label, make_label, read_labels
from .operations.recovering import RecoveryRequest, source_windows
from .operations.recovery_kinds import RECOVERABLE_ENGINES
from .operations.restore import plan_restore, run_restore
from .operations.restore_values import RestoreRequest
from .recovery.recovery_target import ACTIONS, RecoveryTarget, recovery_target_from
from .report.printer import Printer
from .report.recovery import restore_plan_text, restore_text
from .report.windows import labels_text, windows_text

_TARGETS = ("time", "lsn", "xid", "name", "optime", "before_operation")
_POINTS = ("latest", "immediate")


def add_recover_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``lifeboat recover``."""
    command.add_argument("what", metavar="SOURCE", help="service/source; with --to-label a service: all its sources")
    target = command.add_mutually_exclusive_group(required=True)
    target.add_argument("--to-time", dest="time", metavar="TIME", help="2026-11-21T14:03:00Z, or with a named zone")
    target.add_argument("--to-lsn", dest="lsn", metavar="LSN", help="a position in the WAL (PostgreSQL)")
    target.add_argument("--to-xid", dest="xid", metavar="XID", help="a transaction (PostgreSQL)")
    target.add_argument("--to-name", dest="name", metavar="NAME", help="a named point (PostgreSQL)")
    target.add_argument("--to-optime", dest="optime", metavar="T:I", help="a position in the oplog (MongoDB)")
    target.add_argument(
        "--before-operation", metavar="T:I", help="all before this operation (MongoDB; lifeboat find-damage)"
    )
    target.add_argument("--to-label", dest="label", metavar="NAME", help="a label of the service (lifeboat label)")
    target.add_argument("--latest", action="store_true", help="the end of what is stored")
    target.add_argument("--immediate", action="store_true", help="as soon as the base is consistent (PostgreSQL)")
    command.add_argument("--exclusive", action="store_true", help="without what happened exactly at the target")
    command.add_argument("--timeline", default="", metavar="N", help="this timeline (PostgreSQL), else chosen by rule")
    command.add_argument("--action", choices=ACTIONS, help="what becomes of it (PostgreSQL); promote without")
    command.add_argument("--skip-op", action="append", default=[], metavar="T:I", help="leave this one out (MongoDB)")
    command.add_argument("-o", "--option", action="append", default=[], metavar="NAME=VALUE", help=OPTION_HELP)
    command.add_argument("--in-place", action="store_true", help="replace what is there (the same as -o in_place=true)")
    command.add_argument("--confirm", metavar="NAME", help="repeats the name of what is replaced (see --dry-run)")
    command.add_argument("--repository", metavar="NAME", help="read this repository only")
    command.add_argument("--identity-file", metavar="FILE", help="the private key of encrypted backups")
    command.add_argument("--dry-run", action="store_true", help="print the plan, change nothing")
    command.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="wait for another restore")
    command.add_argument("--quiet", action="store_true", help="no progress on standard error")


def add_windows_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``lifeboat windows``."""
    command.add_argument("what", nargs="*", metavar="SOURCE", help="service/source; all of the description without")
    command.add_argument("--repository", metavar="NAME", help="what could be recovered from this repository alone")


def add_label_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``lifeboat label``."""
    command.add_argument("service", metavar="SERVICE", help="all its databases get the label at the same instant")
    command.add_argument("name", nargs="?", metavar="NAME", help="what it is called: before-upgrade-7")
    command.add_argument("--list", action="store_true", help="list the labels that there are")


def label(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Make a label, or list those that there are. The exit status is 3 when a repository did not take it."""
    host = Host(journal=printer)
    service = _service(description, options.service)
    storages = Sources.open(repositories_of(description), host=host, identity=Secret(name="identity")).storages
    if options.list or not options.name:
        if not options.list:
            raise RequestInvalid("The label has no name.", hint=f"lifeboat label {service.name} before-upgrade-7")
        labels, problems = read_labels(service.name, storages=storages)
        printer.result(labels_text(labels))
        printer.document({"labels": [one.as_dict() for one in labels], "problems": [one.as_dict() for one in problems]})
        for problem in problems:
            printer.error(problem)
        return 1 if problems else 0
    description.require_backups_here()
    marked = [
        LabelSource(name=source.name, engine=source.engine, connection=source.connection)
        for source in service.sources
        if can_label(source.engine)
    ]
    files = [source.name for source in service.sources if source.engine == "files" and not source.has_only_sets]
    result = make_label(options.name, service=service.name, sources=marked, files=files, storages=storages, host=host)
    printer.result(labels_text([result.label]))
    printer.document(result.as_dict())
    for repository, error in result.errors.items():
        printer.error(error, job=repository)
    return 3 if result.errors else 0


def recover(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Plan or make the recovery that was asked for."""
    host = Host(journal=printer)
    if options.label:
        return _recover_set(options, printer, description, host)
    selection = selection_of(options.what)
    if selection.kind is not None:
        raise RequestInvalid(
            f"{options.what!r} names a kind; a recovery chooses its base by itself.",
            hint=f"Name the source: lifeboat recover {selection.service}/{selection.source} --dry-run ...",
        )
    source = source_of(description, str(selection.service), str(selection.source))
    target = recovery_target_from(_target(options), now=host.clock.now())
    restorer_options = with_vendor_options(source, target_options(options, source, kind=None))
    request = _request(options, description, selection, source, target=target, restorer_options=restorer_options)
    printer.document(_plan_or_run(request, options, printer, host))
    return 0


def _recover_set(options: argparse.Namespace, printer: Printer, description: Description, host: Host) -> int:
    """All sources of a label, one after the other. All plans are made first: a set that can't be whole is not begun."""
    service = _service(description, options.what)
    storages = Sources.open(repositories_of(description), host=host, identity=Secret(name="identity")).storages
    found = find_label(options.label, service=service.name, storages=storages)
    given = options_from(options.option)
    names = [*(point.source for point in found.points), *(files.source for files in found.files)]
    unknown = sorted(set(given) - set(names))
    if unknown or options.in_place:
        raise RequestInvalid(
            "A set is recovered beside its sources, and each option names the source that it is for"
            + (f"; {unknown[0]} is none of the label." if unknown else "."),
            hint=f"Sources of the label: {', '.join(names)}. Write -o {names[0]}.NAME=VALUE",
        )
    described = {source.name for source in service.sources}
    elsewhere = [name for name in names if name not in described]
    if elsewhere:
        raise RequestInvalid(
            f"The label {found.name} is also of {', '.join(elsewhere)}, which this description does not have.",
            hint="Recover each source where it is described, to the point that this shows: "
            f"lifeboat label {service.name} --list",
            details={"sources": elsewhere},
        )
    requests = []
    for point in found.points:
        source = source_of(description, service.name, point.source)
        own = given.get(point.source) or {}
        target = replace(point.target, action=options.action or point.target.action)
        requests.append(
            _request(
                options,
                description,
                selection_of(f"{service.name}/{point.source}"),
                source,
                target=target,
                restorer_options=with_vendor_options(
                    source, {**own, "connection": {**source.connection, **(own.get("connection") or {})}}
                ),
            )
        )
    for files in found.files:
        source = source_of(description, service.name, files.source)
        own = {**(given.get(files.source) or {}), "connection": source.connection}
        what = selection_of(f"{service.name}/{files.source}/{files.kind}", backup_id=files.backup_id)
        requests.append(_request(options, description, what, source, target=None, restorer_options=own))
    for request in requests:
        plan_restore(request, host=host)
    printer.result(labels_text([found]))
    documents = [_plan_or_run(request, options, printer, host) for request in requests]
    printer.document({"label": found.as_dict(), "sources": documents})
    return 0


def _plan_or_run(
    request: RestoreRequest, options: argparse.Namespace, printer: Printer, host: Host
) -> dict[str, t.Any]:
    if options.dry_run:
        plan = plan_restore(request, host=host)
        printer.result(restore_plan_text(plan))
        return {"plan": plan.as_dict()}
    result = run_restore(request, host=host, show=printer.progress)
    printer.result(restore_text(result))
    return {"restore": result.as_dict()}


def _request(
    options: argparse.Namespace,
    description: Description,
    selection: Selection,
    source: Source,
    *,
    target: RecoveryTarget | None,
    restorer_options: t.Mapping[str, t.Any],
) -> RestoreRequest:
    recovery = None
    if target is not None:
        recovery = RecoveryRequest(engine=source.engine, target=target, options=restorer_options)
    return RestoreRequest(
        repositories=repositories_of(description, only=options.repository),
        selection=selection,
        options=restorer_options,
        identity=identity_of(options, description),
        confirm=options.confirm,
        state_directory=description.settings.state_directory,
        lock_timeout=options.wait,
        recovery=recovery,
    )


def _service(description: Description, name: str) -> Service:
    for service in description.services:
        if service.name == name:
            return service
    names = ", ".join(service.name for service in description.services) or "none"
    raise RequestInvalid(f"The description has no service {name!r}.", hint=f"Services: {names}.")


def windows(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Show what each source can be recovered to. The exit status is 1 when one can't be brought to any moment."""
    host = Host(journal=printer)
    sources = Sources.open(
        repositories_of(description, only=options.repository), host=host, identity=Secret(name="identity")
    )
    documents: list[dict[str, t.Any]] = []
    status = 0
    for service, source in _asked(options.what, description):
        name = f"{service}/{source.name}"
        try:
            found = source_windows(
                sources, selection_of(name), engine=source.engine, options=with_vendor_options(source, {})
            )
        except LifeboatError as error:
            printer.error(error, job=name)
            documents.append({"source": name, "engine": source.engine, "error": error.as_dict()})
            status = error.exit_status
            continue
        printer.result(windows_text(name, found, now=host.clock.now()))
        documents.append({"source": name, "engine": source.engine, **found.as_dict()})
        status = status or (0 if found.windows else 1)
    printer.document({"sources": documents})
    return status


def _asked(names: t.Sequence[str], description: Description) -> list[tuple[str, Source]]:
    """The named sources; without names all whose engine has a stream."""
    if names:
        selections = [selection_of(name) for name in names]
        return [(str(one.service), source_of(description, str(one.service), str(one.source))) for one in selections]
    return [
        (service.name, source)
        for service in description.services
        for source in service.sources
        if source.engine in RECOVERABLE_ENGINES
    ]


def _target(options: argparse.Namespace) -> dict[str, t.Any]:
    kind = next(name for name in (*_TARGETS, *_POINTS) if getattr(options, name))
    return {
        kind: getattr(options, kind),
        "exclusive": options.exclusive or None,
        "timeline": options.timeline or None,
        "action": options.action,
        "skip": list(options.skip_op) or None,
    }
