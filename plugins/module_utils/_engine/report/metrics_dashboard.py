# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Grafana dashboard of the metrics, as the JSON that Grafana imports."""

from __future__ import annotations

import typing as t

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT = 12, 8

#: Title, unit, kind of panel, expression, legend.
_PANELS: t.Sequence[tuple[str, str, str, str, str]] = (
    ("Overdue jobs", "none", "stat", "sum(time() > bool lifeboat_job_deadline_timestamp_seconds)", ""),
    ("Failed jobs", "none", "stat", "sum(lifeboat_job_failed)", ""),
    (
        "Since the last success",
        "s",
        "timeseries",
        "time() - (lifeboat_job_last_success_timestamp_seconds > 0)",
        "{{lifeboat_job}}",
    ),
    (
        "Since the last proof",
        "s",
        "timeseries",
        "time() - (lifeboat_job_last_verified_timestamp_seconds > 0)",
        "{{lifeboat_job}}",
    ),
    (
        "What would be lost now",
        "s",
        "timeseries",
        "time() - (lifeboat_source_recoverable_timestamp_seconds > 0)",
        "{{lifeboat_source}}",
    ),
    ("Time to recover, measured", "s", "timeseries", "lifeboat_source_rto_forecast_seconds", "{{lifeboat_source}}"),
    (
        "Share of the recovery point objective",
        "percentunit",
        "timeseries",
        "(time() - lifeboat_source_recoverable_timestamp_seconds) / lifeboat_source_rpo_objective_seconds",
        "{{lifeboat_source}}",
    ),
    (
        "Share of the recovery time objective",
        "percentunit",
        "timeseries",
        "lifeboat_source_rto_forecast_seconds / lifeboat_source_rto_objective_seconds",
        "{{lifeboat_source}}",
    ),
    ("Size", "bytes", "timeseries", "lifeboat_job_size_bytes", "{{lifeboat_job}}"),
    ("Duration", "s", "timeseries", "lifeboat_job_duration_seconds", "{{lifeboat_job}}"),
    ("Waiting in spools", "bytes", "timeseries", "lifeboat_stream_spool_bytes", "{{lifeboat_job}}"),
    ("Oldest segment in spools", "s", "timeseries", "lifeboat_stream_spool_age_seconds", "{{lifeboat_job}}"),
    ("Waiting in pg_wal", "bytes", "timeseries", "lifeboat_stream_pg_wal_waiting_bytes", "{{lifeboat_job}}"),
    ("Room on the disk of pg_wal", "bytes", "timeseries", "lifeboat_stream_pg_wal_disk_free_bytes", "{{lifeboat_job}}"),
    ("What the oplog still has", "s", "timeseries", "lifeboat_stream_oplog_window_seconds", "{{lifeboat_job}}"),
    ("Standbys behind", "s", "timeseries", "lifeboat_replica_lag_seconds", "{{lifeboat_source}} {{replica}}"),
    (
        "Standbys behind, in bytes",
        "bytes",
        "timeseries",
        "lifeboat_replica_lag_bytes",
        "{{lifeboat_source}} {{replica}}",
    ),
    (
        "Standbys whose lag is known",
        "none",
        "timeseries",
        "lifeboat_replica_lag_known",
        "{{lifeboat_source}} {{replica}}",
    ),
    (
        "Kept by the slots of standbys",
        "bytes",
        "timeseries",
        "lifeboat_replica_slot_retained_bytes",
        "{{lifeboat_source}} {{replica}}",
    ),
    ("Reachable repositories", "none", "timeseries", "lifeboat_repository_reachable", "{{repository}}"),
)


def dashboard() -> dict[str, t.Any]:
    """As JSON values. The data source is asked for when it is imported."""
    panels = [
        {
            "id": number + 1,
            "title": title,
            "type": kind,
            "datasource": dict(_SOURCE),
            "gridPos": {
                "x": number % 2 * _WIDTH,
                "y": number // 2 * _HEIGHT,
                "w": _WIDTH,
                "h": _HEIGHT,
            },
            "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
            "targets": [
                {
                    "refId": "A",
                    "expr": expression,
                    "datasource": dict(_SOURCE),
                    **({"legendFormat": legend} if legend else {}),
                }
            ],
        }
        for number, (title, unit, kind, expression, legend) in enumerate(_PANELS)
    ]
    return {
        "title": "Lifeboat",
        "uid": "lifeboat",
        "tags": ["lifeboat", "backup"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "time": {"from": "now-7d", "to": "now"},
        "refresh": "5m",
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}]
        },
        "panels": panels,
    }
