# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether enough people have approved a plan. Pure: who may is the description's, who did is told, time is given."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time, parse_time
from ..core.description.duration import parse_duration
from ..core.errors import FailoverApprovalInvalid, RequestInvalid
from ..core.ids import is_name
from ..core.ssh_keys import parse_public_key
from .approval import APPROVE, WITHDRAW, Json, Signed
from .plan import FailoverPlan, digest

#: How far the clocks of the people who sign may be apart from that of the host that judges.
CLOCK_SKEW = datetime.timedelta(minutes=5)
VALID_FOR = "4h"
NONE, SAME = "none", "same"


@dataclass(frozen=True)
class Signer:
    """Somebody who may approve: by *key*, or under *principal* of the file *allowed_signers*."""

    name: str
    key: str = ""
    allowed_signers: str = ""
    principal: str = ""


@dataclass(frozen=True)
class Policy:
    """How many of whom must approve. *revoked_keys* is a file; *drill* says whether a drill needs it, too."""

    needed: int
    signers: tuple[Signer, ...]
    valid_for: datetime.timedelta
    drill: str = NONE
    revoked_keys: str = ""
    sha256: str = ""

    def signer(self, name: str) -> Signer | None:
        """The one of that name."""
        return next((one for one in self.signers if one.name == name), None)


class Verify(t.Protocol):
    """Asks whether a signature is that of a signer, at a time; None: now."""

    def __call__(self, signed: Signed, signer: Signer, *, revoked_keys: str, at: datetime.datetime | None) -> str:
        """The fingerprint of the key that signed. Raises FailoverApprovalInvalid."""


@dataclass(frozen=True)
class Counted:
    """An approval that counts, with the fingerprint of the key that signed it."""

    signed: Signed
    fingerprint: str

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, without the signature."""
        statement = self.signed.statement
        return {
            "signer": statement.signer,
            "made": statement.made,
            "until": statement.until,
            "key": self.fingerprint,
        }


@dataclass(frozen=True)
class Verdict:
    """Who approved, and what is missing. *refused* has a sentence for each that does not count."""

    plan_sha256: str
    needed: int
    counted: tuple[Counted, ...]
    refused: tuple[str, ...]
    waiting: tuple[str, ...]
    policy_sha256: str
    at: str

    @property
    def missing(self) -> int:
        """How many approvals are missing."""
        return max(0, self.needed - len(self.counted))

    @property
    def until(self) -> str | None:
        """Until when there are enough; None: there are not, or none is needed."""
        if self.missing or not self.needed:
            return None
        ends = sorted((parse_time(one.signed.statement.until) for one in self.counted), reverse=True)
        return format_time(ends[self.needed - 1])

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "plan_sha256": self.plan_sha256,
            "needed": self.needed,
            "missing": self.missing,
            "approved": [one.as_dict() for one in self.counted],
            "refused": list(self.refused),
            "waiting": list(self.waiting),
            "until": self.until,
        }

    def as_record(self) -> dict[str, t.Any]:
        """What belongs into the first entry of the ledger: the signatures too, so that all can be asked again."""
        return {
            "plan_sha256": self.plan_sha256,
            "policy_sha256": self.policy_sha256,
            "needed": self.needed,
            "judged": self.at,
            "approved": [one.as_dict() for one in self.counted],
            "statements": [one.signed.as_dict() for one in self.counted],
        }


def policy_from(data: t.Any) -> Policy | None:
    """The ``approvals`` of a service; None when nobody must approve. Raises RequestInvalid for what can't be meant."""
    if not data:
        return None
    try:
        given = {key: value for key, value in dict(data).items() if value is not None}
        signers = tuple(_signer(one) for one in given["signers"])
        policy = Policy(
            needed=int(given["needed"]),
            signers=signers,
            valid_for=parse_duration(given.get("valid_for", VALID_FOR)),
            drill=str(given.get("drill", NONE)),
            revoked_keys=str(given.get("revoked_keys", "")),
            sha256=digest({**given, "signers": [vars(one) for one in signers]}),
        )
        if not 1 <= policy.needed <= len(signers):
            raise ValueError(f"{policy.needed} of {len(signers)} signers can't be needed")
        if len({one.name for one in signers}) != len(signers) or policy.drill not in (NONE, SAME):
            raise ValueError("a signer is named twice, or drill is neither none nor same")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestInvalid(
            f"Nobody can tell from these approvals who must approve: {error!s}.",
            hint="Take them from the description: docs/approvals.md",
        ) from error
    return policy


def judge(
    plan: FailoverPlan,
    policy: Policy | None,
    given: t.Sequence[Signed],
    *,
    verify: Verify,
    now: datetime.datetime,
    drill: bool = False,
    at: datetime.datetime | None = None,
) -> Verdict:
    """Who of *policy* has approved *plan* by *given*, as of *now*.

    *at* is a time in the past at which a ledger was opened: signatures are asked as of then. A person counts once,
    and so does a key. A withdrawal takes back whatever that person signed before it.
    """
    if policy is None or (drill and policy.drill == NONE):
        return _verdict(plan, policy, needed=0, counted=(), refused=(), now=now)
    refused: list[str] = []
    valid: list[Counted] = []
    for signed in sorted(set(given), key=lambda one: (one.statement.made, one.statement.signer, one.signature)):
        try:
            reason = next(_objections(signed, plan, policy, now=now), "")
            if reason:
                raise FailoverApprovalInvalid(reason)
            signer = policy.signer(signed.statement.signer) or Signer(name="")
            fingerprint = verify(signed, signer, revoked_keys=policy.revoked_keys, at=at)
        except FailoverApprovalInvalid as error:
            refused.append(_refusal(signed, error.message.rstrip(".")))
        else:
            valid.append(Counted(signed=signed, fingerprint=fingerprint))
    counted = _counted(valid, refused)
    return _verdict(plan, policy, needed=policy.needed, counted=counted, refused=tuple(refused), now=now)


def _counted(valid: t.Sequence[Counted], refused: list[str]) -> tuple[Counted, ...]:
    """Of those whose signature is right: each person once, each key once, and none that was withdrawn."""
    withdrawn: dict[str, str] = {}
    for one in valid:
        statement = one.signed.statement
        if statement.says == WITHDRAW:
            withdrawn[statement.signer] = max(statement.made, withdrawn.get(statement.signer, ""), key=_moment)
    counted: list[Counted] = []
    approvals = [one for one in valid if one.signed.statement.says == APPROVE]
    # Who approved again later has approved for longer.
    for one in sorted(approvals, key=lambda each: _moment(each.signed.statement.until), reverse=True):
        statement = one.signed.statement
        if _moment(withdrawn.get(statement.signer, "")) >= _moment(statement.made):
            when = withdrawn[statement.signer]
            refused.append(_refusal(one.signed, f"{statement.signer} withdrew it at {when}"))
            continue
        if any(other.signed.statement.signer == statement.signer for other in counted):
            continue
        same = next((other.signed.statement for other in counted if other.fingerprint == one.fingerprint), None)
        if same is not None:
            reason = f"the key is that of {same.signer}, and who approves twice is still one person"
            refused.append(_refusal(one.signed, reason))
            continue
        counted.append(one)
    return tuple(counted)


def _objections(signed: Signed, plan: FailoverPlan, policy: Policy, *, now: datetime.datetime) -> t.Iterator[str]:
    """Why it can't count, whatever its signature."""
    statement = signed.statement
    if policy.signer(statement.signer) is None:
        yield f"{statement.signer} is nobody who may approve for {plan.service}"
    if statement.service != plan.service:
        yield f"it is about the service {statement.service}"
    if statement.plan_sha256 != plan.fingerprint:
        yield f"it is about another plan, {statement.plan_sha256}"
    if statement.kind != plan.kind:
        yield f"it is about a plan of the kind {statement.kind}"
    if statement.says == WITHDRAW:
        return  # it holds, whatever a clock says
    made, until = parse_time(statement.made), parse_time(statement.until)
    if made > now + CLOCK_SKEW:
        yield f"it was made at {statement.made}, and here it is {format_time(now)}: a clock is wrong"
    if until <= now:
        yield f"it has expired at {statement.until}"
    if until - made > policy.valid_for:
        yield "it is to hold for longer than the description allows"


def _moment(text: str) -> datetime.datetime:
    return parse_time(text) if text else datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)


def _verdict(
    plan: FailoverPlan,
    policy: Policy | None,
    *,
    needed: int,
    counted: tuple[Counted, ...],
    refused: tuple[str, ...],
    now: datetime.datetime,
) -> Verdict:
    there = {one.signed.statement.signer for one in counted}
    waiting = [one.name for one in (policy.signers if policy and needed else ()) if one.name not in there]
    return Verdict(
        plan_sha256=plan.fingerprint,
        needed=needed,
        counted=counted,
        refused=refused,
        waiting=tuple(waiting),
        policy_sha256=policy.sha256 if policy else "",
        at=format_time(now),
    )


def _refusal(signed: Signed, reason: str) -> str:
    what = "The withdrawal" if signed.statement.says == WITHDRAW else "The approval"
    where = f" ({signed.where})" if signed.where else ""
    return f"{what} of {signed.statement.signer}{where} does not count: {reason}"


def _signer(data: Json) -> Signer:
    signer = Signer(
        name=str(data["name"]),
        key=str(parse_public_key(data["key"])) if data.get("key") else "",
        allowed_signers=str(data.get("allowed_signers") or ""),
        principal=str(data.get("principal") or data["name"]),
    )
    if not is_name(signer.name) or bool(signer.key) == bool(signer.allowed_signers):
        raise ValueError(f"{signer.name[:63]!r} has no name, or neither a key nor a file")
    return signer
