# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long what backups and streams store is locked, where the description says: as long as the policy keeps it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.filter.backup_play import job_repositories
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.model import Job
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.jobs import backup_request
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_requests import ship_request


def jobs(retain: str, keep: dict[str, t.Any]) -> tuple[Job, ...]:
    lock = {"mode": "governance", "retain": retain}
    bucket = {"type": "s3", "bucket": "acme", "region": "eu-west-1", "object_lock": lock}
    backups = [
        {"kind": "full", "schedule": "0 2 * * *", "repositories": ["offsite"], "keep": keep},
        {"kind": "oplog", "schedule": "*/15 * * * *", "repositories": ["offsite"], "keep": {"within": "8d"}},
    ]
    source = {"name": "main", "engine": "mongodb", "connection": {"uri": "mongodb://127.0.0.1:1/"}, "backups": backups}
    found: tuple[Job, ...] = load_description(
        {
            "lifeboat_repositories": {"offsite": bucket},
            "lifeboat_services": [{"name": "family", "sources": [source]}],
        }
    ).jobs()
    return found


@pytest.mark.parametrize(
    ("retain", "keep", "expected"),
    [
        ("policy", {"within": "30d"}, "30d"),
        ("policy", {"within": "30d", "monthly": 12}, "30d"),
        ("policy", {"daily": 7}, "policy"),  # nobody knows a date, and the storage locks nothing
        ("9d", {"within": "30d"}, "9d"),
    ],
)
def test_a_backup_is_locked_as_long_as_its_job_keeps_it(retain: str, keep: dict[str, t.Any], expected: str) -> None:
    full, oplog = jobs(retain, keep)
    (repository,) = backup_request(full).repositories
    assert repository.description["object_lock"] == {"mode": "governance", "retain": expected}
    (played,) = job_repositories(full.as_dict())
    assert played["object_lock"] == {"mode": "governance", "retain": expected}
    (shipped,) = ship_request(oplog).repositories
    assert shipped.description["object_lock"]["retain"] == ("8d" if retain == "policy" else retain)
