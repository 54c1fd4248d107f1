# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each module on real servers, in four steps: check, do, again, again in check."""

from __future__ import annotations

import json
import typing as t

import pytest

from tests.integration.ansible.plays import PASSWORD, WRITER, Json, Lab, run_module

FEATURES: dict[str, tuple[str, str, str, Json]] = {
    "mongo_dump": ("mongo_dump", "mongodb", "full", {}),
    "mongo_dump of one database": ("mongo_dump", "mongodb", "full", {"database": "shop", "consistency": "snapshot"}),
    "pg_logical_dump": ("pg_logical_dump", "postgresql", "logical", {}),
    "pg_logical_dump in parallel": (
        "pg_logical_dump",
        "postgresql",
        "logical",
        {"databases": ["postgres"], "format": "directory", "jobs": 2, "scratch_directory": "/tmp"},
    ),
    "pg_basebackup_walg": ("pg_basebackup_walg", "postgresql", "base", {}),
    "redis_snapshot by BGSAVE": ("redis_snapshot", "redis", "rdb", {"method": "bgsave"}),
    "redis_snapshot by SYNC": ("redis_snapshot", "redis", "rdb", {"method": "sync"}),
    "redis_snapshot of the AOF": ("redis_snapshot", "redis", "aof", {"kind": "aof"}),
}


def options_of(lab: Lab, feature: str, **more: t.Any) -> tuple[str, Json]:
    module, engine, _kind, own = FEATURES[feature]
    return module, {
        "service": "lab",
        "source": engine,
        "connection": lab.connection(engine),
        "repositories": lab.repositories,
        "state_directory": str(lab.directory / "state"),
        **own,
        **more,
    }


QUICK = ("mongo_dump", "pg_logical_dump", "pg_basebackup_walg", "redis_snapshot by BGSAVE")


@pytest.mark.parametrize(
    "feature",
    [pytest.param(name, marks=(pytest.mark.newest,) if name in QUICK else (pytest.mark.long,)) for name in FEATURES],
)
def test_check_do_again_and_again_in_check(lab: Lab, feature: str) -> None:
    module, options = options_of(lab, feature)
    kind = FEATURES[feature][2]

    planned = run_module(lab, module, options, check=True)
    assert not planned.get("failed"), planned["msg"]
    assert planned["changed"]
    assert planned["plan"]["steps"]
    assert {repository["state"] for repository in planned["plan"]["repositories"]} == {"ready"}
    assert "backup would be made" in planned["diff"]["after"]
    assert lab.stored() == {}, "check mode touched a repository"
    assert not (lab.directory / "state" / "runs").exists(), "check mode wrote a run record"

    made = run_module(lab, module, options)
    assert not made.get("failed"), made["msg"]
    assert made["changed"]
    backup = made["backup"]
    assert backup["state"] == "complete"
    assert backup["id"] in made["diff"]["after"]
    first = lab.stored()
    for place in ("local/", f"s3/{lab.prefix}/"):
        folder = f"{place}lab/{options['source']}/{kind}/{backup['id']}/"
        assert {key.removeprefix(folder) for key in first if key.startswith(folder)} == {
            "manifest.json",
            "RESTORE.md",
            "started.json",
            *(payload["name"] for payload in backup["payloads"]),
        }

    again = run_module(lab, module, options)
    assert not again.get("failed"), again["msg"]
    assert again["changed"], "every run makes a backup of its own"
    assert again["backup"]["id"] != backup["id"]
    both = lab.stored()
    assert len(both) == 2 * len(first)
    assert first.items() <= both.items(), "the second backup changed the first"

    assert run_module(lab, module, options, check=True)["changed"]
    assert lab.stored() == both

    text = json.dumps([planned, made, again]) + "".join(path.read_text("utf-8", "replace") for path in manifests(lab))
    assert PASSWORD not in text
    assert lab.s3.administrator.secret_key not in text


def manifests(lab: Lab) -> list[t.Any]:
    return [path for path in lab.local.rglob("*") if path.suffix in (".json", ".md")]


@pytest.mark.long
@pytest.mark.newest
def test_backup_info_lists_filters_and_changes_nothing(lab: Lab) -> None:
    for feature in ("redis_snapshot by SYNC", "redis_snapshot by SYNC", "pg_logical_dump"):
        module, options = options_of(lab, feature)
        assert not run_module(lab, module, options).get("failed")
    before = lab.stored()
    places = {"repositories": lab.repositories, "state_directory": str(lab.directory / "state")}

    everything = run_module(lab, "backup_info", places)
    assert not everything["changed"]
    assert [backup["engine"] for backup in everything["backups"]] == ["redis", "redis", "postgresql"]
    assert everything["problems"] == everything["running"] == []
    assert all(
        backup["repositories"] == {"local": "complete", "offsite": "complete"} for backup in everything["backups"]
    )
    assert run_module(lab, "backup_info", places, check=True)["backups"] == everything["backups"]

    older, newer = everything["backups"][:2]
    newest = run_module(lab, "backup_info", {**places, "newest": 1, "engine": "redis"})
    assert [backup["id"] for backup in newest["backups"]] == [newer["id"]]
    before_newer = run_module(lab, "backup_info", {**places, "before": newer["started"], "engine": "redis"})
    assert older["id"] in [backup["id"] for backup in before_newer["backups"]]
    one = run_module(lab, "backup_info", {**places, "id": older["id"], "manifests": True})
    assert [backup["manifest"]["id"] for backup in one["backups"]] == [older["id"]]
    assert run_module(lab, "backup_info", {**places, "state": "partial"})["backups"] == []
    redis, postgresql = (everything["backups"][number] for number in (0, -1))
    series = ["/".join(backup[key] for key in ("service", "source", "kind")) for backup in (redis, postgresql)]
    assert [one["job"] for one in everything["forecasts"]] == sorted(series)
    assert {one["verdict"] for one in everything["forecasts"]} == {None}
    held = run_module(lab, "backup_info", {**places, "objectives": {series[0]: "1h"}})
    assert {one["job"]: one["verdict"] for one in held["forecasts"]} == {series[0]: "unknown", series[1]: None}
    wrong = run_module(lab, "backup_info", {**places, "objectives": {series[0]: "1 hour"}})
    assert wrong["failed"]
    assert "1 hour" in wrong["msg"]
    refused = run_module(lab, "backup_info", {**places, "before": "2026-11-21T02:00:00"})
    assert refused["failed"]
    assert refused["code"] == "request.invalid"
    assert "no time zone" in refused["msg"]
    assert lab.stored() == before


@pytest.mark.newest
def test_a_repository_that_fails_makes_the_task_fail_with_the_whole_result(lab: Lab) -> None:
    module, options = options_of(lab, "redis_snapshot by SYNC")
    options["repositories"][1]["bucket"] = "nobody-made-this"
    partial = run_module(lab, module, options)
    assert partial["failed"]
    assert partial["code"] == "backup.partial"
    assert partial["changed"]
    assert partial["backup"]["state"] == "partial"
    assert [repository["state"] for repository in partial["backup"]["repositories"]] == ["complete", "failed"]
    assert partial["backup"]["repositories"][1]["error"]["code"] == "storage.bucket_missing"

    tolerated = run_module(lab, module, {**options, "fail_on_partial": False})
    assert not tolerated.get("failed")
    assert tolerated["backup"]["state"] == "partial"
    listed = run_module(lab, "backup_info", {"repositories": lab.repositories, "state": "partial"})
    assert [backup["missing"] for backup in listed["backups"]] == [["offsite"], ["offsite"]]


@pytest.mark.newest
@pytest.mark.newest_first
def test_bad_input_is_refused_by_name_before_anything_is_touched(lab: Lab) -> None:
    module, options = options_of(lab, "mongo_dump")
    cases: dict[str, Json] = {
        "request.invalid": {"service": "Family!"},
        "pipeline.recipient_invalid": {"encryption": {"recipients": ["age1nonsense"]}},
        "secret.unavailable": {"connection": {"uri_file": "/nowhere/at/all"}},
    }
    for code, wrong in cases.items():
        refused = run_module(lab, module, {**options, **wrong})
        assert refused["failed"]
        assert refused["code"] == code
        assert refused["hint"]
    assert lab.stored() == {}


def test_a_host_whose_credentials_may_only_write_makes_whole_backups(lab: Lab) -> None:
    module, options = options_of(lab, "redis_snapshot by SYNC")
    options["repositories"] = lab.repositories_of(WRITER)[1:]
    planned = run_module(lab, module, options, check=True)
    assert not planned.get("failed"), planned["msg"]
    made = run_module(lab, module, options)
    assert not made.get("failed"), made["msg"]
    assert made["backup"]["state"] == "complete"
    refused = run_module(lab, "backup_info", {"repositories": options["repositories"]})
    assert refused["failed"], "these credentials can list after all, so the test shows nothing"
    readers = {"repositories": lab.repositories[1:]}
    assert [backup["id"] for backup in run_module(lab, "backup_info", readers)["backups"]] == [made["backup"]["id"]]
