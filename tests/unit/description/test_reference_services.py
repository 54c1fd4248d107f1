# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every line of the two reference services' tables and lists stands in their inventories, as plain data."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    Description,
    Job,
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_requests import is_stream

INVENTORIES = pathlib.Path(__file__).resolve().parents[3] / "inventories"


class Reference:
    """One of the two services, and short ways to ask for what is in its inventory."""

    def __init__(self, name: str) -> None:
        data: dict[str, t.Any] = {}
        for path in sorted((INVENTORIES / name / "group_vars" / name).glob("*.yml")):
            data.update(yaml.safe_load(path.read_text(encoding="utf-8")))
        self.description: Description = load_description(data)
        (self.service,) = self.description.services
        self.surroundings = self.service.surroundings
        self.raw: dict[str, t.Any] = data["lifeboat_services"][0]

    def job(self, name: str) -> Job:
        (job,) = self.description.jobs([f"{self.service.name}/{name}"])
        return job

    def has(
        self, name: str, *, when: str, kept: t.Mapping[str, t.Mapping[str, t.Any]], triggers: tuple[str, ...] = ()
    ) -> bool:
        """Whether that job runs then and is kept so long in those repositories, and in no others."""
        job = self.job(name)
        found = {
            use.name: {key: value for key, value in use.keep.as_dict().items() if key != "minimum_verified"}
            for use in job.repositories
        }
        return (job.schedule.expression if job.schedule else "") == when and found == kept and job.triggers == triggers

    def source(self, name: str) -> t.Any:
        return next(source for source in self.service.sources if source.name == name)

    def verify(self, name: str) -> t.Mapping[str, t.Any]:
        verify: t.Mapping[str, t.Any] = self.source(name).verify
        return verify

    def question(self, source: str, name: str) -> t.Mapping[str, t.Any]:
        return self.entry(self.verify(source)["questions"], name)

    def objectives(self, name: str) -> tuple[str, str]:
        found = next(item for item in self.service.classes if item.name == name).objectives.as_dict()
        return found.get("rpo", ""), found.get("rto", "")

    def covers(self, name: str) -> tuple[str, ...]:
        return next(item for item in self.service.classes if item.name == name).covers

    def repository(self, name: str) -> t.Mapping[str, t.Any]:
        return next(item for item in self.description.repositories if item.name == name).description

    def one(self, key: str, name: str) -> t.Mapping[str, t.Any]:
        return self.entry(self.surroundings[key], name)

    @staticmethod
    def entry(entries: t.Iterable[t.Mapping[str, t.Any]], name: str) -> t.Mapping[str, t.Any]:
        return next(entry for entry in entries if entry["name"] == name)


@pytest.fixture(scope="module")
def family() -> Reference:
    return Reference("family")


@pytest.fixture(scope="module")
def adhd() -> Reference:
    return Reference("adhd")


Row = tuple[str, t.Callable[[Reference], bool]]

FAMILY: list[Row] = [
    (
        "MongoDB, a connection by reference",
        lambda it: it.source("main").connection == {"uri_file": "/etc/lifeboat/family.uri"},
    ),
    (
        "database second_brain_database",
        lambda it: it.question("main", "users")["database"] == "second_brain_database",
    ),
    (
        "collections that must exist",
        lambda it: it.verify("main")["require_collections"] == ["families", "users", "family_relationships"],
    ),
    ("Redis with RDB", lambda it: it.source("cache").engine == "redis" and it.job("cache/rdb").runnable),
    (
        "API as unit sbd-api on port 8000",
        lambda it: (it.one("applications", "api")["unit"], it.one("applications", "api")["port"]) == ("sbd-api", 8000),
    ),
    ("health at /health", lambda it: it.one("applications", "api")["health"] == {"path": "/health"}),
    (
        "code in /opt/second_brain_database (git)",
        lambda it: (
            it.one("applications", "api")["code"]["path"] == "/opt/second_brain_database"
            and "git" in it.one("applications", "api")["code"]
        ),
    ),
    (
        "configuration files",
        lambda it: (
            it.source("configuration").connection["paths"]
            == [
                "/etc/nginx",
                "/etc/systemd/system",
                "/etc/prometheus",
                "/etc/grafana",
                "/opt/second_brain_database",
                "/etc/mongod.conf",
                "/etc/redis/redis.conf",
                "/.sbd",
            ]
        ),
    ),
    (
        "a system snapshot with every configuration backup",
        lambda it: it.job("configuration/config").options["system_snapshot"],
    ),
    (
        "full system: weekly, Saturday 01:00, 12 weeks, off site",
        lambda it: it.has("system/system", when="0 1 * * 6", kept={"cloud": {"within": "12w"}}),
    ),
    (
        "off site is not this host",
        lambda it: it.repository("cloud")["type"] == "s3" and it.repository("local")["type"] == "file",
    ),
    (
        "database full: daily 02:00, 30 days, local and cloud",
        lambda it: it.has("main/full", when="0 2 * * *", kept={"local": {"within": "30d"}, "cloud": {"within": "30d"}}),
    ),
    (
        "Redis full: daily 02:30, 7 days, local and cloud",
        lambda it: it.has("cache/rdb", when="30 2 * * *", kept={"local": {"within": "7d"}, "cloud": {"within": "7d"}}),
    ),
    (
        "database incremental: every 4 h, 7 days, local",
        lambda it: it.has("main/incremental", when="0 */4 * * *", kept={"local": {"within": "7d"}}),
    ),
    (
        "oplog: every 15 min, 24 h, local",
        lambda it: it.has("main/oplog", when="*/15 * * * *", kept={"local": {"within": "1d"}}),
    ),
    (
        "configuration: on change, and Sunday 03:00, 90 days, version control and local",
        lambda it: (
            it.has(
                "configuration/config",
                when="0 3 * * 0",
                triggers=("change",),
                kept={"configuration-git": {"within": "90d"}, "local": {"within": "90d"}},
            )
            and it.repository("configuration-git")["type"] == "git"
        ),
    ),
    (
        "application code: on deployment, for ever, git repository, bundle and tree",
        lambda it: (
            it.has(
                "code/app",
                when="",
                triggers=("deployment",),
                kept={"code-git": {"forever": True}, "cloud": {"forever": True}},
            )
            and it.repository("code-git")["type"] == "git"
            and it.job("code/app").options == {"git_bundle": True, "tree": True}
        ),
    ),
    (
        "validation of the newest backups: daily 06:00",
        lambda it: (
            {it.verify(name)["schedule"] for name in ("main", "cache", "configuration", "system")} == {"0 6 * * *"}
        ),
    ),
    ("data loss 15 min (critical)", lambda it: it.objectives("critical-data")[0] == "15m"),
    ("data loss 4 h (application)", lambda it: it.objectives("application-data")[0] == "4h"),
    ("data loss 24 h (configuration)", lambda it: it.objectives("configuration")[0] == "1d"),
    (
        "recovery 1 h (authentication, core API, databases)",
        lambda it: (
            it.objectives("critical-services")[1] == "1h"
            and it.covers("critical-services") == ("authentication", "core API", "databases")
        ),
    ),
    (
        "recovery 4 h (family features, notifications, monitoring, full system)",
        lambda it: (
            it.objectives("important-services")[1] == "4h"
            and it.covers("important-services") == ("family features", "notifications", "monitoring", "full system")
        ),
    ),
    ("recovery of the full system 4 h", lambda it: it.source("system").objectives.as_dict()["rto"] == "4h"),
    (
        "recovery 24 h (reporting, analytics, administration, complete disaster recovery)",
        lambda it: (
            it.objectives("supporting-services")[1] == "1d"
            and it.covers("supporting-services")
            == ("reporting", "analytics", "administration", "complete disaster recovery")
        ),
    ),
    (
        "alert: no success in 24 h, critical, after 1 h",
        lambda it: (
            it.one("alerts", "no-success")
            == {"name": "no-success", "no_success_within": "24h", "severity": "critical", "after": "1h"}
        ),
    ),
    (
        "alert: validation failed, critical, at once",
        lambda it: (
            it.one("alerts", "validation-failed")
            == {"name": "validation-failed", "verification_failed": True, "severity": "critical"}
        ),
    ),
    (
        "alert: size changed by more than half against the day before, warning, after 15 min",
        lambda it: (
            it.one("alerts", "size-changed")
            == {"name": "size-changed", "size_changed_by_percent": 50, "severity": "warning", "after": "15m"}
        ),
    ),
    ("monthly restore test", lambda it: it.one("exercises", "restore-test")["schedule"] == "0 7 1 * *"),
    ("quarterly full drill", lambda it: it.one("exercises", "full-drill")["schedule"] == "0 9 1 1,4,7,10 *"),
    (
        "annual review of procedures, objectives, capacity and vendors",
        lambda it: (
            it.one("exercises", "annual-review")["schedule"] == "0 9 15 1 *"
            and it.one("exercises", "annual-review")["subjects"] == ["procedures", "objectives", "capacity", "vendors"]
        ),
    ),
    (
        "communication: incident commander, team notification, update interval, escalation",
        lambda it: (
            {"incident_commander", "team", "update_interval", "escalation"} <= set(it.surroundings["communication"])
        ),
    ),
    (
        "communication: customers, status page, media, regulator",
        lambda it: (
            [audience["name"] for audience in it.surroundings["communication"]["audiences"]]
            == ["customers", "status page", "media", "regulator"]
        ),
    ),
]

ADHD: list[Row] = [
    ("PostgreSQL, database mcp_adhd", lambda it: it.source("main").connection["database"] == "mcp_adhd"),
    ("tables", lambda it: it.verify("main")["require_tables"] == ["users", "tasks", "trace_memories"]),
    ("hot standby, lag at most 5 s", lambda it: it.entry(it.source("main").standbys, "hot-standby")["max_lag"] == "5s"),
    (
        "WAL archive to S3 at least each minute",
        lambda it: (
            it.job("main/wal").triggers == ("continuous",)
            and it.job("main/wal").options["archive_timeout"] == "45s"  # and the way there
            and [it.repository(use.name)["type"] for use in it.job("main/wal").repositories] == ["s3"]
        ),
    ),
    (
        "nightly pg_dump -Fc, 7 days locally, in S3 as STANDARD_IA",
        lambda it: (
            it.job("main/logical").schedule.describe() == "daily at 02:00"
            and it.job("main/logical").options["format"] == "custom"
            and it.job("main/logical").repositories[0].keep.as_dict()["within"] == "7d"
            and it.repository("dumps")["storage_class"] == "STANDARD_IA"
            and it.job("main/logical").repositories[1].name == "dumps"
        ),
    ),
    (
        "hourly incremental 09:00-18:59",
        lambda it: it.job("main/incremental").schedule.describe() == "every hour from 09:00 to 18:00",
    ),
    (
        "Redis snapshots every 5 min, 3 days locally, in S3",
        lambda it: (
            it.job("cache/rdb").schedule.describe() == "every 5 minutes"
            and it.job("cache/rdb").repositories[0].keep.as_dict()["within"] == "3d"
            and it.repository(it.job("cache/rdb").repositories[1].name)["type"] == "s3"
        ),
    ),
    ("Redis with AOF on", lambda it: it.job("cache/aof").runnable),
    (
        "Kubernetes deployment mcp-adhd-server in one region",
        lambda it: (
            it.one("applications", "deployment")["kubernetes"]["deployment"] == "mcp-adhd-server"
            and it.one("applications", "deployment")["region"] == "eu-west-1"
        ),
    ),
    ("on hosts as unit mcp-adhd-server", lambda it: it.one("applications", "server")["unit"] == "mcp-adhd-server"),
    (
        "health at /health/detailed",
        lambda it: (
            {item["health"]["url"].partition(".com")[2] for item in it.surroundings["applications"]}
            == {"/health/detailed"}
        ),
    ),
    (
        "second region with its own standby",
        lambda it: (
            it.entry(it.source("main").standbys, "dr-standby")["region"] == "eu-central-1"
            and it.one("regions", "eu-central-1")["role"] == "standby"
        ),
    ),
    (
        "second region with its own cluster dr-cluster and deployment mcp-adhd-server-dr",
        lambda it: (
            it.one("regions", "eu-central-1")["kubernetes_context"] == "dr-cluster"
            and it.one("applications", "deployment-dr")["kubernetes"]
            == {"context": "dr-cluster", "deployment": "mcp-adhd-server-dr"}
        ),
    ),
    (
        "DNS api.mcp-adhd.com, A, TTL 60",
        lambda it: (
            (it.one("dns", "api.mcp-adhd.com")["type"], it.one("dns", "api.mcp-adhd.com")["ttl"]) == ("A", 60)
            and set(it.one("dns", "api.mcp-adhd.com")["values"]) == {"eu-west-1", "eu-central-1"}
        ),
    ),
    (
        "static assets copied to S3",
        lambda it: it.job("assets/static").kind == "static" and it.repository("assets")["type"] == "s3",
    ),
    ("logs shipped to S3", lambda it: it.job("logs/shipped").repositories[0].description["type"] == "s3"),
    (
        "P1 critical: 5 min, 15 min",
        lambda it: (
            it.objectives("p1") == ("5m", "15m")
            and it.covers("p1") == ("profiles", "active tasks and context", "crisis sessions", "authentication")
        ),
    ),
    (
        "P2 important: 1 h, 2 h",
        lambda it: (
            it.objectives("p2") == ("1h", "2h")
            and it.covers("p2") == ("task history", "metrics", "traces", "integrations")
        ),
    ),
    (
        "P3 historical: 24 h, 8 h",
        lambda it: (
            it.objectives("p3") == ("1d", "8h")
            and it.covers("p3") == ("long-term analytics", "trends", "old audit logs")
        ),
    ),
    (
        "webhooks by path behind a base address that can be chosen",
        lambda it: (
            set(it.surroundings["notifications"]["webhooks"]["endpoints"].values())
            == {
                "/api/backup/status",
                "/api/backup/validation",
                "/api/alerts/critical",
                "/api/alerts/high",
                "/api/alerts/medium",
                "/api/alerts/info",
                "/api/emergency/degradation-mode",
                "/api/emergency/notify-users",
                "/api/database/emergency-optimization",
                "/api/cache/emergency-mode",
            }
            and "base_url" in it.surroundings["notifications"]["webhooks"]
        ),
    ),
    ("mail to the operators", lambda it: it.surroundings["notifications"]["mail"]["to"] == ["operators@mcp-adhd.com"]),
    (
        "after each recovery: active users",
        lambda it: (
            "where is_active" in it.question("main", "active-users")["sql"]
            and it.question("main", "active-users")["ask"] == ["recovery"]
        ),
    ),
    (
        "after each recovery: tasks pending or in progress",
        lambda it: (
            "'pending', 'in_progress'" in it.question("main", "open-tasks")["sql"]
            and it.question("main", "open-tasks")["ask"] == ["recovery"]
        ),
    ),
    (
        "after each recovery: traces of the last 24 h",
        lambda it: (
            "created_at > now() - interval '24 hours'" in it.question("main", "traces-of-the-last-day")["sql"]
            and it.question("main", "traces-of-the-last-day")["ask"] == ["recovery"]
        ),
    ),
    (
        "daily restore test passes when users > 0 and tasks > 0",
        lambda it: (
            it.one("exercises", "daily-restore-test")["schedule"] == "0 4 * * *"
            and (it.question("main", "users")["min"], it.question("main", "tasks")["min"]) == (1, 1)
        ),
    ),
    (
        "monthly DR test: DR database reachable",
        lambda it: (
            it.entry(it.one("exercises", "monthly-dr-test")["checks"], "dr-database")["standby_reachable"]
            == "dr-standby"
            and it.one("exercises", "monthly-dr-test")["schedule"] == "0 5 1 * *"
        ),
    ),
    (
        "monthly DR test: deployment accepted by a server-side dry run",
        lambda it: (
            it.entry(it.one("exercises", "monthly-dr-test")["checks"], "dr-deployment")["deployment_dry_run"]
            == "deployment-dr"
        ),
    ),
    (
        "monthly DR test: user count differs by fewer than 10",
        lambda it: (
            it.entry(it.one("exercises", "monthly-dr-test")["checks"], "users-differ-by-fewer-than-10")["question"][
                "within_count_of"
            ]
            == {"reference": "primary", "count": 9}
        ),
    ),
    ("alert: any failed backup", lambda it: it.one("alerts", "backup-failed")["backup_failed"] is True),
    (
        "alert: newest daily backup older than 25 h",
        lambda it: (
            it.one("alerts", "daily-too-old")["newest_older_than"] == "25h"
            and it.one("alerts", "daily-too-old")["jobs"] == ["main/logical"]
        ),
    ),
    (
        "status report: newest success, size and age per kind, WAL position, last five validations",
        lambda it: (
            it.one("reports", "status")["includes"]
            == ["newest_success", "size", "age", "wal_position", "verifications"]
            and it.one("reports", "status")["verifications"] == 5
        ),
    ),
    (
        "degraded mode: essential only",
        lambda it: (
            it.surroundings["degraded_mode"]["essential"]
            == ["crisis support", "basic task operations", "authentication", "minimal context"]
        ),
    ),
    (
        "degraded mode: off",
        lambda it: (
            it.surroundings["degraded_mode"]["disabled"]
            == ["analytics", "integrations", "advanced features", "background processing"]
        ),
    ),
    (
        "degraded mode: users are told, with alternatives",
        lambda it: bool(
            it.surroundings["degraded_mode"]["message"] and it.surroundings["degraded_mode"]["alternatives"]
        ),
    ),
]


@pytest.mark.parametrize(("row", "stands"), FAMILY, ids=[row for row, _stands in FAMILY])
def test_family(family: Reference, row: str, stands: t.Callable[[Reference], bool]) -> None:
    assert stands(family), row


@pytest.mark.parametrize(("row", "stands"), ADHD, ids=[row for row, _stands in ADHD])
def test_adhd(adhd: Reference, row: str, stands: t.Callable[[Reference], bool]) -> None:
    assert stands(adhd), row


def test_neither_leaves_a_doubt(family: Reference, adhd: Reference) -> None:
    assert family.description.warnings == ()
    assert adhd.description.warnings == ()


def test_a_differential_backup_can_be_described_in_place_of_the_incremental_one(family: Reference) -> None:
    main = family.raw["sources"][0]
    backups = [
        {**one, "kind": "differential"} if one["kind"] == "incremental" else {**one, "repositories": ["local"]}
        for one in main["backups"]
    ]
    description = load_description(
        {
            "lifeboat_repositories": {"local": {"type": "file", "path": "/b"}},
            "lifeboat_services": [
                {**family.raw, "exercises": [], "sources": [{**main, "backups": backups}], "applications": []}
            ],
        }
    )
    jobs = {job.id: job for job in description.jobs()}
    assert "family/main/differential" in jobs
    assert is_stream(jobs["family/main/differential"])
    assert description.warnings == ()
