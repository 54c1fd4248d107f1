# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a base backup's manifest says about it."""

from __future__ import annotations

import dataclasses
import typing as t

from .base_backup_tool import BaseBackupOutcome
from .facts import ClusterFacts
from .names import wal_range
from .options import BaseBackupOptions, IncrementalParent
from .replication_backup import MANIFEST_PAYLOAD


def base_content(
    *,
    facts: ClusterFacts,
    outcome: BaseBackupOutcome,
    options: BaseBackupOptions,
    parent: IncrementalParent | None,
    databases: t.Sequence[t.Mapping[str, t.Any]],
    finished: str,
    warnings: t.Sequence[str],
) -> dict[str, t.Any]:
    """The content in JSON values. *finished* is UTC."""
    first, last, segments = wal_range(
        timeline=outcome.timeline,
        start=outcome.start_lsn,
        end=outcome.end_lsn,
        segment_size=facts.wal_segment_size,
    )
    return {
        "server_version": facts.version,
        "server_version_number": facts.version_number,
        "system_identifier": facts.system_identifier,
        "timeline": outcome.timeline,
        "start_lsn": outcome.start_lsn,
        "end_lsn": outcome.end_lsn,
        "wal": {
            "first": first,
            "last": last,
            "segments": segments,
            "segment_size": facts.wal_segment_size,
            "held_by_slot": outcome.wal_held,
        },
        "in_recovery": facts.in_recovery,
        "from": "standby" if facts.in_recovery else "primary",
        # A backup with failures doesn't get this far; without checksums nobody knows.
        "checksums": {
            "enabled": facts.data_checksums,
            "verified": facts.data_checksums,
            "failures": 0 if facts.data_checksums else None,
        },
        "archiving": dataclasses.asdict(facts.archiving),
        "summarize_wal": facts.summarize_wal,
        "data_directory": facts.settings.get("data_directory"),
        "tablespaces": _tablespaces(facts, outcome),
        "databases": list(databases),
        "tool": {"name": outcome.tool_name, "version": outcome.tool_version},
        "checkpoint": options.checkpoint,
        "payload": outcome.payload,
        "manifest_payload": MANIFEST_PAYLOAD if outcome.manifest_path else None,
        "manifest_path": outcome.manifest_path or None,
        **({"walg": dict(outcome.walg)} if outcome.walg else {}),
        "parent": None if parent is None else {"backup_id": parent.backup_id, "chain": list(parent.chain)},
        "finished": finished,
        "warnings": list(warnings),
    }


def _tablespaces(facts: ClusterFacts, outcome: BaseBackupOutcome) -> list[dict[str, t.Any]]:
    """Those of the cluster; where their data has payloads of its own, exactly those that were stored."""
    built_in = [dataclasses.asdict(one) for one in facts.tablespaces if one not in facts.own_tablespaces]
    if not outcome.tablespaces:
        return [dataclasses.asdict(one) for one in facts.tablespaces]
    return [*built_in, *(dataclasses.asdict(one) for one in outcome.tablespaces)]
