# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat failover``: plans that wait for approval, approving one, taking that back; who may be a primary."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import typing as t

from .cli_lease import add_lease_arguments, hold_lease
from .core.clock import format_time
from .core.description.description import Description
from .core.description.model import Service
from .core.errors import (
    FailoverKeyUnusable,
    FailoverPlanInvalid,
    LifeboatError,
    OutputUnwritable,
    RequestInvalid,
)
from .core.host import Host
from .failover.approval import APPROVE, WITHDRAW, Signed, is_sha256, parse_signed, statement_about
from .failover.approval_rules import Policy, Verdict, judge, policy_from
from .failover.approval_store import put_signed, read_given, read_plan, waiting_plans
from .failover.guard import Guarded, GuardRequest, guard, is_standby
from .failover.ledger import newest_run
from .failover.plan import FailoverPlan, parse_plan
from .failover.ssh_signature import sign, signer_of_key, verifier
from .report.approvals import approve_command, plan_text, verdict_text
from .report.printer import Printer
from .storage.base import Storage

Storages = t.Mapping[str, Storage]
_LARGEST = 4 * 1024 * 1024
_SHOWN = 5


def add_arguments(command: argparse.ArgumentParser) -> None:
    """``show``, ``approve`` and ``withdraw``, each with its arguments."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = _action(actions, "show", "the newest failover, plans that wait for approval, and who has approved")
    show.add_argument("service", nargs="?", metavar="SERVICE", help="only this service")
    show.add_argument("--plan", metavar="FILE|SHA256", help="this plan only, with every step")
    show.add_argument(
        "--approval", action="append", default=[], metavar="FILE", help="with --plan: an approval that is a file, too"
    )
    _add_guard(actions)
    add_lease_arguments(
        _action(actions, "lease", "renew the lease without which a primary is stopped; until told to end")
    )
    approve = _action(actions, "approve", "sign that a plan may run; shows it first, signs with --yes")
    withdraw = _action(actions, "withdraw", "take an approval back, for good; not once the failover has begun")
    for each in (approve, withdraw):
        each.add_argument("--plan", required=True, metavar="FILE|SHA256", help="the plan: its file or its whole hash")
        each.add_argument(
            "--key", required=True, metavar="FILE", help="your SSH key; its .pub file where an agent has the key"
        )
        each.add_argument("--as", dest="signer", metavar="NAME", help="who you are in the description's approvals")
        each.add_argument("--out", metavar="FILE", help="write it there, and not into the repositories")
        each.add_argument("--yes", action="store_true", help="you have read the plan: sign")


def _add_guard(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    guard = _action(actions, "guard", "whether a server may start as a primary: its status is 0, else 1")
    guard.add_argument("source", metavar="SERVICE/SOURCE", help="what it is the server of")
    guard.add_argument("--host", required=True, metavar="NAME", help="this host, as the inventory calls it")
    guard.add_argument(
        "--data-directory", default="", metavar="FOLDER", help="PostgreSQL's: a standby may always start"
    )
    guard.add_argument("--configuration-file", default="", metavar="FILE", help="the same of Redis")
    guard.add_argument(
        "--wait",
        type=float,
        default=60,
        metavar="SECONDS",
        help="how long repositories are asked that do not answer (60)",
    )
    guard.add_argument(
        "--alone", action="store_true", help="let it start where some did not answer and the others know of nothing"
    )


def failover(
    options: argparse.Namespace,
    printer: Printer,
    description: Description,
    storages: Storages,
) -> int:
    """What the action says."""
    if options.action == "show":
        return _show(options, printer, description, storages)
    if options.action == "guard":
        return _guard(options, printer, storages)
    if options.action == "lease":
        return hold_lease(options, printer, description)
    return _sign(options, printer, description, storages)


def _show(options: argparse.Namespace, printer: Printer, description: Description, storages: Storages) -> int:
    host = Host(journal=printer)
    if options.plan:
        service, plan = _plan(options.plan, description, storages)
        files = [_signed_file(path) for path in options.approval]
        verdict = _verdict(service, plan, storages, host=host, more=files)
        printer.result(f"{plan_text(plan)}\n\n{verdict_text(verdict)}")
        if verdict.missing:
            printer.result(f"To approve it: {approve_command(plan.fingerprint)}")
        printer.document({"plan": plan.as_dict(), "approvals": verdict.as_dict()})
        return 0
    if options.approval:
        raise RequestInvalid("--approval says something about one plan.", hint="Name it: --plan FILE|SHA256")
    documents = []
    for service in _services(options.service, description):
        run = newest_run(service.name, storages=storages)
        lines = [f"{service.name}: no failover so far"]
        if run is not None:
            last = run.entries[-1]
            lines = [
                f"{service.name}: {run.run} of {run.operator}, {last.event} {last.step}".rstrip() + f" at {last.at}"
            ]
        waiting = []
        for plan in waiting_plans(service.name, storages)[:_SHOWN]:
            if run is not None and run.is_open and run.plan.fingerprint == plan.fingerprint:
                continue
            verdict = _verdict(service, plan, storages, host=host)
            lines.append(f"\n{plan_text(plan)}\n{verdict_text(verdict)}")
            waiting.append({"plan": plan.as_dict(), "approvals": verdict.as_dict()})
        if not waiting:
            lines.append("  No plan waits for approval.")
        printer.result("\n".join(lines))
        documents.append({"service": service.name, "failover": run.as_dict() if run else None, "waiting": waiting})
    printer.document({"services": documents})
    return 0


def _guard(options: argparse.Namespace, printer: Printer, storages: Storages) -> int:
    service, _slash, source = options.source.partition("/")
    if not source:
        raise RequestInvalid(f"{options.source} names no source.", hint="Write SERVICE/SOURCE.")
    if is_standby(data_directory=options.data_directory, configuration_file=options.configuration_file):
        said = Guarded(may_start=True, why=f"it starts as a standby of {options.source}")
    else:
        request = GuardRequest(
            service=service, source=source, host=options.host, wait=options.wait, alone=options.alone
        )
        said = guard(request, storages=storages, clock=Host(journal=printer).clock)
    printer.result(f"{'May' if said.may_start else 'MUST NOT'} start: {said.why}.")
    printer.document(said.as_dict())
    return 0 if said.may_start else 1


def _sign(options: argparse.Namespace, printer: Printer, description: Description, storages: Storages) -> int:
    host = Host(journal=printer)
    says = APPROVE if options.action == "approve" else WITHDRAW
    service, plan = _plan(options.plan, description, storages)
    policy = policy_from(service.surroundings.get("approvals"))
    if policy is None:
        raise RequestInvalid(
            f"Nobody must approve failovers of {service.name}: the description has no approvals for it.",
            hint="Add approvals to the service (docs/approvals.md), or run the plan as it is.",
        )
    name = options.signer or signer_of_key(options.key, policy, runner=host.runner)
    if policy.signer(name) is None:
        raise FailoverKeyUnusable(
            f"{name} is nobody who may approve for {service.name}.",
            hint=f"There are: {', '.join(one.name for one in policy.signers)}.",
        )
    printer.result(plan_text(plan))
    now = host.clock.now().replace(microsecond=0)
    until = format_time(now + policy.valid_for) if says == APPROVE else ""
    if not options.yes:
        again = _again(options)
        printer.result(f"\nNothing was signed. To {says} it as {name}{f', until {until}' if until else ''}: {again}")
        printer.document({"plan": plan.as_dict(), "signer": name, "says": says, "signed": False})
        return 0
    statement = statement_about(plan, says=says, signer=name, made=format_time(now), until=until)
    signed = sign(statement, key=options.key, runner=host.runner)
    _require_counted(signed, plan, policy, host=host)
    if options.out:
        _write(options.out, signed)
        where: t.Sequence[str] = [options.out]
        verdict = None
    else:
        stored = put_signed(signed, storages)
        for repository, error in stored.problems.items():
            printer.warning(f"{repository} has not got it: {error.message} [{error.code}]")
        where = stored.repositories
        verdict = _verdict(service, plan, storages, host=host)
    printer.result(f"\nSigned by {name}, kept in {', '.join(where)}.")
    if verdict is not None:
        printer.result(verdict_text(verdict))
    printer.document(
        {
            "plan": plan.as_dict(),
            "signer": name,
            "says": says,
            "signed": True,
            "where": list(where),
            "approval": signed.as_dict(),
            "approvals": verdict.as_dict() if verdict else None,
        }
    )
    return 0


def _again(options: argparse.Namespace) -> str:
    words = ["lifeboat", "failover", options.action]
    for name, value in (("plan", options.plan), ("key", options.key), ("as", options.signer), ("out", options.out)):
        words += [f"--{name}", value] if value else []
    return shlex.join([*words, "--yes"])


def _require_counted(signed: Signed, plan: FailoverPlan, policy: Policy, *, host: Host) -> None:
    """What would not count is not kept: it is found out here, by the one who can mend it."""
    alone = judge(plan, policy, [signed], verify=verifier(host.runner), now=host.clock.now())
    if alone.refused:
        raise FailoverKeyUnusable(
            f"Nothing was kept: {'; '.join(alone.refused)}.",
            hint="Sign with the key that the description has for you, and look at the clock of this host.",
        )


def _verdict(
    service: Service,
    plan: FailoverPlan,
    storages: Storages,
    *,
    host: Host,
    more: t.Sequence[Signed] = (),
) -> Verdict:
    given = read_given(service.name, plan.fingerprint, storages)
    for repository, error in given.problems.items():
        host.journal.warning(f"{repository} could not be read: {error.message} [{error.code}]")
    for message in given.unreadable:
        host.journal.warning(message)
    return judge(
        plan,
        policy_from(service.surroundings.get("approvals")),
        [*given.signed, *more],
        verify=verifier(host.runner),
        now=host.clock.now(),
    )


def _plan(wanted: str, description: Description, storages: Storages) -> tuple[Service, FailoverPlan]:
    if os.path.isfile(wanted):
        plan = _plan_file(wanted)
        found = [one for one in description.services if one.name == plan.service]
        if not found:
            raise FailoverPlanInvalid(
                f"The plan is about {plan.service}, and the description has no such service.",
                hint="Give the description that it was made with: lifeboat --config FILE failover ...",
            )
        return found[0], plan
    if not is_sha256(wanted):
        raise RequestInvalid(
            f"--plan {wanted}: there is no such file, and it is not the whole SHA-256 of a plan.",
            hint="See which plans wait: lifeboat failover show",
        )
    errors: list[LifeboatError] = []
    for service in description.services:
        try:
            return service, read_plan(service.name, wanted, storages)
        except LifeboatError as error:
            errors.append(error)
    raise errors[0] if errors else RequestInvalid("The description has no services.", hint="Give --config FILE.")


def _plan_file(path: str) -> FailoverPlan:
    try:
        with open(path, "rb") as file:
            return parse_plan(json.loads(file.read(_LARGEST)))
    except (OSError, ValueError) as error:
        raise FailoverPlanInvalid(
            f"The plan {path} can't be read: {error}.", hint="Give the file as the playbook wrote it."
        ) from error


def _signed_file(path: str) -> Signed:
    try:
        with open(path, "rb") as file:
            return parse_signed(file.read(_LARGEST), where=path)
    except OSError as error:
        raise RequestInvalid(f"--approval {path}: {error.strerror}.", hint="Give the file of --out.") from error


def _write(path: str, signed: Signed) -> None:
    try:
        with open(path, "xb") as file:
            file.write(signed.as_bytes())
    except OSError as error:
        raise OutputUnwritable(
            f"--out {path}: {error.strerror}. Nothing was kept.", hint="Give the name of a new file."
        ) from error


def _services(only: str | None, description: Description) -> t.Sequence[Service]:
    found = [one for one in description.services if only in (None, one.name)]
    if not found:
        there = ", ".join(one.name for one in description.services)
        raise RequestInvalid(f"The description has no service {only}.", hint=f"There are: {there}.")
    return found


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, purpose: str
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
    # Not the default: the one of the command above, given before the action, would be overwritten.
    action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
    return action
