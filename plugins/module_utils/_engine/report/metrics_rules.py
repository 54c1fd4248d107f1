# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus alert rules from the description: each alert that it names, and those that every host needs.

Rules hold times against ``time()``, so that a host that is gone, and writes nothing any more, raises them too.
"""

from __future__ import annotations

import datetime
import re
import typing as t
from dataclasses import dataclass, field

from ..core.description.description import Description
from ..core.description.duration import describe_duration, format_duration, parse_duration
from ..core.description.model import Job, Service
from ..operations.ship_requests import is_stream, shipping_jobs

#: Metrics are written each five minutes; a success shows so much later at most.
_SETTLED = "10m"
_STALE = datetime.timedelta(minutes=30)
_FAILED: t.Mapping[str, str] = {
    "backup_failed": "lifeboat_job_failed",
    "verification_failed": "lifeboat_job_verification_failed",
}
_DAY = datetime.timedelta(days=1)
_REPLICA = "{{ $labels.replica }} of {{ $labels.lifeboat_source }}"


@dataclass(frozen=True)
class Rules:
    """``document`` is what Prometheus reads; ``left_out`` are alerts of the description that no metric tells of."""

    document: dict[str, t.Any]
    left_out: tuple[str, ...] = field(default_factory=tuple)


def alert_rules(description: Description) -> Rules:
    """One group for each service with alerts, and one for all."""
    groups: list[dict[str, t.Any]] = [{"name": "lifeboat", "rules": _common()}]
    left_out: list[str] = []
    for service in description.services:
        rules = []
        for alert in service.surroundings.get("alerts", ()):
            expression = _expression(service, alert)
            if expression is None:
                left_out.append(f"{service.name}: the alert {alert['name']}: Lifeboat has no metric of it.")
                continue
            rules.append(
                _rule(
                    f"Lifeboat_{service.name}_{alert['name']}",
                    expression,
                    severity=str(alert["severity"]),
                    after=alert.get("after"),
                    summary=str(alert.get("description") or _said(alert)),
                )
            )
        if rules:
            groups.append({"name": f"lifeboat {service.name}", "rules": rules})
    return Rules(document={"groups": groups}, left_out=tuple(left_out))


def _common() -> list[dict[str, t.Any]]:
    return [
        _rule(
            "LifeboatOverdue",
            "time() > lifeboat_job_deadline_timestamp_seconds",
            severity="critical",
            after=_SETTLED,
            summary="{{ $labels.lifeboat_job }} has not succeeded by the time that its own schedule asks for.",
        ),
        _rule(
            "LifeboatRecoveryPointMissed",
            "time() - lifeboat_source_recoverable_timestamp_seconds "
            "> lifeboat_source_rpo_objective_seconds + lifeboat_source_rpo_grace_seconds",
            severity="critical",
            after="15m",
            summary="More of {{ $labels.lifeboat_source }} would be lost now than may be.",
        ),
        _rule(
            "LifeboatRecoveryTimeMissed",
            "lifeboat_source_rto_forecast_seconds > lifeboat_source_rto_objective_seconds",
            severity="warning",
            after="15m",
            summary="Bringing {{ $labels.lifeboat_source }} back takes longer than it may, by what was measured.",
        ),
        _rule(
            "LifeboatRepositoryUnreachable",
            "lifeboat_repository_reachable == 0",
            severity="critical",
            after="15m",
            summary="The repository {{ $labels.repository }} can't be read.",
        ),
        _rule(
            "LifeboatSpoolFilling",
            "lifeboat_stream_spool_bytes > 0.8 * lifeboat_stream_spool_budget_bytes",
            severity="critical",
            after="5m",
            summary="The spool of {{ $labels.lifeboat_job }} is 80 % full; when it is full, the stream stops.",
        ),
        _rule(
            "LifeboatPgWalGrowing",
            "lifeboat_stream_pg_wal_waiting_bytes > 0.8 * lifeboat_stream_pg_wal_budget_bytes",
            severity="critical",
            after="5m",
            summary="What waits in pg_wal for the archive of {{ $labels.lifeboat_job }} is 80 % of what may.",
        ),
        _rule(
            "LifeboatPgWalDiskFilling",
            "lifeboat_stream_pg_wal_disk_free_bytes < lifeboat_stream_pg_wal_disk_wanted_bytes",
            severity="critical",
            after="5m",
            summary="The disk of pg_wal ({{ $labels.lifeboat_job }}) is nearly full; when it is, the server stops.",
        ),
        _rule(
            "LifeboatReplicaLag",
            "lifeboat_replica_lag_seconds > lifeboat_replica_lag_objective_seconds",
            severity="critical",
            after="5m",
            summary=f"The standby {_REPLICA} is further behind than it may be.",
        ),
        _rule(
            "LifeboatReplicaDoesNotFollow",
            "lifeboat_replica_follows == 0",
            severity="critical",
            after="5m",
            summary=f"The standby {_REPLICA} takes no writes of its primary.",
        ),
        _rule(
            "LifeboatReplicaUnknown",
            "lifeboat_replica_lag_known == 0",
            severity="critical",
            after="15m",
            summary=f"How far the standby {_REPLICA} is behind can't be told.",
        ),
        _rule(
            "LifeboatDegradedModeForgotten",
            "time() > max by (service) (lifeboat_degraded_mode_until_timestamp_seconds)",
            severity="critical",
            after=_SETTLED,
            summary="{{ $labels.service }} is in degraded mode for longer than was meant. Leave it, or say until when.",
        ),
        _rule(
            "LifeboatReplicaSlotLost",
            "lifeboat_replica_slot_lost == 1",
            severity="critical",
            after="5m",
            summary=f"The slot of the standby {_REPLICA} has lost WAL: only the archive or a new copy brings it back.",
        ),
        _rule(
            "LifeboatMetricsStale",
            f"time() - lifeboat_metrics_timestamp_seconds > {int(_STALE.total_seconds())}",
            severity="warning",
            after=None,
            summary="The host writes no metrics any more. Does its cron run lifeboat metrics?",
        ),
    ]


def _expression(service: Service, alert: t.Mapping[str, t.Any]) -> str | None:
    every = _jobs_of(service)
    jobs = [job for job in every if _selects(alert.get("jobs"), job)]
    chosen = _matcher(service, jobs, whole=not alert.get("jobs"))
    failed = next((metric for condition, metric in _FAILED.items() if condition in alert), None)
    if failed is not None:
        return f"{failed}{chosen} == 1"
    if "no_success_within" in alert:
        limit = parse_duration(alert["no_success_within"])
        # What runs more seldom by its schedule is no news; the rule on overdue jobs is for that.
        often = [job for job in jobs if _runs_within(job, limit)]
        chosen = _matcher(service, often, whole=len(often) == len(every))
        return f"time() - lifeboat_job_last_success_timestamp_seconds{chosen} > {_seconds(limit)}"
    if "newest_older_than" in alert:
        limit = parse_duration(alert["newest_older_than"])
        return f"time() - lifeboat_job_newest_timestamp_seconds{chosen} > {_seconds(limit)}"
    if "replication_lag_over" in alert:
        limit = parse_duration(alert["replication_lag_over"])
        return f"lifeboat_replica_lag_seconds{_matcher(service, (), whole=True)} > {_seconds(limit)}"
    if "size_changed_by_percent" in alert:
        size = f"lifeboat_job_size_bytes{chosen}"
        return (
            f"abs({size} / ({size} offset {format_duration(_DAY)} > 0) - 1) > {alert['size_changed_by_percent'] / 100}"
        )
    return None


def _jobs_of(service: Service) -> list[Job]:
    return [job for source in service.sources for job in source.jobs]


def _runs_within(job: Job, limit: datetime.timedelta) -> bool:
    if "continuous" in job.triggers:
        return True
    return job.schedule is not None and job.schedule.longest_gap() <= limit


def _selects(names: t.Sequence[str] | None, job: Job) -> bool:
    """As the description reads them: full ids or their beginnings, with or without the service."""
    if not names:
        return True
    short = job.id.partition("/")[2]
    return any(one == name or one.startswith(f"{name}/") for name in names for one in (job.id, short))


def _matcher(service: Service, jobs: t.Sequence[Job], *, whole: bool) -> str:
    if whole:
        return f'{{service="{service.name}"}}'
    told = {(job.source, job.kind): job.id for job in shipping_jobs(_jobs_of(service))}
    # A stream has the name of the job that ships it, whichever of those that share it is meant.
    ids = dict.fromkeys(told.get((job.source, job.kind), job.id) if is_stream(job) else job.id for job in jobs)
    names = "|".join(re.escape(one).replace("\\", "\\\\") for one in ids)
    return f'{{lifeboat_job=~"{names}"}}'


def _rule(name: str, expression: str, *, severity: str, after: t.Any, summary: str) -> dict[str, t.Any]:
    return {
        "alert": name.replace("-", "_").replace(".", "_"),
        "expr": expression,
        **({"for": str(after)} if after else {}),
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }


def _said(alert: t.Mapping[str, t.Any]) -> str:
    if "backup_failed" in alert:
        return "The last run of {{ $labels.lifeboat_job }} failed."
    if "verification_failed" in alert:
        return "The newest verification of {{ $labels.lifeboat_job }} failed."
    if "no_success_within" in alert:
        limit = describe_duration(parse_duration(alert["no_success_within"]))
        return f"{{{{ $labels.lifeboat_job }}}} had no success for {limit}."
    if "newest_older_than" in alert:
        limit = describe_duration(parse_duration(alert["newest_older_than"]))
        return f"The newest good backup of {{{{ $labels.lifeboat_job }}}} is older than {limit}."
    if "replication_lag_over" in alert:
        limit = describe_duration(parse_duration(alert["replication_lag_over"]))
        return (
            f"The standby {{{{ $labels.replica }}}} of {{{{ $labels.lifeboat_source }}}} is more than {limit} behind."
        )
    percent = alert["size_changed_by_percent"]
    return f"The size of {{{{ $labels.lifeboat_job }}}} changed by more than {percent} % within a day."


def _seconds(length: datetime.timedelta) -> int:
    return int(length.total_seconds())
