# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results in a terminal: what was backed up, where, how big, and what went wrong, with the way out."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup, Reading
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    BackupPlan,
    BackupResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import Inspection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.results import (
    list_text,
    plan_text,
    progress_text,
    result_text,
)
from tests.support.clocks import START
from tests.support.manifests import BACKUP_ID, manifest

NOW = START + datetime.timedelta(hours=3)
ERROR = {"code": "storage.forbidden", "message": "403: not you", "hint": "Ask for s3:PutObject.", "details": {}}


def repositories(*, failed: bool) -> tuple[dict[str, t.Any], ...]:
    return (
        {"name": "local", "url": "file:///var/backups", "state": "complete", "error": None},
        {
            "name": "offsite",
            "url": "s3://acme/prod",
            "state": "failed" if failed else "complete",
            "error": ERROR if failed else None,
        },
    )


def test_a_complete_result_says_how_big_how_long_and_where() -> None:
    result = BackupResult(manifest=manifest(warnings=()), repositories=repositories(failed=False), progress={})
    assert result_text(result).splitlines() == [
        f"family/main/full: complete, {BACKUP_ID}, - -> 28 B in 61 s",
        f"  complete  file:///var/backups/family/main/full/{BACKUP_ID}/",
        f"  complete  s3://acme/prod/family/main/full/{BACKUP_ID}/",
    ]


def test_a_partial_result_says_where_it_is_not_and_why_and_what_was_warned() -> None:
    text = result_text(BackupResult(manifest=manifest(), repositories=repositories(failed=True), progress={}))
    assert text.startswith("family/main/full: partial, ")
    assert "  failed    s3://acme/prod/" in text
    assert ": 403: not you [storage.forbidden]" in text
    assert text.endswith("  warning: the oplog is short")


def test_a_plan_lists_its_steps_and_repositories() -> None:
    plan = BackupPlan(
        job="family/main/full",
        engine="mongodb",
        inspection=Inspection(facts={}, steps=("connect", "dump"), expected_bytes=71_300_000),
        repositories=(
            {"name": "local", "url": "file:///b", "state": "ready", "error": None, "free_bytes": 5_000_000_000},
            {"name": "offsite", "url": "s3://acme", "state": "unusable", "error": ERROR, "free_bytes": None},
        ),
        compression={"method": "zstd", "level": 1},
        encryption={"method": "age", "recipients": ["age1", "age2"]},
        parent=BACKUP_ID,
    )
    assert plan_text(plan).splitlines() == [
        "family/main/full: a mongodb backup would be made",
        "  1. connect",
        "  2. dump",
        "  about 71.3 MB to read",
        f"  as an increment of {BACKUP_ID}",
        "  zstd -1, age to 2 key(s)",
        "  to local (file:///b): ready, 5 GB free",
        "  to offsite (s3://acme): unusable: 403: not you",
    ]


def test_the_list_says_in_which_repositories_each_backup_is_and_is_not() -> None:
    whole = Backup(manifest=manifest(), repositories={"local": "complete", "offsite": "complete"})
    partial = Backup(manifest=manifest(), repositories={"local": "complete"}, missing=("offsite",))
    lines = list_text(Reading(backups=(whole, partial)), now=NOW).splitlines()
    assert lines[0].split() == ["JOB", "ID", "STATE", "AGE", "DATA", "STORED", "TOOK", "REPOSITORIES"]
    assert lines[2].startswith(f"family/main/full  {BACKUP_ID}  complete  3 h 0 min ago")
    assert lines[2].endswith("local, offsite")
    assert "  partial  " in lines[3]
    assert lines[3].endswith("local, not in offsite")
    assert list_text(Reading(backups=()), now=NOW) == "No backups match."


def test_progress_is_one_line_also_when_little_is_known() -> None:
    assert progress_text({}) == "starting"
    assert progress_text({"stage": "inspecting"}) == "inspecting: 0 B, 0 B/s, 0 B stored, -"
