# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of a failover: nobody changes it unseen, two never both go on, a repository that was down catches up."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    FailoverLedgerInvalid,
    FailoverNotRecorded,
    FailoverOvertaken,
    FailoverPlanInvalid,
    FailoverRefused,
    FailoverRunning,
    FailoverRunUnknown,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover import ledger as ledgers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.entry import CLOSED, DONE, INTENDED
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.ledger import Ledger
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import (
    FENCE,
    PROMOTE,
    FailoverPlan,
    PlanStep,
    parse_plan,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from tests.support.clocks import FakeClock
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage

PLAN = FailoverPlan(
    kind="promote-standby",
    service="adhd",
    source="main",
    chosen="hot",
    made="2026-11-21T02:00:00Z",
    facts={"timeline": 1},
    steps=(
        PlanStep(name="fence", kind=FENCE, on="old", what="Fence it."),
        PlanStep(name="promote", kind=PROMOTE, on="new", what="Promote it.", irreversible=True),
    ),
)


class Repository(MemoryStorage):
    """One that can be switched off."""

    is_down = False

    def list(self, prefix: str = "") -> t.Any:
        self._answer()
        return super().list(prefix)

    def list_folders(self, prefix: str = "") -> t.Iterator[str]:
        self._answer()
        return super().list_folders(prefix)

    def get(self, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
        self._answer()
        return super().get(key, limit=limit)

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
        self._answer()
        return super().put(key, data, if_absent=if_absent)

    def _answer(self) -> None:
        if self.is_down:
            unreachable()


@pytest.fixture
def storages() -> dict[str, Repository]:
    return {"local": Repository(), "offsite": Repository()}


def begin(storages: t.Mapping[str, Storage], *, operator: str = "ada") -> Ledger:
    return ledgers.begin(PLAN, operator=operator, host="desk", storages=storages, clock=FakeClock(), data={})


def note(storages: t.Mapping[str, Storage], ledger: Ledger, event: str, step: str = "", **data: t.Any) -> Ledger:
    return ledgers.note(
        "adhd",
        ledger.run,
        session=ledger.operator.session,
        event=event,
        step=step,
        data=data,
        storages=storages,
        clock=FakeClock(),
    )


def resume(storages: t.Mapping[str, Storage], *, operator: str = "grace") -> Ledger:
    return ledgers.resume("adhd", "run-0001", operator=operator, host="sofa", storages=storages, clock=FakeClock())


def stored(storage: MemoryStorage) -> list[str]:
    return [one.key for one in storage.list()]


def test_each_entry_names_the_one_before_it_and_lies_in_every_repository(storages: dict[str, Repository]) -> None:
    ledger = begin(storages)
    note(storages, ledger, INTENDED, "fence")
    ledger = note(storages, ledger, DONE, "fence", proven=True)
    assert stored(storages["local"]) == [f"adhd/.failover/run-0001/000{number}.json" for number in range(3)]
    assert stored(storages["local"]) == stored(storages["offsite"])
    assert ledger.entries[2].previous == ledger.entries[1].sha256
    assert ledger.finished == {"fence": {"proven": True}}
    assert ledger.plan == PLAN
    note(storages, ledger, INTENDED, "promote")
    assert ledgers.read_run("adhd", "run-0001", storages=storages).intended == ("promote",)


def test_the_intent_of_the_step_that_follows_at_once_is_noted_with_the_result(storages: dict[str, Repository]) -> None:
    ledger = begin(storages)
    note(storages, ledger, INTENDED, "fence")

    def done(begins: str) -> Ledger:
        return ledgers.note(
            "adhd",
            ledger.run,
            session=ledger.operator.session,
            event=DONE,
            step="fence",
            data={"proven": True},
            storages=storages,
            clock=FakeClock(),
            begins=begins,
        )

    with pytest.raises(FailoverPlanInvalid):
        done("dance")
    for _turn in range(2):  # the answer to the first one was lost
        told = done("promote")
        assert [(one.event, one.step) for one in told.entries[2:]] == [(DONE, "fence"), (INTENDED, "promote")]
    assert told.finished == {"fence": {"proven": True}}
    assert told.intended == ("promote",)
    assert len(stored(storages["offsite"])) == 4


def test_a_second_operator_is_told_who_has_it_open_since_when(storages: dict[str, Repository]) -> None:
    ledger = begin(storages)
    note(storages, ledger, INTENDED, "fence")
    with pytest.raises(FailoverRunning) as raised:
        begin(storages, operator="grace")
    for word in ("ada on desk", "run-0001", "2026-11-21T02:00:00Z", "intended fence"):
        assert word in raised.value.message
    assert "lifeboat_resume=run-0001" in raised.value.hint
    assert raised.value.exit_status == 4


def test_of_two_who_begin_at_once_one_gets_it(storages: dict[str, Repository], monkeypatch: pytest.MonkeyPatch) -> None:
    # Grace looks before Ada has written anything, and writes after.
    monkeypatch.setattr(ledgers, "newest_run", lambda *_arguments, **_named: None)
    ledger = begin(storages)
    with pytest.raises(FailoverRunning, match="ada on desk wrote entry 0"):
        begin(storages, operator="grace")
    assert note(storages, ledger, INTENDED, "fence").operator.name == "ada"


def test_one_who_wins_in_the_second_repository_only_leaves_nothing_open(
    storages: dict[str, Repository], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "newest_run", lambda *_arguments, **_named: None)
    ada = begin({"offsite": storages["offsite"]})
    with pytest.raises(FailoverRunning):
        begin(storages, operator="grace")  # takes the folder first, then meets Ada in the bucket
    monkeypatch.undo()
    newest = ledgers.newest_run("adhd", storages=storages)
    assert newest is not None
    assert newest.operator == ada.operator


def test_whoever_was_resumed_upon_writes_nothing_more(storages: dict[str, Repository]) -> None:
    ada = begin(storages)
    note(storages, ada, INTENDED, "fence")
    grace = resume(storages)
    with pytest.raises(FailoverOvertaken, match="taken over by grace on sofa"):
        note(storages, ada, DONE, "fence")
    assert note(storages, grace, DONE, "fence").finished == {"fence": {}}


def test_of_two_who_write_the_same_number_one_gets_it(storages: dict[str, Repository]) -> None:
    ledger = begin(storages)
    before = ledgers.read_run("adhd", ledger.run, storages=storages)
    note(storages, ledger, INTENDED, "fence")
    with pytest.raises(FailoverOvertaken, match="entry 1"):
        ledgers._append(
            before, event=INTENDED, by=ledger.operator, storages=storages, clock=FakeClock(), step="promote", data={}
        )


def test_an_entry_that_was_changed_ends_it(storages: dict[str, Repository]) -> None:
    ledger = begin(storages)
    note(storages, ledger, INTENDED, "fence")
    note(storages, ledger, DONE, "fence", proven=False)
    key = "adhd/.failover/run-0001/0002.json"
    document = json.loads(storages["local"].get(key))
    document["data"]["proven"] = True
    storages["local"].put(key, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode(), if_absent=False)
    with pytest.raises(FailoverLedgerInvalid, match="two different ledgers"):
        resume(storages)
    storages["local"].put(key, json.dumps(document).encode(), if_absent=False)
    with pytest.raises(FailoverLedgerInvalid, match="written anew"):
        resume(storages)


def test_an_earlier_entry_that_was_changed_or_taken_away_ends_it(storages: dict[str, Repository]) -> None:
    only = {"local": storages["local"]}
    ledger = begin(only)
    note(only, ledger, INTENDED, "fence")
    note(only, ledger, DONE, "fence")
    key = "adhd/.failover/run-0001/0001.json"
    data = only["local"].get(key)
    only["local"].put(key, data.replace(b'"fence"', b'"promote"'), if_absent=False)
    with pytest.raises(FailoverLedgerInvalid, match=r"broken at .*0002"):
        resume(only)
    only["local"].delete([key])
    with pytest.raises(FailoverLedgerInvalid, match=r"broken at .*0002"):
        resume(only)


def test_a_repository_that_was_down_gets_what_it_lacks(storages: dict[str, Repository]) -> None:
    storages["offsite"].is_down = True
    ledger = begin(storages)
    assert list(ledger.problems) == ["offsite"]
    note(storages, ledger, INTENDED, "fence")
    storages["offsite"].is_down = False
    ledger = note(storages, ledger, DONE, "fence")
    assert ledger.problems == {}
    assert stored(storages["offsite"]) == stored(storages["local"])
    storages["local"].is_down = True
    assert resume(storages).finished == {"fence": {}}


def test_no_repository_means_no_step(storages: dict[str, Repository]) -> None:
    ledger = begin(storages)
    full = {name: Full.of(one) for name, one in storages.items()}
    with pytest.raises(FailoverNotRecorded):
        note(full, ledger, INTENDED, "fence")
    assert ledgers.read_run("adhd", ledger.run, storages=storages).intended == ()


class Full(Repository):
    """It can be read, and takes nothing."""

    @classmethod
    def of(cls, other: Repository) -> Full:
        one = cls()
        one._objects = other._objects
        return one

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
        unreachable()


def test_a_finished_step_is_not_noted_twice_and_an_unknown_one_not_at_all(storages: dict[str, Repository]) -> None:
    ledger = begin(storages)
    note(storages, ledger, DONE, "fence", proven=True)
    assert note(storages, ledger, DONE, "fence", proven=False).finished == {"fence": {"proven": True}}
    assert len(note(storages, ledger, INTENDED, "fence").entries) == 2
    with pytest.raises(FailoverPlanInvalid, match="no step 'dns'"):
        note(storages, ledger, INTENDED, "dns")


def test_after_its_end_the_next_one_has_the_next_number(storages: dict[str, Repository]) -> None:
    ledger = begin(storages)
    note(storages, ledger, CLOSED, state="complete")
    assert note(storages, ledger, CLOSED).is_open is False
    with pytest.raises(FailoverRefused, match="has ended: closed"):
        resume(storages)
    assert begin(storages, operator="grace").run == "run-0002"


def test_a_run_that_nobody_opened_is_unknown(storages: dict[str, Repository]) -> None:
    with pytest.raises(FailoverRunUnknown):
        resume(storages)
    with pytest.raises(FailoverRunUnknown):
        ledgers.read_run("adhd", "../x", storages=storages)
    assert ledgers.newest_run("adhd", storages=storages) is None


def test_a_plan_that_was_changed_is_not_run(storages: dict[str, Repository]) -> None:
    document = PLAN.as_dict()
    assert parse_plan(document) == PLAN
    document["chosen"] = "other"
    with pytest.raises(FailoverPlanInvalid, match="fingerprint"):
        parse_plan(document)
    twice = FailoverPlan(**{**PLAN.__dict__, "steps": (PLAN.steps[0], PLAN.steps[0])})
    with pytest.raises(FailoverPlanInvalid, match="two of one name"):
        parse_plan(twice.as_dict())


def test_repositories_that_can_not_be_read_are_told_with_the_reason(storages: dict[str, Repository]) -> None:
    begin(storages)
    assert ledgers.silent_storages("adhd", storages=storages) == {}
    storages["offsite"].is_down = True
    silent = ledgers.silent_storages("adhd", storages=storages)
    assert list(silent) == ["offsite"]
    assert silent["offsite"].message
