# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/full_restore.yml``: a whole system is lost with its disks, and comes back on a new host."""

from __future__ import annotations

import contextlib
import json

import pytest

from sandbox.mongod import connect
from tests.integration.ansible.full_site import NEW, OLD, whole_system
from tests.integration.ansible.plays import PASSWORD, Played

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STEPS = [
    "prepare-fresh1",
    "restore-settings",
    "hold-fresh1",
    "restore-cache",
    "restore-main",
    "restore-documents",
    "restore-assets",
    "rewire-api-fresh1",
    "health-api-fresh1",
    "dns-api.shop.test-A",
    "dns-api.shop.test-AAAA",
    "ask-main",
    "schedule-fresh1",
    "backup-cache",
    "backup-main",
    "backup-documents",
    "watch",
]


def flat(played: Played) -> str:
    return " ".join(played.output.split())


@pytest.mark.long
def test_a_lost_system_comes_back_on_a_new_host_though_the_play_is_killed() -> None:
    with whole_system() as system:
        system.lose()
        word = {"lifeboat_accept_unverified": "assets,documents"}
        checked = system.play("--check", **word)
        assert checked.status == 0, checked.output
        assert "and what was shipped after it is restored on fresh1" in flat(checked)
        assert "1 approval is missing; ada may give it." in flat(checked)
        plan = checked.output.partition("The plan's SHA-256: ")[2][:64]
        word |= {"lifeboat_confirm": plan[:12]}
        unapproved = system.play(**word)
        assert unapproved.status != 0
        assert "[failover.not_approved]" in unapproved.output
        assert system.entries() == []
        # One of the repositories is lost; the approval is kept in the other one.
        system.lifeboat("failover approve --yes --plan", plan, "--key", str(system.ada.key)).succeeded()
        assert not system.logo.exists()
        assert not system.cluster.data.exists()

        # In the middle of the cluster's files.
        system.play_until(lambda: any(system.cluster.data.parent.iterdir()), **word)
        assert system.finished() == STEPS[:4]
        assert [path.name for path in system.tables.iterdir()] == ["lifeboat-shop.frozen"]
        assert system.says() == OLD, "it moved before anything was well"
        evidence_file = system.directory / "evidence.json"
        played = system.play(**word, lifeboat_resume="run-0001", lifeboat_evidence=str(evidence_file))
        assert played.status == 0, played.output
        assert system.finished() == STEPS
        # The first intent of each run is noted with its opening, and not once more by its step.
        told = [(one["event"], one["step"]) for one in system.entries()]
        again = told.index(("resumed", ""))
        assert told[:2] == [("opened", ""), ("intended", STEPS[0])]
        assert told[again + 1] == ("intended", STEPS[4])
        for run in (told[:again], told[again:]):
            assert [step for event, step in run if event == "intended"] == sorted(
                {step for event, step in run if event == "intended"}, key=STEPS.index
            )

        # All that was shipped is there, and nothing of what was not.
        assert system.postgresql.query("SELECT count(*), max(id) FROM orders") == [(20, 20)]
        with system.fresh.client() as client:
            assert int(client.get("visits")) >= 40
        # Users come back, too.
        with contextlib.closing(connect(system.empty.uri_of("shopper", PASSWORD))) as mongo:
            assert mongo.shop.baskets.count_documents({}) == 300
        assert system.logo.read_text() == "<svg/>"
        assert system.application.is_well()
        assert system.says() == NEW
        assert [path.name for path in system.tables.iterdir()] == ["lifeboat-shop"]
        assert f"CACHE_PORT={system.fresh.port}\n" in system.application.environment.read_text()

        evidence = json.loads(evidence_file.read_text())
        assert (evidence["kind"], evidence["state"], evidence["hosts"]) == ("full-restore", "complete", ["fresh1"])
        phases = {one["phase"]: one["steps"] for one in evidence["phases"]}
        assert phases["prepare"] == STEPS[:3]
        assert phases["data"] == STEPS[3:6]
        assert phases["verify"] == STEPS[11:]
        assert evidence["objectives"]["rto_met"] is True
        assert evidence["objectives"]["rpo_met"] is True
        assert evidence["since_loss_seconds"] > evidence["recovery_seconds"] > 0
        (answer,) = evidence["sources"]["main"]["answers"]
        assert (answer["name"], answer["found"]) == ("orders", 20)
        assert evidence["sources"]["main"]["first_backup"]
        assert evidence["sources"]["documents"]["first_backup"]
        assert [one["signer"] for one in evidence["approval"]["approved"]] == ["ada"]
        assert PASSWORD not in played.output + "".join(path.read_text() for path in system.far.rglob("*.json"))
        # The disk of the other repository is lost: there is no second copy, and nothing is wrong.
        proof = system.lifeboat("evidence verify shop run-0001").ended(3)
        assert "PROBLEM" not in proof.out
        assert "ledger.one_copy" in proof.out
