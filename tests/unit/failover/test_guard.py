# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server may start as a primary, by what the ledgers say: the one that was left must not."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover import ledger as ledgers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.entry import (
    ABANDONED,
    CLOSED,
    DONE,
    INTENDED,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.guard import (
    Guarded,
    GuardRequest,
    guard,
    is_standby,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import (
    FENCE,
    MOVE_REGION,
    PROMOTE,
    FailoverPlan,
    PlanStep,
)
from tests.support.clocks import FakeClock
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage


class Repository(MemoryStorage):
    """One that can be away; *turns* later it answers."""

    turns = 0

    def list_folders(self, prefix: str = "") -> t.Iterator[str]:
        if self.turns:
            self.turns -= 1
            unreachable()
        return super().list_folders(prefix)


@pytest.fixture
def storages() -> dict[str, Repository]:
    return {"north": Repository(), "south": Repository()}


def plan_to(host: str) -> FailoverPlan:
    shared: dict[str, t.Any] = {"what": "It.", "options": {"source": "main"}}
    return FailoverPlan(
        kind=MOVE_REGION,
        service="adhd",
        source="",
        chosen="elsewhere",
        made="2026-11-21T02:00:00Z",
        facts={},
        steps=(
            PlanStep(name="fence-main", kind=FENCE, on="any", **shared),
            PlanStep(name="promote-main", kind=PROMOTE, on=host, **shared),
        ),
    )


def move(storages: t.Mapping[str, MemoryStorage], *notes: tuple[str, str], to: str = "south1") -> None:
    """A failover with what was noted of it."""
    shared: dict[str, t.Any] = {"storages": storages, "clock": FakeClock()}
    ledger = ledgers.begin(plan_to(to), operator="ada", host="desk", data={}, **shared)
    for event, step in notes:
        session = ledger.operator.session
        ledgers.note("adhd", ledger.run, session=session, event=event, step=step, data={}, **shared)


FENCED = ((INTENDED, "fence-main"), (DONE, "fence-main"))
PROMOTED = (*FENCED, (INTENDED, "promote-main"), (DONE, "promote-main"), (CLOSED, ""))


def asked(
    storages: t.Mapping[str, MemoryStorage], *, host: str = "north1", source: str = "main", **more: t.Any
) -> Guarded:
    request = GuardRequest(service="adhd", source=source, host=host, **{"wait": 10, **more})
    return guard(request, storages=storages, clock=FakeClock())


def test_the_one_that_was_left_must_not_start_and_the_one_that_was_entered_may(storages: dict[str, Repository]) -> None:
    assert asked(storages).may_start
    move(storages, *PROMOTED)
    said = asked(storages)
    assert not said.may_start
    assert said.why.startswith("adhd/main was moved to south1 by run-0001 of ada on desk, which is closed since ")
    assert asked(storages, host="south1").may_start
    assert asked(storages, source="cache").may_start
    # And back: what happened last counts.
    move(storages, *PROMOTED, to="north1")
    assert asked(storages).may_start
    assert not asked(storages, host="south1").may_start


@pytest.mark.parametrize(
    ("notes", "may_start"),
    [
        ((), True),
        (FENCED[:1], False),
        (FENCED, False),
        ((*FENCED, (ABANDONED, "")), True),
        ((*FENCED, (INTENDED, "promote-main")), False),
        # Whether it was promoted is not known: it counts as if it was.
        ((*FENCED, (INTENDED, "promote-main"), (ABANDONED, "")), False),
    ],
)
def test_from_its_fencing_on_it_stays_where_it_is_and_what_came_to_nothing_is_nothing(
    storages: dict[str, Repository], notes: t.Sequence[tuple[str, str]], *, may_start: bool
) -> None:
    move(storages, *notes)
    assert asked(storages).may_start is may_start


def test_the_repository_that_was_away_with_it_is_not_believed_alone(storages: dict[str, Repository]) -> None:
    move({"south": storages["south"]}, *PROMOTED)
    storages["south"].turns = 2
    assert not asked(storages).may_start, "it waited for the other one"
    storages["south"].turns = 1000
    said = asked(storages)
    assert not said.may_start
    assert said.silent == ("south",)
    assert "south (" in said.why
    assert asked(storages, alone=True).may_start
    storages["south"].turns = 0
    assert not asked(storages, alone=True).may_start


def test_a_standby_may_always_start(tmp_path: pathlib.Path) -> None:
    settings = tmp_path / "redis.conf"
    settings.write_text("# replicaof is not set\nport 6379\n")
    assert not is_standby(data_directory=str(tmp_path), configuration_file=str(settings))
    assert not is_standby(configuration_file=str(tmp_path / "missing"))
    settings.write_text("port 6379\nreplicaof 192.0.2.1 6379\n")
    assert is_standby(configuration_file=str(settings))
    (tmp_path / "standby.signal").touch()
    assert is_standby(data_directory=str(tmp_path))
