# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every metric by its name: what it means, in base units. What is not here is not written, shown or alarmed on."""

from __future__ import annotations

import typing as t

#: Labels of what is told of a job or stream, of a source, of a repository. ``job`` is Prometheus' own label.
JOB_LABELS = ("lifeboat_job", "service", "source", "kind", "engine")
SOURCE_LABELS = ("lifeboat_source", "service", "engine")

#: Name to help text. All are gauges.
METRICS: t.Mapping[str, str] = {
    "lifeboat_build_info": "1, with the version that wrote this file.",
    "lifeboat_metrics_timestamp_seconds": "When this file was written.",
    "lifeboat_job_last_success_timestamp_seconds": "When the newest backup was finished, or a stream last left nothing "
    "waiting; 0 for never.",
    "lifeboat_job_newest_timestamp_seconds": "When the newest backup was begun that was not found bad; 0 for never.",
    "lifeboat_job_last_verified_timestamp_seconds": "When a backup was last proved; 0 for never.",
    "lifeboat_job_last_verified_level": "The level that was reached then, 0 to 4; -1 for never.",
    "lifeboat_job_verification_failed": "1 when the newest verification of any backup failed.",
    "lifeboat_job_size_bytes": "Stored bytes of the newest backup.",
    "lifeboat_job_duration_seconds": "How long the newest backup took.",
    "lifeboat_job_backups": "How many backups there are.",
    "lifeboat_job_next_run_timestamp_seconds": "When the schedule comes next.",
    "lifeboat_job_deadline_timestamp_seconds": "Until when the job must have succeeded again, by its own schedule.",
    "lifeboat_job_overdue": "1 when that was over as this file was written.",
    "lifeboat_job_failed": "1 when the last run failed and nothing has succeeded since.",
    "lifeboat_job_running": "1 while it runs.",
    "lifeboat_stream_stored_until_timestamp_seconds": "Up to when everything of the stream is stored.",
    "lifeboat_stream_spool_bytes": "Bytes that wait in the spool.",
    "lifeboat_stream_spool_budget_bytes": "How many may wait.",
    "lifeboat_stream_spool_age_seconds": "How long the oldest segment waits.",
    "lifeboat_stream_oplog_window_seconds": "For how long a MongoDB server keeps what is to be captured next.",
    "lifeboat_stream_pg_wal_bytes": "Size of a PostgreSQL server's pg_wal.",
    "lifeboat_stream_pg_wal_waiting_bytes": "How much of it waits to be archived.",
    "lifeboat_stream_pg_wal_budget_bytes": "How much may wait there.",
    "lifeboat_stream_pg_wal_disk_bytes": "Size of the file system of pg_wal.",
    "lifeboat_stream_pg_wal_disk_free_bytes": "How much of it is free.",
    "lifeboat_stream_pg_wal_disk_wanted_bytes": "How much of it should be free.",
    "lifeboat_source_recoverable_timestamp_seconds": "The newest moment that the source can be brought back to.",
    "lifeboat_source_rpo_seconds": "What would have been lost as this file was written.",
    "lifeboat_source_rpo_objective_seconds": "What may be lost at most.",
    "lifeboat_source_rpo_grace_seconds": "How late the job may be that gives the newest moment.",
    "lifeboat_source_rto_forecast_seconds": "How long bringing it back takes, by what was measured.",
    "lifeboat_source_rto_objective_seconds": "How long that may take.",
    "lifeboat_source_window_seconds": "How far back any moment can be recovered, without a gap.",
    "lifeboat_degraded_mode": "1 while the host knows the service to be in degraded mode.",
    "lifeboat_degraded_mode_since_timestamp_seconds": "When degraded mode was entered.",
    "lifeboat_degraded_mode_until_timestamp_seconds": "Until when degraded mode is meant to last; 0 when nobody said.",
    "lifeboat_replica_lag_known": "1 when it can be told how far a standby is behind; 0 when one of the two is silent.",
    "lifeboat_replica_follows": "1 when the standby takes what its primary writes.",
    "lifeboat_replica_lag_seconds": "How old the newest write is that the standby has; 0 when it has all.",
    "lifeboat_replica_lag_bytes": "What the primary has written and the standby has not.",
    "lifeboat_replica_lag_objective_seconds": "How far the standby may be behind.",
    "lifeboat_replica_slot_retained_bytes": "WAL that the primary keeps for the standby by its slot.",
    "lifeboat_replica_slot_lost": "1 when the slot has lost WAL that the standby needs.",
    "lifeboat_repository_reachable": "1 when the repository could be read.",
}
