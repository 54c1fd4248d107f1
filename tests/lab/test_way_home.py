# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way home, which enough people must have approved: before that nothing moves, and then nothing is lost."""

from __future__ import annotations

import pathlib
import re
import time
import typing as t

import pytest

from tests.lab.lab import Lab, runs_in
from tests.lab.outcome import run_of, steps, steps_to, tell
from tests.lab.timeline import Timeline
from tests.support.approvers import Person


class Approving(t.NamedTuple):
    """The plan that was shown, and people who may sign it."""

    people: t.Mapping[str, Person]
    plan: dict[str, str]

    @property
    def needed(self) -> dict[str, t.Any]:
        return {"needed": 2, "signers": [one.signer for one in self.people.values()]}

    def approve(self, lab: Lab, name: str) -> None:
        """By the command line, on a host that has the description."""
        desk, key = lab.database("south"), f"/root/{name}.key"
        desk.write(key, self.people[name].key.read_text(encoding="utf-8"))
        desk.run(f"lifeboat failover approve --plan {self.plan['sha256']} --key {key} --yes")


@pytest.fixture(scope="module")
def approving(tmp_path_factory: pytest.TempPathFactory) -> Approving:
    folder = tmp_path_factory.mktemp("keys")
    return Approving(people={name: Person.new(folder, name) for name in ("ada", "grace", "linus")}, plan={})


def test_nothing_moves_without_enough_approvals(lab: Lab, approving: Approving) -> None:
    lab.changes = {"approvals": approving.needed}
    lab.is_described_in("south")
    before = [run_of(lab, region) for region in ("north", "south")]
    refused = lab.fail_over()
    assert refused.status != 0
    assert "2 approvals are missing; ada, grace and linus may give them" in refused.words, refused.output
    (approving.plan["sha256"],) = set(re.findall(r"--plan ([0-9a-f]{64})", refused.words))

    # One is not enough, and neither is the right word.
    approving.approve(lab, "ada")
    refused = lab.fail_over(lifeboat_confirm=approving.plan["sha256"][:12])
    assert refused.status != 0
    assert "1 approval is missing; grace and linus may give it" in refused.words, refused.output
    assert [run_of(lab, region) for region in ("north", "south")] == before
    assert lab.state() == runs_in("south")
    assert lab.applications("south") == ["active", "active"]


def test_the_approved_service_goes_home_without_loss(lab: Lab, approving: Approving, tmp_path: pathlib.Path) -> None:
    approving.approve(lab, "grace")
    with lab.load(tmp_path, by="south") as load:
        decided = time.monotonic()
        played = lab.fail_over(lifeboat_confirm=approving.plan["sha256"][:12])
        line = Timeline.of(lab.stopwatch, began=decided, entries=lab.ledger("north"))
        print(f"LAB way home\n{line.told()}")
        assert played.status == 0, played.output
        load.wait_for_more(20, by=lab.addresses("north"))
    tell("way home", load=load, lost=load.lost(lab.writes("north")), stated=None, decided=decided, line=line)
    assert set(load.acknowledged) <= lab.writes("north")
    assert set(load.acknowledged) <= lab.cached("north")
    assert lab.state() == runs_in("north")
    assert steps(lab, "north") == steps(lab, "south") == steps_to("north", frozen=("south1", "south2"))
    approved = lab.ledger("north")[0]["data"]["approval"]
    assert approved["plan_sha256"] == approving.plan["sha256"]
    assert sorted(one["signer"] for one in approved["approved"]) == ["ada", "grace"]
    lab.changes = {}
