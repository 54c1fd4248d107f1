# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/tasks/failover/approve.yml`` in a play: nothing without enough approvals, and then what was approved."""

from __future__ import annotations

import copy
import json
import pathlib
import sys
import typing as t

import pytest
import yaml

from tests.integration.ansible.plays import ROOT, Json, Played, refused, run_playbook
from tests.support.approvals import PLAN, plan_of
from tests.support.approvers import Desk, Person

APPROVE: t.Final = {"ansible.builtin.include_tasks": str(ROOT / "playbooks/tasks/failover/approve.yml")}
MARK: t.Final = {"ansible.builtin.copy": {"content": "done", "dest": "{{ mark }}", "mode": "0600"}}


def opened(plan: str) -> Json:
    """The ledger is opened as a failover's play does it."""
    ledger = {
        "service": "family",
        "repositories": "{{ lifeboat_target.repositories }}",
        "action": "begin",
        "plan": plan,
        "data": {"approval": "{{ lifeboat_approved }}"},
    }
    return {"lifeboat.recovery.failover_ledger": ledger}


class Site(t.NamedTuple):
    """A desk, and where a play leaves its mark."""

    directory: pathlib.Path
    desk: Desk
    people: t.Sequence[Person]

    @property
    def mark(self) -> pathlib.Path:
        return self.directory / "mark"

    @property
    def description(self) -> Json:
        found: Json = json.loads(self.desk.lifeboat.configuration.read_text(encoding="utf-8"))
        return found

    @property
    def repositories(self) -> list[Json]:
        return [{"name": name, **self.description["lifeboat_repositories"][name]} for name in ("local", "offsite")]

    def play(self, *tasks: Json, words: t.Sequence[str] = ()) -> Played:
        host = {
            **self.description,
            "lifeboat_plan": PLAN.as_dict(),
            "lifeboat_target": {"service": "family", "repositories": self.repositories},
            "lifeboat_keeper": "web1",
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "mark": str(self.mark),
        }
        inventory, playbook = self.directory / "inventory.yml", self.directory / "play.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"web1": host}}}))
        playbook.write_text(yaml.safe_dump([{"hosts": "web1", "gather_facts": False, "tasks": tasks}]))
        return run_playbook(self, "-i", str(inventory), *words, playbook=playbook)

    def ledger(self) -> list[pathlib.Path]:
        return sorted((self.directory / "local/family/.failover").glob("run-*/*.json"))


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    people = [Person.new(tmp_path, name) for name in ("ada", "grace", "linus")]
    desk = Desk.new(tmp_path, PLAN, [one.signer for one in people])
    return Site(directory=tmp_path, desk=desk, people=people)


def test_nothing_happens_until_enough_have_approved_this_very_plan(site: Site) -> None:
    looked = site.play(APPROVE, words=["--check"])
    assert looked.status == 0, looked.output
    assert "2 approvals are missing; ada, grace and linus may give them." in looked.output
    assert site.desk.approvals() == [], "check mode wrote something"

    nobody = site.play(APPROVE, opened("{{ lifeboat_plan }}"), MARK)
    assert nobody.status != 0
    assert "[failover.not_approved]" in nobody.output
    assert f"lifeboat failover approve --plan {PLAN.fingerprint} --key KEY" in nobody.output
    assert (site.mark.exists(), site.ledger()) == (False, [])

    # The play has left the plan where the approvers find it by its hash; one approval goes there, too, one into a file.
    file = site.directory / "grace.json"
    for person, place in zip(site.people, ([], ["--out", str(file)]), strict=False):
        words = ("--plan", PLAN.fingerprint, "--key", str(person.key), "--yes", *place)
        site.desk.lifeboat("failover approve", *words).succeeded()

    other = plan_of(what="Promote another.").as_dict()
    forged = copy.deepcopy(site.description["lifeboat_services"])
    forged[0]["approvals"]["signers"][0]["key"] = Person.new(site.directory, "new").public
    given = {"lifeboat_approvals": [str(file)]}
    done = site.play(
        refused("one_only", APPROVE, MARK),
        refused("other_plan", APPROVE, MARK, lifeboat_plan=other, **given),
        refused("no_service", APPROVE, MARK, lifeboat_target={"service": "shop", "repositories": site.repositories}),
        {"block": [APPROVE], "vars": {"lifeboat_drill": True}},
        {"ansible.builtin.set_fact": {"drill": "{{ lifeboat_approved.needed }}"}},
        {"block": [APPROVE], "vars": given},
        refused("swapped", opened(json.dumps(other)), MARK),
        opened("{{ lifeboat_plan }}"),
        {"block": [APPROVE], "vars": {"lifeboat_resume": "run-0001"}},
        refused("forged", APPROVE, MARK, lifeboat_resume="run-0001", lifeboat_services=forged),
        {
            "ansible.builtin.copy": {
                "content": "{{ [one_only, other_plan, no_service, drill, swapped, forged] | to_json }}",
                "dest": "{{ mark }}.json",
                "mode": "0600",
            }
        },
    )
    assert done.status == 0, done.output
    one_only, other_plan, no_service, drill, swapped, later = json.loads((site.directory / "mark.json").read_text())
    assert "1 approval is missing; grace and linus may give it." in one_only
    assert "0 of 2 approvals" in other_plan
    assert "it is about another plan" in other_plan
    assert "nobody can tell who must approve" in no_service
    assert str(drill) == "0"
    assert "What was approved is what runs" in swapped
    assert "run-0001 was opened with 1 of 2 approvals" in later
    assert not site.mark.exists(), "something that must stop went on"
    (entry,) = site.ledger()
    approval = json.loads(entry.read_text())["data"]["approval"]
    assert approval["plan_sha256"] == PLAN.fingerprint
    assert sorted(one["signer"] for one in approval["approved"]) == ["ada", "grace"]
    assert len(approval["statements"]) == 2
