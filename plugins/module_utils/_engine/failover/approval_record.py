# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ledger keeps of approvals: whether the plan that runs is the one that was approved, asked anew. Pure."""

from __future__ import annotations

import typing as t

from ..core.clock import parse_time
from ..core.errors import FailoverNotApproved
from .approval import Json, parse_signed
from .approval_rules import Policy, Verdict, Verify, judge
from .ledger import APPROVAL, Ledger
from .plan import FailoverPlan


def judge_recorded(
    plan: FailoverPlan, policy: Policy | None, ledger: Ledger, *, verify: Verify, drill: bool
) -> Verdict:
    """Whether the failover of *ledger* was opened with enough approvals of *plan*, as of the moment when it was.

    An approval that has expired since, or was withdrawn, does not stop a failover half-way: that would leave a service
    between two regions. Raises FailoverNotApproved when the ledger is about another plan.
    """
    if ledger.plan.fingerprint != plan.fingerprint:
        raise FailoverNotApproved(
            f"{ledger.run} is about the plan {ledger.plan.fingerprint}, and this one is {plan.fingerprint}.",
            hint="What was approved is what runs: go on with the plan of the ledger.",
            details={"run": ledger.run},
        )
    recorded: Json = ledger.entries[0].data.get(APPROVAL) or {}
    opened = parse_time(ledger.entries[0].at)
    statements: t.Sequence[t.Any] = recorded.get("statements") or ()
    given = [parse_signed(one, where=ledger.run) for one in statements]
    return judge(plan, policy, given, verify=verify, now=opened, at=opened, drill=drill)
