# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert rules judged by the genuine promtool: well formed, and with series that fire, don't fire, resolve."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import typing as t
import warnings

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.metrics_catalog import METRICS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.metrics_rules import Rules, alert_rules

INVENTORIES = pathlib.Path(__file__).resolve().parents[2] / "inventories"
JOB = 'lifeboat_job="{job}",service="{service}",source="{source}",kind="{kind}",engine="x"'
Json = dict[str, t.Any]
HOUR = 3600


@pytest.fixture(scope="module")
def promtool() -> str:
    found = os.environ.get("LIFEBOAT_PROMTOOL") or shutil.which("promtool")
    if found is None:
        said = "SKIPPED: no alert rule was judged, because promtool is missing. Run: apt-get install prometheus"
        warnings.warn(said, stacklevel=1)
        pytest.skip(said)
    return found


def rules_of(name: str) -> Rules:
    data: Json = {}
    for path in sorted((INVENTORIES / name / "group_vars" / name).glob("*.yml")):
        data.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    return alert_rules(load_description(data))


def series(metric: str, job: str, values: str) -> Json:
    service, source, kind = job.split("/")
    labels = JOB.format(job=job, service=service, source=source, kind=kind)
    return {"series": f"{metric}{{{labels}}}", "values": values}


def of_source(metric: str, values: str) -> Json:
    labels = 'lifeboat_source="family/main",service="family",engine="mongodb"'
    return {"series": f"{metric}{{{labels}}}", "values": values}


def of_replica(metric: str, values: str, *, replica: str = "hot-standby") -> Json:
    labels = f'lifeboat_source="adhd/main",replica="{replica}",service="adhd",engine="postgresql"'
    return {"series": f"{metric}{{{labels}}}", "values": values}


class Case(t.NamedTuple):
    """An alert with its series (a value each minute), and whom it names at which minutes."""

    inventory: str
    alert: str
    series: list[Json]
    fires: dict[int, int]  # minute: how many alerts


FULL, LOGICAL, RDB = "family/main/full", "adhd/main/logical", "adhd/cache/rdb"
SUCCESS, DEADLINE = "lifeboat_job_last_success_timestamp_seconds", "lifeboat_job_deadline_timestamp_seconds"
UNTIL = "lifeboat_degraded_mode_until_timestamp_seconds"
CASES: dict[str, Case] = {
    "degraded mode that nobody has left": Case(
        "adhd",
        "LifeboatDegradedModeForgotten",
        # Two hosts know of it, one of them of an earlier end; meant to last until minute 30, then until minute 90.
        [
            {"series": f'{UNTIL}{{service="adhd",instance="one"}}', "values": "1800x59 5400x100"},
            {"series": f'{UNTIL}{{service="adhd",instance="two"}}', "values": "600x159"},
        ],
        {29: 0, 39: 0, 42: 1, 59: 1, 61: 0, 89: 0, 102: 1},
    ),
    "degraded mode that was left": Case(
        "adhd",
        "LifeboatDegradedModeForgotten",
        [{"series": f'{UNTIL}{{service="adhd"}}', "values": "1800x50 stale"}],
        {29: 0, 42: 1, 58: 0},
    ),
    "overdue by the job's own schedule": Case(
        "family",
        "LifeboatOverdue",
        # until minute 60 the deadline is at minute 30; then there was a success, and the next one is at minute 500
        [series(DEADLINE, FULL, "1800x59 30000x200"), series(DEADLINE, "family/cache/rdb", "99999x259")],
        {29: 0, 35: 0, 42: 1, 59: 1, 61: 0, 200: 0},
    ),
    "no success in 24 hours, critical after an hour": Case(
        "family",
        "Lifeboat_family_no_success",
        [series(SUCCESS, FULL, f"60x{27 * 60} {27 * HOUR}x60")],
        {23 * 60: 0, 24 * 60 + 30: 0, 25 * 60 + 5: 1, 27 * 60 + 5: 0},
    ),
    "validation failed, at once": Case(
        "family",
        "Lifeboat_family_validation_failed",
        [
            series("lifeboat_job_verification_failed", FULL, "0x9 1x9 0x9"),
            series("lifeboat_job_verification_failed", "family/cache/rdb", "0x30"),
        ],
        {5: 0, 10: 1, 19: 1, 21: 0},
    ),
    "size changed by more than half, up or down": Case(
        "family",
        "Lifeboat_family_size_changed",
        [
            series("lifeboat_job_size_bytes", FULL, f"100x{25 * 60} 151x{3 * 60}"),
            series("lifeboat_job_size_bytes", "family/cache/rdb", f"100x{25 * 60} 49x{3 * 60}"),
            series("lifeboat_job_size_bytes", "family/main/incremental", f"100x{25 * 60} 149x{3 * 60}"),
        ],
        {60: 0, 25 * 60 + 5: 0, 25 * 60 + 20: 2},
    ),
    "any failed backup": Case(
        "adhd",
        "Lifeboat_adhd_backup_failed",
        [series("lifeboat_job_failed", RDB, "0x4 1x4 0x4"), series("lifeboat_job_failed", LOGICAL, "0x12")],
        {3: 0, 6: 1, 11: 0},
    ),
    "newest daily backup older than 25 hours": Case(
        "adhd",
        "Lifeboat_adhd_daily_too_old",
        [
            series("lifeboat_job_newest_timestamp_seconds", LOGICAL, f"0x{26 * 60} {26 * HOUR}x60"),
            # another kind that is as old is not meant
            series("lifeboat_job_newest_timestamp_seconds", "adhd/main/base", f"0x{27 * 60}"),
        ],
        {24 * 60: 0, 25 * 60 + 1: 1, 26 * 60 + 5: 0},
    ),
    "more would be lost than may be": Case(
        "family",
        "LifeboatRecoveryPointMissed",
        [
            of_source("lifeboat_source_recoverable_timestamp_seconds", "0x60 3600x60"),
            of_source("lifeboat_source_rpo_objective_seconds", "600x120"),
            of_source("lifeboat_source_rpo_grace_seconds", "300x120"),
        ],
        {14: 0, 20: 0, 31: 1, 59: 1, 62: 0},
    ),
    "a recovery takes longer than it may": Case(
        "family",
        "LifeboatRecoveryTimeMissed",
        [
            of_source("lifeboat_source_rto_forecast_seconds", "100x29 4000x29 100x29"),
            of_source("lifeboat_source_rto_objective_seconds", "3600x120"),
        ],
        {20: 0, 40: 0, 50: 1, 65: 0},
    ),
    "a repository is away": Case(
        "family",
        "LifeboatRepositoryUnreachable",
        [{"series": 'lifeboat_repository_reachable{repository="cloud"}', "values": "1x9 0x29 1x9"}],
        {8: 0, 15: 0, 30: 1, 45: 0},
    ),
    "a spool fills": Case(
        "family",
        "LifeboatSpoolFilling",
        [
            series("lifeboat_stream_spool_bytes", "family/main/oplog", "79x19 81x19 10x19"),
            series("lifeboat_stream_spool_budget_bytes", "family/main/oplog", "100x60"),
        ],
        {15: 0, 22: 0, 30: 1, 45: 0},
    ),
    "what waits in pg_wal grows": Case(
        "adhd",
        "LifeboatPgWalGrowing",
        [
            series("lifeboat_stream_pg_wal_waiting_bytes", "adhd/main/wal", "80x19 81x19 16x19"),
            series("lifeboat_stream_pg_wal_budget_bytes", "adhd/main/wal", "100x60"),
        ],
        {15: 0, 22: 0, 30: 1, 45: 0},
    ),
    "the disk of pg_wal fills": Case(
        "adhd",
        "LifeboatPgWalDiskFilling",
        [
            series("lifeboat_stream_pg_wal_disk_free_bytes", "adhd/main/wal", "50x19 49x19 60x19"),
            series("lifeboat_stream_pg_wal_disk_wanted_bytes", "adhd/main/wal", "50x60"),
        ],
        {15: 0, 22: 0, 30: 1, 45: 0},
    ),
    "a standby is further behind than it may be": Case(
        "adhd",
        "LifeboatReplicaLag",
        [
            of_replica("lifeboat_replica_lag_seconds", "1x9 6x19 2x19"),
            of_replica("lifeboat_replica_lag_objective_seconds", "5x60"),
            # one without an objective
            of_replica("lifeboat_replica_lag_seconds", "900x60", replica="dr-standby"),
        ],
        {9: 0, 12: 0, 20: 1, 32: 0},
    ),
    "a standby is further behind than the alert says": Case(
        "adhd",
        "Lifeboat_adhd_standby_behind",
        [of_replica("lifeboat_replica_lag_seconds", "5x9 6x9 5x19"), of_replica("lifeboat_replica_lag_bytes", "9x60")],
        {9: 0, 10: 0, 14: 1, 22: 0},
    ),
    "a standby does not follow": Case(
        "adhd",
        "LifeboatReplicaDoesNotFollow",
        [of_replica("lifeboat_replica_follows", "1x9 0x19 1x9")],
        {9: 0, 12: 0, 20: 1, 32: 0},
    ),
    "a standby that does not answer": Case(
        "adhd",
        "LifeboatReplicaUnknown",
        [of_replica("lifeboat_replica_lag_known", "1x9 0x29 1x9")],
        {9: 0, 20: 0, 30: 1, 42: 0},
    ),
    "a standby whose slot has lost its WAL": Case(
        "adhd",
        "LifeboatReplicaSlotLost",
        [
            of_replica("lifeboat_replica_slot_lost", "0x9 1x19 0x9"),
            of_replica("lifeboat_replica_slot_retained_bytes", "16777216x60"),
        ],
        {9: 0, 12: 0, 20: 1, 32: 0},
    ),
    "a host that is silent": Case(
        "adhd",
        "LifeboatMetricsStale",
        [{"series": "lifeboat_metrics_timestamp_seconds", "values": "0x39 2400x19"}],
        {29: 0, 32: 1, 41: 0},
    ),
}


def test_promtool_takes_the_rules_of_both_services(promtool: str, tmp_path: pathlib.Path) -> None:
    for name in ("family", "adhd"):
        path = tmp_path / f"{name}.yml"
        path.write_text(yaml.safe_dump(rules_of(name).document, sort_keys=False), encoding="utf-8")
        done = subprocess.run([promtool, "check", "rules", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_each_alert_fires_when_it_should_and_not_before_and_resolves(promtool: str, tmp_path: pathlib.Path) -> None:
    for inventory in ("family", "adhd"):
        rules = rules_of(inventory).document
        (tmp_path / f"{inventory}.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
        document = {
            "rule_files": [f"{inventory}.yml"],
            "evaluation_interval": "1m",
            "tests": [judged(case, rules) for case in CASES.values() if case.inventory == inventory],
        }
        path = tmp_path / f"{inventory}-test.yml"
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        done = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_sees_an_alert_that_does_not_fire(promtool: str, tmp_path: pathlib.Path) -> None:
    """The judge is not blind: the same test with a rule that is wrong fails."""
    rules = rules_of("family").document
    case = CASES["validation failed, at once"]
    for rule in every(rules):
        rule["expr"] = rule["expr"].replace("verification_failed", "verification_passed")
    (tmp_path / "family.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    document = {"rule_files": ["family.yml"], "evaluation_interval": "1m", "tests": [judged(case, rules)]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "test.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0


def test_every_alert_of_the_two_services_has_a_rule_or_is_named_as_left_out() -> None:
    found = {name: rules_of(name) for name in ("family", "adhd")}
    names = {rule["alert"] for one in found.values() for rule in every(one.document)}
    assert {case.alert for case in CASES.values()} == names
    assert found["family"].left_out == ()
    assert found["adhd"].left_out == ()
    by_name = {rule["alert"]: rule for one in found.values() for rule in every(one.document)}
    no_success = by_name["Lifeboat_family_no_success"]
    assert (no_success["labels"]["severity"], no_success["for"]) == ("critical", "1h")
    assert "for" not in by_name["Lifeboat_family_validation_failed"]
    assert by_name["Lifeboat_family_size_changed"]["for"] == "15m"
    # weekly and on events: these have no success each day, and are not asked for one
    assert "family/system/system" not in no_success["expr"]
    assert "family/code/app" not in no_success["expr"]
    assert "family/main/full" in no_success["expr"]


def test_an_alert_on_a_job_of_a_stream_asks_for_the_name_that_the_stream_has() -> None:
    more: Json = {"repositories": ["local"], "keep": {"within": "7d"}}
    kinds = {"full": "0 2 * * *", "incremental": "0 */4 * * *", "oplog": "*/15 * * * *"}
    backups = [{"kind": kind, "schedule": schedule, **more} for kind, schedule in kinds.items()]
    source = {"name": "main", "engine": "mongodb", "connection": {"uri_file": "/etc/uri"}, "backups": backups}
    alert = {"name": "silent", "no_success_within": "8h", "severity": "high", "jobs": ["main/incremental"]}
    described = {
        "lifeboat_repositories": {"local": {"type": "file", "path": "/srv"}},
        "lifeboat_services": [{"name": "family", "sources": [source], "alerts": [alert]}],
    }
    (rule,) = [one for one in every(alert_rules(load_description(described)).document) if "silent" in one["alert"]]
    assert 'lifeboat_job=~"family/main/oplog"' in rule["expr"]


def test_rules_name_only_metrics_that_exist() -> None:
    for name in ("family", "adhd"):
        for rule in every(rules_of(name).document):
            used = set(re.findall(r"lifeboat_[a-z_]+", rule["expr"])) - {"lifeboat_job", "lifeboat_source"}
            assert used
            assert used <= set(METRICS), rule["expr"]


def every(document: Json) -> t.Iterator[Json]:
    for group in document["groups"]:
        yield from group["rules"]


def judged(case: Case, rules: Json) -> Json:
    """The case as promtool reads it: exactly so many alerts at each minute, with all that they say."""
    (rule,) = (one for one in every(rules) if one["alert"] == case.alert)
    return {
        "interval": "1m",
        "input_series": case.series,
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}}) or vector(0)',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": count}],
            }
            for minute, count in case.fires.items()
        ],
        "name": f"{case.alert} ({rule['labels']['severity']})",
    }
