# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""N of M: who counts, who counts once, and why everything else counts for nothing."""

from __future__ import annotations

import base64
import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    FailoverApprovalInvalid,
    FailoverNotApproved,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover import ledger as ledgers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.approval import Signed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.approval_record import judge_recorded
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.approval_rules import (
    Policy,
    Signer,
    Verdict,
    judge,
    policy_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import FailoverPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.approvals import (
    missing_text,
    plan_text,
    verdict_text,
)
from tests.support.approvals import PLAN, plan_of, public_key, said, withdrawn
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage

NOW = parse_time("2026-11-21T02:00:00Z")
DESCRIBED: dict[str, t.Any] = {
    "needed": 2,
    "signers": [{"name": name, "key": public_key(name)} for name in ("ada", "grace", "linus")],
}


def policy_of(**changes: t.Any) -> Policy:
    policy = policy_from({**DESCRIBED, **changes})
    assert policy is not None
    return policy


def verify(signed: Signed, signer: Signer, *, revoked_keys: str, at: datetime.datetime | None) -> str:
    """As ssh-keygen would: what has the form of a signature holds the name of whoever made it."""
    maker = base64.b64decode(signed.signature.splitlines()[1]).decode()
    if not signer.key.endswith(public_key(maker).split()[1]) and maker not in signer.allowed_signers.split():
        raise FailoverApprovalInvalid(f"that is {maker}'s", hint="")
    return f"SHA256:{maker}"


def judged(
    *given: Signed,
    plan: FailoverPlan = PLAN,
    policy: Policy | None = None,
    now: datetime.datetime = NOW,
    drill: bool = False,
) -> Verdict:
    return judge(plan, policy or policy_of(), given, verify=verify, now=now, drill=drill)


def test_two_of_three_are_enough_and_the_third_may_be_silent() -> None:
    verdict = judged(said("ada"), said("linus", until="2026-11-21T04:30:00Z"))
    assert (verdict.missing, verdict.refused, verdict.waiting) == (0, (), ("grace",))
    assert [one.signed.statement.signer for one in verdict.counted] == ["ada", "linus"]
    assert verdict.until == "2026-11-21T04:30:00Z", "there are two only as long as both hold"
    assert "Enough, until 2026-11-21T04:30:00Z." in verdict_text(verdict)


def test_more_than_enough_hold_as_long_as_enough_of_them_do() -> None:
    ends = {"ada": "2026-11-21T03:00:00Z", "grace": "2026-11-21T05:00:00Z", "linus": "2026-11-21T04:00:00Z"}
    assert judged(*(said(name, until=until) for name, until in ends.items())).until == "2026-11-21T04:00:00Z"


def test_one_is_not_enough_and_who_may_still_is_named() -> None:
    verdict = judged(said("ada"))
    assert (verdict.missing, verdict.until) == (1, None)
    assert missing_text(verdict) == "1 approval is missing; grace and linus may give it."
    assert missing_text(judged()) == "2 approvals are missing; ada, grace and linus may give them."


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        (said("mallory"), "mallory is nobody who may approve for family"),
        (said("grace", plan_of("shop")), "it is about the service shop"),
        (said("grace", service="shop"), "it is about the service shop"),
        (said("grace", plan_of(what="Promote another.")), "it is about another plan"),
        (said("grace", plan_sha256=PLAN.fingerprint[:-1] + "x"), "it is about another plan"),
        (said("grace", plan_sha256=PLAN.fingerprint[:16]), "it is about another plan"),
        (said("grace", plan_sha256=""), "it is about another plan"),
        (said("grace", plan_sha256=PLAN.fingerprint.upper()), "it is about another plan"),
        (said("grace", kind="move-region"), "it is about a plan of the kind move-region"),
        (said("grace", by="mallory"), "that is mallory's"),
        (said("grace", by="ada"), "that is ada's"),
        (said("grace", until="2026-11-21T02:00:00Z"), "it has expired at 2026-11-21T02:00:00Z"),
        (said("grace", made="2026-11-20T20:00:00Z", until="2026-11-21T00:00:00Z"), "it has expired at"),
        (said("grace", until="2026-11-21T05:00:01Z"), "hold for longer than the description allows"),
        (said("grace", until="9999-12-31T23:59:59Z"), "hold for longer than the description allows"),
        (said("grace", made="2020-01-01T00:00:00Z"), "hold for longer than the description allows"),
        (said("grace", made="2026-11-21T02:05:01Z"), "a clock is wrong"),
        (withdrawn("grace", by="mallory"), "that is mallory's"),
    ],
)
def test_what_does_not_count_says_why(signed: Signed, reason: str) -> None:
    verdict = judged(said("ada"), signed)
    assert [one.signed.statement.signer for one in verdict.counted] == ["ada"]
    (refused,) = verdict.refused
    assert reason in refused
    assert signed.statement.signer in refused.split(" does not count: ")[0]
    assert verdict.missing == 1


def test_a_little_difference_of_clocks_is_none() -> None:
    assert judged(said("ada", made="2026-11-21T02:05:00Z")).refused == ()


def test_the_same_person_twice_is_one_person() -> None:
    verdict = judged(said("ada"), said("ada", until="2026-11-21T04:00:00Z"), said("ada"))
    assert (len(verdict.counted), verdict.missing) == (1, 1)
    assert verdict.counted[0].signed.statement.until == "2026-11-21T05:00:00Z"


def test_the_same_person_with_two_keys_is_one_person() -> None:
    keys = [{"name": "ada", "allowed_signers": "ada laptop"}, {"name": "grace", "key": public_key("grace")}]
    verdict = judged(said("ada"), said("ada", by="laptop"), policy=policy_of(signers=keys))
    assert (len(verdict.counted), verdict.missing, verdict.refused) == (1, 1, ())


def test_the_same_key_under_two_names_is_one_person() -> None:
    files = [{"name": name, "allowed_signers": "ada"} for name in ("ada", "other")]
    verdict = judged(said("ada"), said("other", by="ada"), policy=policy_of(signers=files))
    assert (len(verdict.counted), verdict.missing) == (1, 1)
    assert "who approves twice is still one person" in verdict.refused[0]


def test_what_was_withdrawn_does_not_count_and_what_was_signed_after_that_does() -> None:
    before = judged(said("ada"), said("grace"), withdrawn("grace"))
    assert before.missing == 1
    assert "grace withdrew it at 2026-11-21T01:30:00Z" in before.refused[0]
    after = said("grace", made="2026-11-21T01:31:00Z")
    assert judged(said("ada"), said("grace"), withdrawn("grace"), after).missing == 0
    late = withdrawn("grace", made="2026-11-21T03:00:00Z")
    assert judged(said("ada"), said("grace"), after, late).missing == 1, "a clock that is wrong takes nothing back"


def test_nobody_withdraws_what_another_has_signed() -> None:
    verdict = judged(said("ada"), said("grace"), withdrawn("grace", by="mallory"), withdrawn("linus"))
    assert verdict.missing == 0
    assert len(verdict.refused) == 1


def test_a_withdrawal_of_another_plan_takes_nothing_back() -> None:
    assert judged(said("ada"), said("grace"), withdrawn("grace", plan_of(what="Other."))).missing == 0


def test_nobody_must_approve_where_nothing_says_so_and_in_drills() -> None:
    nothing = judge(PLAN, None, [], verify=verify, now=NOW)
    assert (nothing.needed, nothing.missing, nothing.waiting) == (0, 0, ())
    assert verdict_text(nothing) == "No approval is needed."
    assert judged(drill=True).missing == 0
    assert judged(drill=True, policy=policy_of(drill="same")).missing == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"needed": 4},
        {"needed": 0},
        {"needed": "two"},
        {"signers": []},
        {"signers": [{"name": "ada"}]},
        {"signers": [{"name": "ada", "key": public_key("ada"), "allowed_signers": "/x"}], "needed": 1},
        {"signers": [{"name": "ada", "key": public_key("ada")}] * 2},
        {"signers": [{"name": "../ada", "key": public_key("ada")}], "needed": 1},
        {"signers": [{"name": "ada", "key": "ssh-ed25519 AAAA\nmallory ssh-ed25519 AAAA"}], "needed": 1},
        {"drill": "perhaps"},
    ],
)
def test_a_policy_that_nobody_can_mean_stops_everything(changes: dict[str, t.Any]) -> None:
    with pytest.raises(RequestInvalid):
        policy_from({**DESCRIBED, **changes})


def open_ledger(plan: FailoverPlan, verdict: Verdict) -> ledgers.Ledger:
    return ledgers.begin(
        plan,
        operator="ada",
        host="desk",
        storages={"local": MemoryStorage()},
        clock=FakeClock(),
        data={ledgers.APPROVAL: verdict.as_record()},
    )


def test_the_ledger_keeps_who_approved_and_is_asked_again_as_of_its_beginning() -> None:
    ledger = open_ledger(PLAN, judged(said("ada"), said("grace")))
    again = judge_recorded(PLAN, policy_of(), ledger, verify=verify, drill=False)
    assert again.missing == 0
    assert again.at == ledger.entries[0].at, "what has expired since does not stop it half-way"


def test_a_ledger_that_was_opened_with_too_few_is_not_gone_on_with() -> None:
    ledger = open_ledger(PLAN, judged(said("ada")))
    assert judge_recorded(PLAN, policy_of(), ledger, verify=verify, drill=False).missing == 1
    assert judge_recorded(PLAN, None, ledger, verify=verify, drill=False).missing == 0


def test_what_was_approved_is_what_runs() -> None:
    other = plan_of(what="Promote another.")
    with pytest.raises(FailoverNotApproved, match="was approved, and this one is"):
        open_ledger(other, judged(said("ada"), said("grace")))
    ledger = open_ledger(PLAN, judged(said("ada"), said("grace")))
    with pytest.raises(FailoverNotApproved, match="is about the plan"):
        judge_recorded(other, policy_of(), ledger, verify=verify, drill=False)


def test_the_plan_in_words_hides_nothing() -> None:
    ranking = [{"name": "hot", "statement": "up to 4 s are lost"}, {"name": "cold", "statement": "a day is lost"}]
    text = plan_text(plan_of(what="Promote\x1b[2K it\u202e.", accepted={"data_loss": True}, ranking=ranking))
    assert "  2. Promote?[2K it?. (on new, no way back but a restore)" in text
    assert "Accepted beforehand: data loss" in text
    assert "hot: up to 4 s are lost" in text
    assert "a day" not in text
