# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores and verifications in a terminal: what, why, and the next command to type, word for word."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import (
    CopyResult,
    Verification,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import IdentityMissing
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.choosing import Choice
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.forecast import Forecast
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restore_values import (
    RestorePlan,
    RestoreResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify_values import (
    Outcome,
    VerifyResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import (
    Restoration,
    RestoreInspection,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.recovery import (
    forecast_text,
    restore_plan_text,
    restore_text,
    restores_text,
    unfinished_text,
    verify_plan_text,
    verify_text,
)
from tests.support.clocks import START
from tests.support.manifests import BACKUP_ID, manifest

RESTORE_ID = "20261122T030000Z-abc123"
ERROR = {"code": "payload.damaged", "message": "dump.archive.zst is cut off", "hint": "Take another.", "details": {}}
SEEN = Forecast(seconds=120.0, fastest=90.0, slowest=300.0, smallest_bytes=1_000_000, largest_bytes=5_000_000, count=4)


def backup(**states: str) -> Backup:
    return Backup(manifest=manifest(), repositories=states or {"local": "verified"})


def plan(*, replaces: str | None, forecast: Forecast | None = None, **more: t.Any) -> RestorePlan:
    one = backup()
    return RestorePlan(
        choice=Choice(backup=one, repository="local", reason="the newest verified", series=(one,)),
        target="shop at 127.0.0.1:27017",
        inspection=RestoreInspection(
            facts={},
            steps=("load", "rename"),
            replaces=replaces,
            stops=("the unit mongod",),
            moves=("a -> b",),
            needed_bytes=5_000_000,
            free_bytes=9_000_000_000,
            versions="backup of MongoDB 6.0.5, server 7.0.2",
            warnings=("users stay",),
        ),
        forecast=forecast,
        **more,
    )


def test_a_plan_that_replaces_ends_with_what_to_type() -> None:
    name = "shop at 127.0.0.1:27017"
    assert restore_plan_text(plan(replaces=name, forecast=SEEN, unfinished=(RESTORE_ID,))).splitlines() == [
        f"family/main/full would be restored into {name}",
        f"  from {BACKUP_ID} in local: the newest verified",
        "  1. load",
        "  2. rename",
        "  stops: the unit mongod",
        "  moves: a -> b",
        "  needs about 5 MB, 9 GB free",
        "  versions: backup of MongoDB 6.0.5, server 7.0.2",
        "  takes about 2 min 0 s (4 measured: 90 s to 5 min 0 s on 1 MB to 5 MB)",
        f"  first rolls back the restore {RESTORE_ID}, which died",
        "  warning: users stay",
        f"  replaces {name}: to go ahead add --confirm '{name}'",
    ]


def test_a_plan_beside_says_that_nothing_is_replaced_and_that_nobody_measured() -> None:
    text = restore_plan_text(plan(replaces=None))
    assert text.endswith("  replaces nothing that exists")
    assert "takes an unknown time: no recovery of it was measured yet (lifeboat verify measures one)" in text


def test_a_forecast_without_sizes_names_none() -> None:
    seen = Forecast(seconds=3.0, fastest=3.0, slowest=3.0, smallest_bytes=None, largest_bytes=None, count=1)
    assert forecast_text(seen) == "about 3.0 s (1 measured: 3.0 s)"


def result(*aside: str, state: str = "finished", restoration: bool = True, **more: t.Any) -> RestoreResult:
    return RestoreResult(
        restore_id=RESTORE_ID,
        target="/srv/data",
        state=state,
        backup={"id": BACKUP_ID},
        restoration=Restoration(
            content={}, where="folder /srv/data", connect="psql -p 5433", aside=aside, warnings=("one",)
        )
        if restoration
        else None,
        seconds=61.0,
        **more,
    )


def test_a_restore_that_moved_data_aside_says_both_ways_on() -> None:
    assert restore_text(result("/srv/data.before", warnings=("two",))).splitlines() == [
        f"/srv/data: restored from {BACKUP_ID} in 61 s",
        f"  restore: {RESTORE_ID}",
        "  where:   folder /srv/data",
        "  connect: psql -p 5433",
        "  aside:   /srv/data.before",
        f"  to go back to what was there before: lifeboat restore --roll-back {RESTORE_ID} --confirm '/srv/data'",
        f"  to remove it for ever:               lifeboat restore --discard {RESTORE_ID} --confirm '/srv/data'",
        "  warning: two",
        "  warning: one",
    ]


def test_a_restore_beside_says_how_to_undo_it() -> None:
    text = restore_text(result())
    assert f"  to undo it: lifeboat restore --roll-back {RESTORE_ID} --confirm '/srv/data'" in text
    assert "--discard" not in text


def test_what_was_tidied_up_is_named() -> None:
    text = restore_text(result(state="discarded", restoration=False, removed=("/srv/data.before",)))
    assert text.splitlines() == [
        f"restore {RESTORE_ID} into /srv/data: discarded",
        "  removed: /srv/data.before",
    ]


def noted(state: str = "running", **more: t.Any) -> dict[str, t.Any]:
    return {
        "id": RESTORE_ID,
        "target": "/srv/data",
        "state": state,
        "started": "2026-11-22T03:00:00.123456Z",
        "request": {"manifest": {"id": BACKUP_ID}},
        "steps": [{"name": "unpack", "state": "done", "facts": {}}],
        **more,
    }


def test_what_died_comes_with_both_commands_and_what_runs_with_none() -> None:
    died = unfinished_text([noted()])
    assert died.splitlines() == [
        f"{RESTORE_ID} into /srv/data, begun 2026-11-22T03:00:00.123456Z, last step: unpack: DIED",
        f"  to finish it: lifeboat restore --resume {RESTORE_ID}",
        f"  to undo it:   lifeboat restore --roll-back {RESTORE_ID}",
    ]
    runs = unfinished_text([noted()], running=[RESTORE_ID])
    assert "runs just now" in runs
    assert "--roll-back" not in runs, "nobody may undo what somebody does"
    assert unfinished_text([]) == "No restore is unfinished."
    assert "last step: nothing yet" in unfinished_text([noted(steps=[])])


def verification(**changes: t.Any) -> Verification:
    values: dict[str, t.Any] = {
        "verification_id": RESTORE_ID,
        "backup_id": BACKUP_ID,
        "manifest_checksum": "m",
        "level": 4,
        "reached": 4,
        "repository": "local",
        "copies": {"local": CopyResult(reached=4)},
        "checks": ({"state": "passed", "message": "fine"},),
        "error": None,
        "started": START,
        "finished": START + datetime.timedelta(seconds=30),
        "host": "db1",
        "user": "root",
        "lifeboat_version": "0.1.0",
        "recovery_seconds": 12.0,
        **changes,
    }
    return Verification(**values)


def test_a_passed_verification_says_how_far_and_how_long() -> None:
    outcome = Outcome(backup=backup(), verification=verification())
    assert verify_text(outcome).splitlines() == [
        f"family/main/full/{BACKUP_ID}: passed, level 4 (questioned) of 4 in 30 s",
        "  time to recover: 12 s",
        "  checks: 1 of 1 passed",
    ]
    assert VerifyResult(outcomes=(outcome,)).short_error is None


def test_a_failed_one_shouts_names_each_check_and_tells_its_reason_once() -> None:
    outcome = Outcome(
        backup=backup(),
        verification=verification(
            reached=1,
            error=ERROR,
            recovery_seconds=None,
            checks=({"state": "failed", "message": "users: 3 are there, at least 5 wanted"},),
            copies={"local": CopyResult(reached=1, error=ERROR)},
        ),
    )
    assert verify_text(outcome).splitlines() == [
        f"family/main/full/{BACKUP_ID}: FAILED, level 1 (intact) of 4 in 30 s",
        "  checks: 0 of 1 passed",
        "  failed: users: 3 are there, at least 5 wanted",
        "  dump.archive.zst is cut off [payload.damaged]",
        "  hint: Take another.",
    ]
    both = VerifyResult(outcomes=(outcome, Outcome(backup=backup(), verification=verification())))
    assert both.short_error is not None
    assert both.short_error.message == "1 of 2 backups are not proved."
    assert f"lifeboat show {BACKUP_ID}" in both.short_error.hint
    assert both.error is not None
    assert "dump.archive.zst is cut off" in both.error.message


def test_a_damaged_copy_beside_a_good_one_is_named() -> None:
    copies = {"local": CopyResult(reached=4), "offsite": CopyResult(reached=0, error=ERROR)}
    text = verify_text(Outcome(backup=backup(), verification=verification(copies=copies)))
    assert "FAILED" in text
    assert "  copy in local: level 4" in text
    assert "  copy in offsite: level 0: dump.archive.zst is cut off" in text


def test_what_nobody_could_tell_is_not_called_failed() -> None:
    error = IdentityMissing("it is encrypted", hint="--identity-file FILE")
    outcome = Outcome(backup=backup(), verification=None, error=error)
    assert verify_text(outcome).splitlines() == [
        f"family/main/full/{BACKUP_ID}: NOT VERIFIED: it is encrypted [payload.identity_missing]",
        "  hint: --identity-file FILE",
    ]
    told = VerifyResult(outcomes=(outcome,)).short_error
    assert told is not None
    assert "lifeboat verify --unverified" in told.hint


def test_a_plan_of_verifications_says_level_and_state() -> None:
    assert verify_plan_text([backup(local="complete")], level=3) == (
        f"family/main/full/{BACKUP_ID} would be verified to level 3 (restored); it is complete"
    )


def test_earlier_restores_with_what_they_left_aside() -> None:
    finished = noted("finished", outcome={"aside": ["/srv/data.before"]})
    lines = restores_text([finished, noted("rolled back")]).splitlines()
    assert lines[0].split() == ["RESTORE", "STATE", "BEGUN", "BACKUP", "INTO", "ASIDE"]
    assert lines[2].split() == [RESTORE_ID, "finished", "2026-11-22T03:00:00Z", BACKUP_ID, "/srv/data", "1"]
    assert lines[3].endswith(" -")
    assert restores_text([]) == "This host has restored nothing yet."
