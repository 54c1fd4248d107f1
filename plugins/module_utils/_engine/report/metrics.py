# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A status document in the text format of Prometheus, for node_exporter's textfile collector."""

from __future__ import annotations

import typing as t

from ..core.clock import parse_time
from ..operations.replica_lag import ReplicaFact
from .metrics_catalog import METRICS

Json = t.Mapping[str, t.Any]
Labels = t.Mapping[str, str]
Sample = tuple[str, Labels, float]


def metrics_text(
    document: Json, *, replicas: t.Iterable[ReplicaFact] = (), degraded: t.Mapping[str, Json] | None = None
) -> str:
    """The whole file. A figure that is not known has no sample, but for times of what never happened (0).

    Of each of *replicas* it says at least whether its lag is known. *degraded* are the services that are in degraded
    mode as far as the host knows.
    """
    by_name: dict[str, list[str]] = {}
    asked = (sample for fact in replicas for sample in _known(_replica(fact), _replica_labels(fact)))
    modes = (sample for service, mode in (degraded or {}).items() for sample in _degraded(service, mode))
    for name, labels, value in (*_samples(document), *asked, *modes):
        by_name.setdefault(name, []).append(f"{name}{_labels(labels)} {_number(value)}")
    lines = []
    for name, told in METRICS.items():
        if name in by_name:
            lines += [f"# HELP {name} {_help(told)}", f"# TYPE {name} gauge", *by_name[name]]
    return "\n".join(lines) + "\n"


def _samples(document: Json) -> t.Iterator[Sample]:
    yield "lifeboat_build_info", {"version": str(document["lifeboat_version"])}, 1
    yield "lifeboat_metrics_timestamp_seconds", {}, _time(document["at"])
    for job in document["jobs"]:
        yield from _known(_job(job), _job_labels(job))
    for stream in document["streams"]:
        yield from _known(_stream(stream), _job_labels(stream))
    for source in document["sources"]:
        service = str(source["source"]).partition("/")[0]
        labels = {"lifeboat_source": source["source"], "service": service, "engine": source["engine"]}
        yield from _known(_source(source), labels)
    for repository in document["repositories"]:
        labels = {"repository": repository["name"]}
        yield "lifeboat_repository_reachable", labels, float(repository["reachable"])


def _job(job: Json) -> dict[str, float | None]:
    verified, checked = job["verified"], job["last_verification"]
    return {
        "lifeboat_job_last_success_timestamp_seconds": _time(job["last_success"]),
        "lifeboat_job_newest_timestamp_seconds": _time(job["newest_usable"]),
        "lifeboat_job_last_verified_timestamp_seconds": _time(verified["finished"] if verified else None),
        "lifeboat_job_last_verified_level": verified["level"] if verified else -1,
        "lifeboat_job_verification_failed": float(checked is not None and not checked["passed"]),
        "lifeboat_job_size_bytes": job["stored_bytes"],
        "lifeboat_job_duration_seconds": job["seconds"],
        "lifeboat_job_backups": job["backups"],
        "lifeboat_job_failed": float(job["state"] == "failed"),
        **_due(job),
    }


def _stream(stream: Json) -> dict[str, float | None]:
    spool, hours, wal = stream["spool"] or {}, stream["oplog_hours"], stream["pg_wal"] or {}
    return {
        "lifeboat_job_last_success_timestamp_seconds": _time(stream["last_success"]),
        "lifeboat_job_failed": float(stream["state"] in ("failed", "blocked")),
        **_due(stream),
        "lifeboat_stream_stored_until_timestamp_seconds": _time(stream["stored_until"]),
        "lifeboat_stream_spool_bytes": spool.get("used_bytes"),
        "lifeboat_stream_spool_budget_bytes": spool.get("budget_bytes"),
        "lifeboat_stream_spool_age_seconds": spool.get("oldest_age_seconds"),
        "lifeboat_stream_oplog_window_seconds": hours * 3600 if hours is not None else None,
        "lifeboat_stream_pg_wal_bytes": wal.get("size_bytes"),
        "lifeboat_stream_pg_wal_waiting_bytes": wal.get("waiting_bytes"),
        "lifeboat_stream_pg_wal_budget_bytes": wal.get("budget_bytes"),
        "lifeboat_stream_pg_wal_disk_bytes": wal.get("disk_bytes"),
        "lifeboat_stream_pg_wal_disk_free_bytes": wal.get("free_bytes"),
        "lifeboat_stream_pg_wal_disk_wanted_bytes": wal.get("free_wanted_bytes"),
    }


def _due(job: Json) -> dict[str, float | None]:
    return {
        "lifeboat_job_next_run_timestamp_seconds": _time(job["next_run"]) if job["next_run"] else None,
        "lifeboat_job_deadline_timestamp_seconds": _time(job["due"]["deadline"]) if job["due"] else None,
        "lifeboat_job_overdue": float(job["overdue"]),
        "lifeboat_job_running": float(bool(job["running"])),
    }


def _source(source: Json) -> dict[str, float | None]:
    return {
        "lifeboat_source_recoverable_timestamp_seconds": _time(source["rpo"]["point"]),
        "lifeboat_source_rpo_seconds": source["rpo"]["seconds"],
        "lifeboat_source_rpo_objective_seconds": source["rpo"]["objective_seconds"],
        "lifeboat_source_rpo_grace_seconds": source["rpo"]["grace_seconds"],
        "lifeboat_source_rto_forecast_seconds": source["rto"]["seconds"],
        "lifeboat_source_rto_objective_seconds": source["rto"]["objective_seconds"],
        "lifeboat_source_window_seconds": source["window"]["seconds"],
    }


def _degraded(service: str, mode: Json) -> t.Iterator[Sample]:
    values = {
        "lifeboat_degraded_mode": 1.0,
        "lifeboat_degraded_mode_since_timestamp_seconds": _time(mode.get("at")),
        "lifeboat_degraded_mode_until_timestamp_seconds": _time(mode.get("until")),
    }
    yield from _known(values, {"service": service})


def _replica(fact: ReplicaFact) -> dict[str, float | None]:
    lag = fact.lag
    return {
        "lifeboat_replica_lag_known": float(lag is not None and lag.seconds is not None),
        "lifeboat_replica_follows": None if lag is None else float(lag.follows),
        "lifeboat_replica_lag_seconds": None if lag is None else lag.seconds,
        "lifeboat_replica_lag_bytes": None if lag is None else lag.behind_bytes,
        "lifeboat_replica_slot_retained_bytes": None if lag is None else lag.retained_bytes,
        "lifeboat_replica_slot_lost": None if lag is None or lag.slot_lost is None else float(lag.slot_lost),
        "lifeboat_replica_lag_objective_seconds": None if fact.objective is None else fact.objective.total_seconds(),
    }


def _replica_labels(fact: ReplicaFact) -> dict[str, str]:
    source = f"{fact.service}/{fact.source}"
    return {"lifeboat_source": source, "replica": fact.replica, "service": fact.service, "engine": fact.engine}


def _known(values: t.Mapping[str, float | None], labels: Labels) -> t.Iterator[Sample]:
    for name, value in values.items():
        if value is not None:
            yield name, labels, value


def _job_labels(job: Json) -> dict[str, str]:
    keys = ("service", "source", "kind", "engine")
    return {"lifeboat_job": str(job["job"]), **{key: str(job[key]) for key in keys}}


def _time(text: str | None) -> float:
    return parse_time(text).timestamp() if text else 0.0


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
