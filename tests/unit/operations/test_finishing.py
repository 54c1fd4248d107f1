# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be done to a restore of before, by its notes alone, and which of them somebody is not done with."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RequestInvalid,
    RestoreConfirmationMissing,
    RestoreLedgerInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import SourceLock, StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.finishing import (
    ACTIONS,
    DISCARD,
    RESUME,
    ROLL_BACK,
    FinishPlan,
    plan_finish,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.open_restores import open_restores
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restore_values import EarlierRestore
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ledger import (
    DISCARDED,
    FINISHED,
    ROLLED_BACK,
    RUNNING,
    Ledger,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.recovery import finish_plan_text

TARGET = "redis at 127.0.0.1:6379"
MANIFEST = {"service": "family", "source": "cache", "kind": "rdb", "id": "20261121T020000Z-4f2c91"}


@pytest.fixture
def state(tmp_path: pathlib.Path) -> StateDirectory:
    return StateDirectory(path=str(tmp_path / "state"))


def noted(state: StateDirectory, restore_id: str, became: str, *, aside: tuple[str, ...] = ()) -> str:
    """The notes of a restore that came to that; its id."""
    ledger = Ledger.begin(
        state=state, clock=SystemClock(), restore_id=restore_id, target=TARGET, request={"manifest": MANIFEST}
    )
    ledger.done("fetch")
    ledger.intend("stop")
    if became != RUNNING:
        ledger.close(became, {"aside": list(aside)})
    return restore_id


def planned(state: StateDirectory, restore_id: str, action: str, confirm: str | None = None) -> FinishPlan:
    earlier = EarlierRestore(restore_id=restore_id, repositories=(), confirm=confirm, state_directory=state.path)
    return plan_finish(earlier, action, host=Host(clock=SystemClock(), journal=MemoryJournal(), name="db1"))


@pytest.mark.parametrize(
    ("became", "changing", "over"),
    [
        (RUNNING, {RESUME, ROLL_BACK}, set()),
        (FINISHED, {ROLL_BACK, DISCARD}, {RESUME}),
        (ROLLED_BACK, set(), {ROLL_BACK}),
        (DISCARDED, set(), {DISCARD}),
    ],
)
def test_each_state_lets_some_be_done_has_some_behind_it_and_refuses_the_rest(
    state: StateDirectory, became: str, changing: set[str], over: set[str]
) -> None:
    restore_id = noted(state, "20261121T030000Z-000001", became)
    for action in ACTIONS:
        if action in changing | over:
            plan = planned(state, restore_id, action)
            assert plan.changes == (action in changing), action
            assert plan.confirm == (TARGET if became == FINISHED and action in changing else None), action
            assert ("nothing to do" in finish_plan_text(plan)) == (action in over)
        else:
            with pytest.raises(RestoreLedgerInvalid, match=became):
                planned(state, restore_id, action)


def test_a_wrong_name_is_refused_and_an_unknown_restore_or_action_too(state: StateDirectory) -> None:
    restore_id = noted(state, "20261121T030000Z-000001", FINISHED, aside=("dump.rdb.before",))
    with pytest.raises(RestoreConfirmationMissing):
        planned(state, restore_id, DISCARD, confirm="redis")
    plan = planned(state, restore_id, DISCARD, confirm=TARGET)
    assert plan.aside == ("dump.rdb.before",)
    assert "removes for ever: dump.rdb.before" in finish_plan_text(plan)
    with pytest.raises(RestoreLedgerInvalid, match="no notes"):
        planned(state, "20261121T030000Z-000002", DISCARD)
    with pytest.raises(RequestInvalid, match="no way to finish"):
        planned(state, restore_id, "forget")


def test_those_that_died_run_or_left_something_aside_are_listed(state: StateDirectory) -> None:
    died = noted(state, "20261121T030000Z-000001", RUNNING)
    runs = noted(state, "20261121T030000Z-000002", RUNNING)
    full = noted(state, "20261121T030000Z-000003", FINISHED, aside=("dump.rdb.before",))
    noted(state, "20261121T030000Z-000004", FINISHED)
    noted(state, "20261121T030000Z-000005", ROLLED_BACK)
    noted(state, "20261121T030000Z-000006", DISCARDED, aside=("dump.rdb.before",))
    lock = SourceLock(state=state, name="restore.redis", clock=SystemClock())
    lock.acquire(holder={"job": f"restore into {TARGET}", "id": runs}, timeout=0)
    try:
        found = {one["id"]: one for one in open_restores(state)}
        assert planned(state, runs, RESUME).state == RUNNING
    finally:
        lock.release()
    assert {restore_id: one["state"] for restore_id, one in found.items()} == {
        died: "died",
        runs: RUNNING,
        full: FINISHED,
    }
    assert found[died] == {
        **found[died],
        "target": TARGET,
        "job": "family/cache/rdb",
        "backup": MANIFEST["id"],
        "step": "stop",
        "aside": [],
    }
    assert planned(state, died, RESUME).state == "died"
