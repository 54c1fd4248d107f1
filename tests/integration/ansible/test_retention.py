# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``s3_retention`` and ``playbooks/retention.yml`` on a folder and a bucket: look, do exactly that, again."""

from __future__ import annotations

import datetime
import sys
import typing as t

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.integration.ansible.plays import Json, Lab, Played, run_module, run_modules, run_playbook
from tests.support.copies import described, put_backup, put_verification

JOB = "family/main/full"
KEEP = {"local": {"within": "3d"}, "offsite": {"daily": 5}}


@pytest.fixture
def ids(lab: Lab) -> list[str]:
    """Backups of each of the last seven days in both repositories, the newest first; all of them were proved."""
    now = datetime.datetime.now(tz=datetime.UTC)
    found = [new_backup_id(now=now - datetime.timedelta(days=age, minutes=5)) for age in range(7)]
    for repository in lab.repositories:
        name = repository.pop("name")
        storage = open_storage(repository, name=name, clock=SystemClock(), runner=SubprocessRunner())
        for backup_id in found:
            backup = put_backup(storage, described(backup_id, labels={"job": JOB}))
            put_verification(storage, backup, {"local": 4, "offsite": 4})
    return found


def options(lab: Lab, **more: t.Any) -> Json:
    of_job = {"service": "family", "source": "main", "engine": "mongodb", "kind": "full", "schedule": "0 0 * * *"}
    return {
        "repositories": lab.repositories,
        "policies": [{**of_job, "repository": name, "keep": keep} for name, keep in KEEP.items()],
        "state_directory": str(lab.directory / "state"),
        **more,
    }


def there(lab: Lab) -> dict[str, set[str]]:
    """The ids of the backups in each repository, by their manifests."""
    found: dict[str, set[str]] = {"local": set(), "offsite": set()}
    for key in lab.stored():
        if key.endswith("/manifest.json"):
            found["local" if key.startswith("local/") else "offsite"].add(key.split("/")[-2])
    return found


@pytest.mark.newest
def test_look_do_exactly_that_and_again(lab: Lab, ids: list[str]) -> None:
    before = lab.stored()
    planned = run_module(lab, "s3_retention", options(lab), check=True)
    assert not planned.get("failed"), planned["msg"]
    assert planned["changed"]
    assert [plan["summary"]["removed"] for plan in planned["plans"]] == [4, 2]
    assert "older than 3d" in planned["diff"]["after"]
    assert lab.stored() == before

    done = run_module(lab, "s3_retention", options(lab, plan_hash=planned["plan_hash"]))
    assert not done.get("failed"), done["msg"]
    assert done["changed"]
    assert there(lab) == {"local": set(ids[:3]), "offsite": set(ids[:5])}
    assert [len(result["removed"]) for result in done["results"]] == [4, 2]

    again = run_module(lab, "s3_retention", options(lab))
    assert not again["changed"]


def test_another_plan_by_now_is_refused(lab: Lab, ids: list[str]) -> None:
    planned = run_module(lab, "s3_retention", options(lab), check=True)
    changed = options(lab, plan_hash=planned["plan_hash"])
    changed["policies"][0]["keep"] = {"count": 1}
    refused = run_module(lab, "s3_retention", changed)
    assert refused["failed"]
    assert refused["code"] == "retention.plan_changed"
    assert there(lab) == {"local": set(ids), "offsite": set(ids)}


BAD: dict[str, Json] = {
    "request.invalid": {"policies": []},
    "request.invalid, override": {"allow": ["everything"]},
    "request.invalid, repository": {"prune": ["nowhere"]},
    "retention.plan_invalid": {"plan_hash": "abc"},
    "retention.prices_invalid": {"price_table": {"classes": {"default": {"price": 1}}}},
}


def test_bad_input_is_refused_before_anything_is_touched(lab: Lab, ids: list[str]) -> None:
    before = lab.stored()
    answers = run_modules(lab, *(("s3_retention", options(lab, **changes)) for changes in BAD.values()))
    assert [answer["code"] for answer in answers] == [name.partition(",")[0] for name in BAD]
    assert all(answer["failed"] and answer["hint"] for answer in answers)
    assert lab.stored() == before


def play(lab: Lab, *arguments: str) -> Played:
    repositories = {}
    for repository in lab.repositories:
        repositories[repository.pop("name")] = repository
    backup = {
        "kind": "full",
        "schedule": "0 0 * * *",
        "repositories": [{"name": name, "keep": keep} for name, keep in KEEP.items()],
    }
    source = {"name": "main", "engine": "mongodb", "connection": lab.connection("mongodb"), "backups": [backup]}
    document = {
        "all": {
            "hosts": {
                "db1": {"lifeboat_services": [{"name": "family", "sources": [source]}]},
                "application": {},
            },
            "vars": {
                "lifeboat_repositories": repositories,
                "lifeboat_settings": {"state_directory": str(lab.directory / "state")},
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
            },
        }
    }
    inventory = lab.directory / "inventory.yml"
    inventory.write_text(yaml.safe_dump(document))
    return run_playbook(lab, "--inventory", str(inventory), *arguments, playbook="playbooks/retention.yml")


@pytest.mark.newest
@pytest.mark.newest_first
def test_the_playbook_shows_first_and_removes_when_confirmed(lab: Lab, ids: list[str]) -> None:
    before = lab.stored()
    shown = play(lab)
    assert shown.status == 0, shown.output
    assert "would remove 4 of 7 backups" in shown.output
    assert lab.stored() == before

    checked = play(lab, "--check", "-e", "lifeboat_confirm=retention")
    assert checked.status == 0, checked.output
    assert lab.stored() == before

    done = play(lab, "-e", "lifeboat_confirm=retention", "-e", "lifeboat_repository=local")
    assert done.status == 0, done.output
    assert there(lab) == {"local": set(ids[:3]), "offsite": set(ids)}

    nobody = play(lab, "-e", "lifeboat_jobs=nobody")
    assert nobody.status != 0
    assert "No host has a job nobody" in nobody.output
