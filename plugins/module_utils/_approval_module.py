# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module about approvals to the engine. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.core.errors import FailoverNotApproved
from ._engine.failover.approval import parse_signed
from ._engine.failover.approval_record import judge_recorded
from ._engine.failover.approval_rules import Verdict, judge, policy_from
from ._engine.failover.approval_store import put_plan, read_given, read_plan
from ._engine.failover.ledger import read_run
from ._engine.failover.plan import parse_plan
from ._engine.failover.ssh_signature import verifier
from ._engine.report.approvals import approve_command, missing_text, plan_text, verdict_text
from ._module import as_diff
from ._storages import storages_of

if t.TYPE_CHECKING:
    from ._engine.core.host import Host
    from ._engine.failover.plan import FailoverPlan
    from ._engine.storage.base import Storage

Options = t.Mapping[str, t.Any]


def approvals(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """Who has approved the plan. The plan is kept for those who are to approve it, unless there are enough."""
    storages = storages_of(options["repositories"], host=host)
    policy = policy_from(options.get("policy"))
    plan = _plan(options, storages)
    verify = verifier(host.runner)
    run = options.get("run")
    if run:
        ledger = read_run(plan.service, run, storages=storages)
        verdict = judge_recorded(plan, policy, ledger, verify=verify, drill=options["drill"])
    else:
        given = read_given(plan.service, plan.fingerprint, storages)
        for repository, error in given.problems.items():
            host.journal.warning(f"{repository} could not be read: {error.message} [{error.code}]")
        for message in given.unreadable:
            host.journal.warning(message)
        signed = [*given.signed, *(parse_signed(one, where="given") for one in options["given"])]
        verdict = judge(plan, policy, signed, verify=verify, now=host.clock.now(), drill=options["drill"])
    asked = False
    if verdict.missing and not run and not check:
        stored = put_plan(plan, storages)
        asked = bool(stored.added)
        for repository, error in stored.problems.items():
            host.journal.warning(f"{repository} has not got the plan: {error.message} [{error.code}]")
    if verdict.missing and options["required"]:
        raise _not_approved(plan, verdict, run=run)
    told = {
        "changed": asked,
        "plan": plan.as_dict(),
        "plan_sha256": plan.fingerprint,
        "approvals": verdict.as_dict(),
        "record": verdict.as_record(),
        "text": [*plan_text(plan).splitlines(), "", *verdict_text(verdict).splitlines()],
        "command": approve_command(plan.fingerprint) if verdict.missing else "",
    }
    return {**told, "diff": as_diff(f"the plan {plan.fingerprint} waits for approval")} if asked else told


def _plan(options: Options, storages: t.Mapping[str, Storage]) -> FailoverPlan:
    if options.get("plan") is not None:
        return parse_plan(options["plan"])
    return read_plan(options["service"], options["plan_sha256"], storages)


def _not_approved(plan: FailoverPlan, verdict: Verdict, *, run: str | None) -> FailoverNotApproved:
    why = "".join(f" {one}." for one in verdict.refused)
    where = f"{run} was opened with" if run else f"The plan {plan.fingerprint} has"
    return FailoverNotApproved(
        f"{where} {len(verdict.counted)} of {verdict.needed} approvals: {missing_text(verdict)}{why}",
        hint=f"Each of them: {approve_command(plan.fingerprint)}   Then run the very same plan.",
        details=verdict.as_dict(),
    )
