# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan of a failover and what people sign about it."""

from __future__ import annotations

import base64
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.approval import (
    APPROVE,
    WITHDRAW,
    Signed,
    Statement,
    statement_about,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import (
    FENCE,
    PROMOTE,
    FailoverPlan,
    PlanStep,
)


def plan_of(
    service: str = "family", *, what: str = "Promote it.", kind: str = "promote-standby", **facts: t.Any
) -> FailoverPlan:
    """A plan of two steps; another *what* is another plan."""
    return FailoverPlan(
        kind=kind,
        service=service,
        source="main",
        chosen="hot",
        made="2026-11-21T02:00:00Z",
        facts={"accepted": {"data_loss": False}, "timeline": 1, "ranking": [], **facts},
        steps=(
            PlanStep(name="fence", kind=FENCE, on="old", what="Fence it."),
            PlanStep(name="promote", kind=PROMOTE, on="new", what=what, irreversible=True),
        ),
    )


PLAN = plan_of()


def public_key(person: str) -> str:
    """The line of a .pub file that has the form of one, and belongs to *person* and nobody else."""
    parts = (b"ssh-ed25519", person.encode().ljust(32, b"."))
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def armour(text: str) -> str:
    """What has the form of a signature, and none in it."""
    return f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(text.encode()).decode()}\n-----END SSH SIGNATURE-----\n"


def said(
    signer: str,
    plan: FailoverPlan = PLAN,
    *,
    made: str = "2026-11-21T01:00:00Z",
    until: str = "2026-11-21T05:00:00Z",
    by: str | None = None,
    **changes: t.Any,
) -> Signed:
    """What *signer* says about *plan*, signed by *by* (else by the one that it says)."""
    given = statement_about(plan, says=APPROVE, signer=signer, made=made, until=until)
    statement = Statement(**{**vars(given), **changes})
    return Signed(statement=statement, signature=armour(by or signer))


def withdrawn(
    signer: str, plan: FailoverPlan = PLAN, *, made: str = "2026-11-21T01:30:00Z", by: str | None = None
) -> Signed:
    """That *signer* takes it back."""
    return said(signer, plan, made=made, until="", says=WITHDRAW, by=by)
