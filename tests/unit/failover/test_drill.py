# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill: what it plans, what it is kept from, what it leaves behind, and its own place on a host."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import DrillRefused
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover import ledger as ledgers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.drill_guard import drill_objections
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.drill_place import (
    make_place,
    remove_place,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.drill_plan import (
    PlannedDrill,
    plan_drill,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.entry import (
    CLOSED,
    DONE,
    FAILED,
    INTENDED,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.evidence import evidence
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import (
    DRILL_KINDS,
    STEP_KINDS,
    parse_plan,
)
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage

Json = dict[str, t.Any]
ROOT = pathlib.Path(__file__).parents[3]

PRODUCTION: Json = {
    "ports": [5432, 8000],
    "folders": ["/var/lib/postgresql/15/main", "/var/backups/lifeboat"],
    "names": ["api.example.org"],
    "units": ["shop-api", "postgresql@15-main"],
}
NAME: Json = {
    "name": "api.example.org",
    "type": "A",
    "ttl": 60,
    "provider": "rfc2136",
    "values": {"north": ["192.0.2.1"], "south": ["192.0.2.2"]},
    "drill": {"name": "api.drill.example.org", "zone": "drill.example.org"},
}
MAIN: Json = {
    "name": "main",
    "engine": "postgresql",
    "objectives": {"rpo": "5m"},
    "address": {"host": "s1", "port": 5432},
    "drill": {"how": "server", "host": "south1", "restore": {"questions": [{"name": "users"}]}},
}
TARGET: Json = {
    "service": "shop",
    "from": "north",
    "to": "south",
    "objectives": {"rpo": "5m", "rto": "15m"},
    "sources": [MAIN, {"name": "logs", "engine": "files", "objectives": {}, "drill": {"how": "left"}}],
    "applications": [
        {"name": "api", "host": "south1", "outside": False},
        {"name": "pods", "host": "localhost", "outside": True},
    ],
    "dns": [NAME],
    "exercises": [{"name": "monthly", "checks": [{"name": "answers", "standby_reachable": "far"}]}],
    "communication": {"announcements": [{"audience": "operators", "in_drills": True}]},
    "production": PRODUCTION,
}
LOOKED: Json = {"main": {"plan": {"backup": {"id": "b1", "started": "2026-11-21T01:58:00Z"}, "recovery": None}}}
PLACES: Json = {"main": {"data_directory": "/var/lib/lifeboat-drill/shop/main", "port": 20000}}


def planned(*, looked: Json | None = None, places: Json | None = None, **changes: t.Any) -> PlannedDrill:
    return plan_drill(
        {**TARGET, **changes},
        looked=LOOKED if looked is None else looked,
        places=PLACES if places is None else places,
        now=parse_time("2026-11-21T02:00:00Z"),
    )


def test_everything_that_a_failover_needs_is_tried_in_its_order_and_every_step_may_fail() -> None:
    drill = planned()
    assert drill.refusals == ()
    assert [step.name for step in drill.plan.steps] == [
        "announce-began",
        "restore-main",
        "ask-main",
        "look-api-south1",
        "deploy-pods",
        "dns-api.example.org-A",
        "dns-back-api.example.org-A",
        "check-monthly-answers",
        "announce",
    ]
    assert not any(step.vital or step.irreversible for step in drill.plan.steps)
    assert {step.kind for step in drill.plan.steps} <= set(DRILL_KINDS)
    assert drill.plan.step("restore-main").options == {
        "source": "main",
        "how": "server",
        "backup": "b1",
        "data_directory": "/var/lib/lifeboat-drill/shop/main",
        "port": 20000,
    }
    assert (drill.plan.measured or {})["stated"]["main"]["loss_seconds"] == 120
    assert "logs stay where they are" in drill.warnings[0]
    quiet = planned(communication={}, dns=[{key: NAME[key] for key in NAME if key != "drill"}], exercises=[])
    assert "nothing moves" in quiet.plan.step("dns-api.example.org-A").what
    assert [step.name for step in quiet.plan.steps][-1] == "dns-api.example.org-A"


def test_what_can_not_be_tried_or_touches_production_is_refused_before_anything_is_done() -> None:
    cases: list[tuple[PlannedDrill, str]] = [
        (planned(looked={"main": {"problem": "no key"}}), "main: its backup can't be restored: no key"),
        (planned(sources=[{**MAIN, "drill": {"how": "", "why": "no repository"}}]), "main: no repository"),
        (planned(sources=[]), "nothing would be restored"),
        (planned(places={"main": {**PLACES["main"], "port": 5432}}), "names the port 5432, where production listens"),
        (
            planned(places={"main": {**PLACES["main"], "data_directory": "/var/lib/postgresql/15/main/x"}}),
            "would write into /var/lib/postgresql/15/main/x",
        ),
        (
            planned(dns=[{**NAME, "drill": {"name": "API.example.org."}}]),
            "would move API.example.org., which people use",
        ),
    ]
    for drill, refusal in cases:
        assert any(refusal in one for one in drill.refusals), (refusal, drill.refusals)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({"kind": "promote"}, "promises nothing for drills"),
        ({"kind": "rewire"}, "promises nothing for drills"),
        ({"kind": "restore"}, "promises nothing for drills"),
        ({"kind": "drill_restore", "options": {"port": "8000"}}, "names the port 8000"),
        ({"kind": "drill_restore", "options": {"data_directory": "/var/lib/postgresql"}}, "would write into"),
        ({"kind": "drill_restore", "options": {"data_directory": "/var/backups/../backups/lifeboat"}}, "would write"),
        ({"kind": "drill_restore", "options": {"in_place": True}}, "says in_place"),
        ({"kind": "drill_restore", "options": {"service_control": {"unit": "x"}}}, "says service_control"),
        ({"kind": "drill_application", "options": {"restart": True}}, "says restart"),
        ({"kind": "drill_check", "options": {"check": {"run": ["shop-api"]}}}, "names the unit shop-api"),
        ({"kind": "dns", "options": {"record": {**NAME, "drill": {"name": "api.example.org"}}}}, "which people use"),
        (
            {"kind": "dns", "options": {"record": {**NAME, "provider": "command", "command": "move api.example.org"}}},
            "does not take the name",
        ),
    ],
)
def test_a_step_that_could_touch_what_people_use_is_not_taken(step: Json, why: str) -> None:
    (found,) = drill_objections({"name": "one", **step}, PRODUCTION)
    assert why in found


def test_what_touches_nothing_of_production_is_taken() -> None:
    for step in planned().plan.steps:
        assert drill_objections(step.as_dict(), PRODUCTION) == []
    own = {"record": {**NAME, "provider": "command", "command": "move {name} {value}"}}
    assert drill_objections({"name": "dns", "kind": "dns", "options": own}, PRODUCTION) == []


def test_every_kind_that_a_drill_takes_has_a_task_file_that_knows_of_drills() -> None:
    folder = ROOT / "playbooks/tasks/failover"
    assert set(DRILL_KINDS) < set(STEP_KINDS)
    for kind in set(DRILL_KINDS) - {"health", "watch"}:  # these ask, and nothing else
        assert "drill" in (folder / f"{kind}.yml").read_text().lower(), kind


# --- the ledger and the evidence ------------------------------------------------------------------------------------


def run_of(storages: dict[str, MemoryStorage], *, fails: str = "", ends: bool = True) -> ledgers.Ledger:
    clock = FakeClock()
    drill = planned().plan
    ledger = ledgers.begin(drill, operator="ada", host="desk", storages=storages, clock=clock, data={})
    session = ledger.operator.session
    shared: Json = {"session": session, "storages": storages, "clock": clock}
    for step in drill.steps:
        ledgers.note("shop", ledger.run, event=INTENDED, step=step.name, data={}, **shared)
        clock.advance(2)
        event = FAILED if step.name == fails else DONE
        data = {"seconds": 1.5} if step.kind == "drill_restore" else {}
        ledger = ledgers.note("shop", ledger.run, event=event, step=step.name, data=data, **shared)
    if ends:
        ledger = ledgers.note("shop", ledger.run, event=CLOSED, step="", data={}, **shared)
    return ledger


def test_a_drill_that_was_left_open_keeps_nobody_from_a_failover() -> None:
    storages = {"one": MemoryStorage()}
    left = run_of(storages, ends=False)
    assert (left.run, left.is_open) == ("drill-0001", True)
    assert ledgers.newest_run("shop", storages=storages) is None
    newest = ledgers.newest_run("shop", storages=storages, drill=True)
    assert newest is not None
    assert newest.run == "drill-0001"


def test_a_drill_measures_what_people_would_wait_for_against_the_objectives() -> None:
    found = evidence(run_of({"one": MemoryStorage()}))
    assert (found["kind"], found["state"], found["checks"]) == ("drill", "complete", {"check-monthly-answers": True})
    # Six of nine steps are waited for, and the first of all is none of them.
    assert found["recovery_seconds"] == 14.0
    assert found["objectives"] == {"rpo": "5m", "rto": "15m", "rpo_met": True, "rto_met": True}
    assert found["sources"]["main"]["seconds"] == 1.5
    failed = evidence(run_of({"one": MemoryStorage()}, fails="restore-main"))
    assert (failed["state"], failed["exceptions"]) == ("complete-with-exceptions", ["restore-main"])
    assert failed["recovery_seconds"] is None
    assert failed["objectives"]["rpo_met"] is False
    checked = evidence(run_of({"one": MemoryStorage()}, fails="check-monthly-answers"))
    assert checked["checks"] == {"check-monthly-answers": False}
    assert checked["recovery_seconds"] == 14.0


def test_the_plan_of_a_drill_is_read_back() -> None:
    plan = planned().plan
    assert parse_plan(plan.as_dict()) == plan


# --- the place ------------------------------------------------------------------------------------------------------


def make(path: pathlib.Path, **changes: t.Any) -> tuple[int, ...]:
    given: Json = {"count": 2, "avoid": (), "keep_away": (), "first_port": None, "check": False, **changes}
    return make_place(str(path), **given).ports


def test_a_place_has_ports_that_nobody_has_and_is_gone_with_all_that_works_in_it(tmp_path: pathlib.Path) -> None:
    place = tmp_path / "drill" / "shop"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        busy = taken.getsockname()[1]
        first, second = make(place, first_port=busy) if busy < 65000 else make(place)
        assert busy not in (first, second)
    (place / "main").mkdir()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], cwd=place / "main")
    try:
        gone = remove_place(str(place), keep_away=(), host=Host(), check=False)
        assert gone.removed
        assert gone.ended[0].startswith(str(child.pid))
        assert child.wait(timeout=10) != 0
    finally:
        child.kill()
        child.wait()
    assert not place.exists()
    assert not remove_place(str(place), keep_away=(), host=Host(), check=False).removed


def test_what_is_production_s_or_somebody_else_s_is_no_place(tmp_path: pathlib.Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("15")
    for path in (data, data / "drill", tmp_path):
        with pytest.raises(DrillRefused, match="production's"):
            make(path, keep_away=[str(data)])
        with pytest.raises(DrillRefused, match="production's"):
            remove_place(str(path), keep_away=[str(data)], host=Host(), check=False)
    # A link to it is it.
    (tmp_path / "link").symlink_to(data)
    with pytest.raises(DrillRefused, match="production's"):
        make(tmp_path / "link", keep_away=[str(data)])
    with pytest.raises(DrillRefused, match="no drill made it"):
        remove_place(str(data), keep_away=(), host=Host(), check=False)
    for wrong in ("relative", "/", "/var", "/var/../etc"):
        with pytest.raises(DrillRefused, match="as its place"):
            make(pathlib.Path(wrong))
    with pytest.raises(DrillRefused, match="5432 is production's"):
        make(tmp_path / "own", avoid=[5432], first_port=5432)
    assert (data / "PG_VERSION").exists()
