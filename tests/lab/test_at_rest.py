# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both regions live: the service at work, a drill that nobody notices, and a line between them that is cut."""

from __future__ import annotations

import json
import pathlib
import time

from tests.lab.description import REGIONS
from tests.lab.lab import Lab, runs_in
from tests.lab.outcome import run_of, steps
from tests.support.waiting import wait_for

_CHECK = {"name": "answers", "standby_reachable": "south"}
_EXERCISE = {"name": "monthly", "kind": "disaster_recovery_test", "schedule": "0 5 1 * *", "checks": [_CHECK]}


def began(lab: Lab) -> list[str]:
    """Since when each server and each application runs, and PostgreSQL's timeline in both regions."""
    timeline = "SELECT timeline_id, pg_postmaster_start_time() FROM pg_control_checkpoint()"
    units = "systemctl show redis-server adhd --property=ActiveEnterTimestampMonotonic,NRestarts"
    hosts = [name for names in REGIONS.values() for name in names]
    return [*(lab.query(region, timeline) for region in REGIONS), *(lab.fleet[name].run(units) for name in hosts)]


def test_the_lab_is_at_work(lab: Lab, tmp_path: pathlib.Path) -> None:
    assert lab.state() == runs_in("north")
    with lab.load(tmp_path) as load:
        load.wait_for_more(20)
    assert set(load.acknowledged) <= lab.writes("north")
    assert set(load.acknowledged) <= lab.cached("north")


def test_a_drill_passes_while_clients_write_and_none_of_them_notices(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.changes = {"exercises": [_EXERCISE]}
    lab.database("south").run("lifeboat verify adhd/main adhd/cache --quiet", timeout=300)
    # What the base backup needs is shipped within a minute of it, and a drill that comes before that is refused.
    wait_for(lambda: any("/wal/" in key for key in lab.stores["south"].keys("shared/adhd/main/")), seconds=120)
    before, evidence_file = began(lab), tmp_path / "evidence.json"
    with lab.load(tmp_path) as load:
        played = lab.play("playbooks/dr_drill.yml", lifeboat_drill_of="adhd", lifeboat_evidence=str(evidence_file))
        assert played.status == 0, played.output
        load.wait_for_more(20, by=lab.addresses("north"))
    evidence = json.loads(evidence_file.read_text())
    assert (evidence["kind"], evidence["run"], evidence["state"]) == ("drill", "drill-0001", "complete")
    assert evidence["checks"] == {"check-monthly-answers": True}
    assert {name: one["restored"] for name, one in evidence["sources"].items()} == {"main": True, "cache": True}
    print(f"LAB drill: {evidence['recovery_seconds']} s of work, {len(load.acknowledged)} writes meanwhile")
    # Nobody was refused anything; the same servers run, on the same timeline, and the name leads where it led.
    assert load.refused == []
    assert began(lab) == before
    assert lab.state() == runs_in("north")
    assert set(load.acknowledged) <= lab.writes("north")
    assert run_of(lab, "south") == ""
    assert lab.database("south").run("find /var/lib/lifeboat-drill -mindepth 1 || true") == ""
    lab.changes = {}


def test_a_cut_line_proves_nothing_and_nothing_is_changed(lab: Lab) -> None:
    """Both regions live, and neither hears of the other: who can't prove that north takes no writes stops."""
    with lab.provider_away():
        lab.cut("north")
        number = str(int(time.monotonic() * 1000))
        lab.query("north", f"INSERT INTO writes VALUES ({number})")
        word = {"lifeboat_accept_data_loss": True}
        _checked, confirm = lab.planned(**word)
        stopped = lab.fail_over(lifeboat_confirm=confirm, **word)
        assert stopped.status != 0
        assert "Nothing proves that the old primary takes no writes any more" in stopped.words, stopped.output
        assert "power: the provider does not answer (status 1)" in stopped.words
        assert "lifeboat_accept_split_brain_risk=true" in stopped.words
        assert steps(lab, "south") == []
        assert [one["event"] for one in lab.ledger("south")] == ["opened", "intended", "failed"]
        # As it was: one primary, and the name leads there.
        assert lab.state() == runs_in("north")
        assert lab.applications("north") == ["active", "active"]
        given_up = lab.fail_over(lifeboat_resume=run_of(lab, "south"), lifeboat_abandon=True)
        assert given_up.status == 0, given_up.output
        lab.cut("north", healed=True)
    wait_for(lambda: int(number) in lab.writes("south"), seconds=180)
