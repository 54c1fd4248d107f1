# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics as node_exporter reads them, and what is built on them."""

from __future__ import annotations

import datetime
import json
import pathlib
import re
import typing as t

import jsonschema
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.replica_lag import ReplicaLag
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.replica_lag import ReplicaFact
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_room import (
    WalLimits,
    WalRoom,
    room_facts,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.metrics import metrics_text
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.metrics_catalog import METRICS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.metrics_dashboard import dashboard
from tests.support.command_line import describe
from tests.support.watched import NOW, Watched

_SAMPLE = re.compile(r'([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (-?[0-9.e+]+)')
PANEL = {
    "type": "object",
    "required": ["id", "title", "type", "datasource", "gridPos", "fieldConfig", "targets"],
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "title": {"type": "string", "minLength": 1},
        "type": {"enum": ["stat", "timeseries"]},
        "gridPos": {
            "type": "object",
            "required": ["x", "y", "w", "h"],
            "properties": {"x": {"maximum": 12}, "w": {"maximum": 24}, "h": {"minimum": 3}},
        },
        "targets": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["refId", "expr", "datasource"]},
        },
    },
}
DASHBOARD = {
    "type": "object",
    "required": ["title", "uid", "schemaVersion", "panels", "templating", "time"],
    "properties": {"panels": {"type": "array", "minItems": 1, "items": PANEL}},
}


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Watched:
    return Watched(tmp_path / "site")


def samples(text: str) -> dict[str, float]:
    """By name and labels; fails for a line that node_exporter would refuse, and for what comes twice."""
    found: dict[str, float] = {}
    told: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            told.add(line.split()[2])
            continue
        if line.startswith("# TYPE "):
            assert line.split()[2] in told
            assert line.endswith(" gauge")
            continue
        matched = _SAMPLE.fullmatch(line)
        assert matched is not None, line
        assert matched[1] in told
        name = matched[1] + (matched[2] or "")
        assert name not in found
        found[name] = float(matched[3])
    assert text.endswith("\n")
    return found


def of_job(found: t.Mapping[str, float], name: str) -> float:
    (value,) = (value for key, value in found.items() if key.startswith(f"{name}{{"))
    return value


def test_every_fact_of_a_job_and_its_source_is_there(site: Watched) -> None:
    site.backup(27, size=2_000_000)
    newest = site.backup(3, size=1_000_000, seconds=90.5)
    site.verification(newest, hours_ago=1, recovery=250.0)
    found = samples(metrics_text(site.report().document))
    now = NOW.timestamp()
    expected = {
        "lifeboat_job_last_success_timestamp_seconds": now - 3 * 3600 + 90.5,
        "lifeboat_job_newest_timestamp_seconds": now - 3 * 3600,
        "lifeboat_job_last_verified_timestamp_seconds": now - 3600 + 400,
        "lifeboat_job_last_verified_level": 4,
        "lifeboat_job_verification_failed": 0,
        "lifeboat_job_size_bytes": 1_000_000,
        "lifeboat_job_duration_seconds": 90.5,
        "lifeboat_job_backups": 2,
        "lifeboat_job_next_run_timestamp_seconds": now + 21 * 3600,
        "lifeboat_job_deadline_timestamp_seconds": now + 22 * 3600 + 90.5,
        "lifeboat_job_overdue": 0,
        "lifeboat_job_failed": 0,
        "lifeboat_source_recoverable_timestamp_seconds": now - 3 * 3600,
        "lifeboat_source_rpo_seconds": 3 * 3600,
        "lifeboat_source_rpo_objective_seconds": 86400,
        "lifeboat_source_rto_forecast_seconds": 250,
        "lifeboat_source_rto_objective_seconds": 3600,
    }
    assert {name: of_job(found, name) for name in expected} == expected
    labels = 'lifeboat_job="family/main/full",service="family",source="main",kind="full",engine="mongodb"'
    assert f"lifeboat_job_backups{{{labels}}}" in found
    assert found['lifeboat_repository_reachable{repository="offsite"}'] == 1
    assert found["lifeboat_metrics_timestamp_seconds"] == now


def test_what_never_happened_is_0_and_what_is_not_known_is_not_there(site: Watched) -> None:
    found = samples(metrics_text(site.report().document))
    assert of_job(found, "lifeboat_job_last_success_timestamp_seconds") == 0
    assert of_job(found, "lifeboat_job_last_verified_level") == -1
    assert of_job(found, "lifeboat_source_recoverable_timestamp_seconds") == 0
    assert not [key for key in found if "size_bytes" in key or "deadline" in key or "rto_forecast" in key]


def fact(lag: ReplicaLag | None, **more: t.Any) -> ReplicaFact:
    return ReplicaFact(
        service="adhd", source="main", engine="postgresql", replica="hot", **{"objective": None, "lag": lag, **more}
    )


def test_a_standby_tells_how_far_it_is_behind(site: Watched) -> None:
    behind = fact(ReplicaLag(follows=True, seconds=7.5, behind_bytes=4096), objective=datetime.timedelta(seconds=5))
    found = samples(metrics_text(site.report().document, replicas=[behind]))
    labels = '{lifeboat_source="adhd/main",replica="hot",service="adhd",engine="postgresql"}'
    assert {name: value for name, value in found.items() if "replica" in name} == {
        f"lifeboat_replica_lag_known{labels}": 1,
        f"lifeboat_replica_follows{labels}": 1,
        f"lifeboat_replica_lag_seconds{labels}": 7.5,
        f"lifeboat_replica_lag_bytes{labels}": 4096,
        f"lifeboat_replica_lag_objective_seconds{labels}": 5,
    }


def test_a_standby_that_does_not_answer_or_follow_is_told_and_not_hidden(site: Watched) -> None:
    silent = samples(metrics_text(site.report().document, replicas=[fact(None)]))
    assert {name.partition("{")[0]: value for name, value in silent.items() if "replica" in name} == {
        "lifeboat_replica_lag_known": 0
    }
    promoted = samples(metrics_text(site.report().document, replicas=[fact(ReplicaLag(follows=False))]))
    assert of_job(promoted, "lifeboat_replica_follows") == 0
    assert of_job(promoted, "lifeboat_replica_lag_known") == 0


def test_failures_are_told(site: Watched) -> None:
    site.verification(site.backup(27), hours_ago=25)
    site.verification(site.backup(3), hours_ago=1, passed=False)
    site.ran(hours_ago=0.5)
    (site.folder / "offsite").rename(site.folder / "gone")
    found = samples(metrics_text(site.report().document))
    assert of_job(found, "lifeboat_job_failed") == 1
    assert of_job(found, "lifeboat_job_verification_failed") == 1
    assert of_job(found, "lifeboat_job_newest_timestamp_seconds") == NOW.timestamp() - 27 * 3600
    assert found['lifeboat_repository_reachable{repository="offsite"}'] == 0


def test_streams_tell_what_waits_and_what_the_server_still_has(site: Watched) -> None:
    document = site.report().document
    stream = {
        "job": "family/main/oplog",
        "service": "family",
        "source": "main",
        "kind": "oplog",
        "engine": "mongodb",
        "state": "blocked",
        "last_success": "2026-11-21T04:00:00Z",
        "stored_until": "2026-11-21T03:59:00Z",
        "spool": {"used_bytes": 5, "budget_bytes": 10, "oldest_age_seconds": 2.5},
        "oplog_hours": 2.5,
        "pg_wal": None,
        "next_run": None,
        "due": None,
        "overdue": False,
        "running": None,
    }
    found = samples(metrics_text({**document, "jobs": [], "streams": [stream]}))
    assert of_job(found, "lifeboat_stream_spool_bytes") == 5
    assert of_job(found, "lifeboat_stream_spool_age_seconds") == 2.5
    assert of_job(found, "lifeboat_stream_oplog_window_seconds") == 9000
    assert of_job(found, "lifeboat_job_failed") == 1
    assert "pg_wal" not in str(found)
    room = WalRoom(segment_size=16, size=1000, waiting=3, free=40, disk=500)
    stream["pg_wal"] = room_facts(room, WalLimits(budget=100, free_percent=10))
    found = samples(metrics_text({**document, "jobs": [], "streams": [stream]}))
    told = {
        name: of_job(found, f"lifeboat_stream_pg_wal_{name}_bytes")
        for name in ("waiting", "budget", "disk", "disk_free", "disk_wanted")
    }
    assert told == {"waiting": 48, "budget": 100, "disk": 500, "disk_free": 40, "disk_wanted": 50}
    assert of_job(found, "lifeboat_stream_pg_wal_bytes") == 1000
    stream["pg_wal"] = room_facts(WalRoom(segment_size=16, size=None, waiting=0), WalLimits())
    found = samples(metrics_text({**document, "jobs": [], "streams": [stream]}))
    assert "disk" not in str(found), "what is not known is not there"


def test_labels_are_escaped(site: Watched) -> None:
    document = site.report().document
    document["repositories"] = [{"name": 'a"b\\c\nd', "reachable": True}]
    text = metrics_text(document)
    assert 'repository="a\\"b\\\\c\\nd"' in text
    samples(text)


def test_the_dashboard_shows_only_metrics_that_exist() -> None:
    found = json.loads(json.dumps(dashboard()))
    jsonschema.Draft202012Validator(DASHBOARD).validate(found)
    used = {
        name
        for panel in found["panels"]
        for target in panel["targets"]
        for name in re.findall(r"lifeboat_[a-z_]+", target["expr"])
        if name not in ("lifeboat_job", "lifeboat_source")
    }
    assert used
    assert used <= set(METRICS)
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])


def test_the_page_names_every_metric_and_no_other() -> None:
    page = (pathlib.Path(__file__).parents[3] / "docs/monitoring.md").read_text(encoding="utf-8")
    named = set(re.findall(r"lifeboat_[a-z_]+", page)) - {"lifeboat_job", "lifeboat_source"}
    assert named == set(METRICS)


def test_the_command_writes_in_one_step_and_refuses_what_nobody_reads(site: Watched) -> None:
    site.backup(3)
    lifeboat = describe(site.folder / "config.json", site.mapping)
    path = site.folder / "lifeboat.prom"
    lifeboat("metrics --textfile", str(path)).succeeded()
    assert of_job(samples(path.read_text(encoding="utf-8")), "lifeboat_job_backups") == 1
    assert path.stat().st_mode & 0o777 == 0o644
    assert samples(lifeboat("metrics").succeeded().out)
    lifeboat("metrics --textfile", str(site.folder / "lifeboat.txt")).refused("request.invalid", hint=".prom")
    lifeboat("metrics --textfile", str(site.folder / "no/lifeboat.prom")).refused("output.unwritable")
    assert json.loads(lifeboat("metrics --dashboard").succeeded().out)["uid"] == "lifeboat"
