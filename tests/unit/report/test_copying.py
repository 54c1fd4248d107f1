# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a copy did is said in words, also what it could not do and what others did meanwhile."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    PayloadDamaged,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_results import (
    COPIED,
    FAILED,
    GONE,
    BackupOutcome,
    CopyResult,
    StreamOutcome,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_values import (
    CopyPlan,
    LeftOutBackup,
    PlannedBackup,
    PlannedDocument,
    PlannedStream,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.copying import (
    copy_plan_text,
    copy_result_text,
)
from tests.support.copies import STREAM, backup_id, described

BACKUP = Backup(manifest=described(backup_id(20)), repositories={"local": "complete"}, missing=("offsite",))
PLANNED = PlannedBackup(backup=BACKUP, target="offsite", sources=("local",), reason="its job stores there")
FOLDER = f"family/main/full/{backup_id(20)}/"
STREAMED = PlannedStream(
    folder=STREAM, target="offsite", hours={"local": ("2026112101", "2026112102")}, segments=7, bytes=700, events=1
)


def plan_of(**parts: t.Any) -> CopyPlan:
    empty: dict[str, t.Any] = dict.fromkeys(("backups", "left_out", "documents", "streams", "problems"), ())
    return CopyPlan(targets=("offsite",), **{**empty, **parts})


def result_of(plan: CopyPlan, **parts: t.Any) -> CopyResult:
    empty: dict[str, t.Any] = {"backups": (), "streams": (), "documents": (), "errors": {}}
    return CopyResult(plan=plan, seconds=2.0, **{**empty, **parts})


def test_a_plan_is_a_table_with_reasons() -> None:
    document = PlannedDocument(key=f"{FOLDER}pin-x.json", target="offsite", source="local")
    text = copy_plan_text(plan_of(backups=(PLANNED,), streams=(STREAMED,), documents=(document, document)))
    assert text.splitlines()[0] == "1 backup, 7 segments and 2 documents would be copied, 1.3 kB at most"
    assert "its job stores there" in text
    assert f"{STREAM.prefix} to offsite: 7 segments of 2 hours, 700 B, 1 event, from local" in text
    assert "2 verifications, pins or labels to offsite" in text


def test_what_is_not_wanted_is_counted_and_what_is_a_problem_is_named() -> None:
    left_out = (
        LeftOutBackup(backup=BACKUP, target="offsite", reason="the retention there would not keep it"),
        LeftOutBackup(backup=BACKUP, target="offsite", reason="no copy of it can be read", is_problem=True),
    )
    text = copy_plan_text(plan_of(left_out=left_out))
    assert text.splitlines() == [
        "Nothing is lacking in offsite.",
        f"lacking   {FOLDER} in offsite: no copy of it can be read",
        "1 backup not wanted there; --all says why",
    ]
    assert "would not keep it" in copy_plan_text(plan_of(left_out=left_out), everything=True)
    assert "and 10 more; --json names all" in copy_plan_text(plan_of(left_out=left_out[1:] * 60))


def test_outcomes_say_what_others_did_meanwhile() -> None:
    outcomes = (
        BackupOutcome(planned=PLANNED, state=COPIED, source="local", objects=3, kept=1, bytes=601),
        BackupOutcome(planned=PLANNED, state=GONE, note="it was removed from every repository"),
        BackupOutcome(planned=PLANNED, state=FAILED, error=PayloadDamaged("it is damaged.")),
    )
    streams = (StreamOutcome(planned=STREAMED, segments=3, kept=1, bytes=300, events=1, gone=2, lacking=2),)
    errors = {"far": StorageUnreachable("it does not answer.")}
    result = result_of(plan_of(), backups=outcomes, streams=streams, errors=errors)
    text = copy_result_text(result)
    assert f"copied    {FOLDER} to offsite from local, 601 B, 1 object there already" in text
    assert f"gone      {FOLDER} to offsite, 0 B: it was removed from every repository" in text
    assert f"failed    {FOLDER} to offsite, 0 B: it is damaged. [payload.damaged]" in text
    assert "3 segments recorded, 300 B, 1 there already, 1 event, 2 removed by retention meanwhile, 2 lacking" in text
    assert "far: it does not answer. [storage.unreachable]" in text
    assert text.endswith("Copied 901 B in 2.0 s; not everything is everywhere yet.")
    assert result.error is not None
    assert "far: it does not answer." in result.error.message
    assert result.error.details["reasons"][1] == f"{backup_id(20)} to offsite: it is damaged."


def test_nothing_to_do_is_said_so() -> None:
    assert copy_result_text(result_of(plan_of())) == "Nothing is lacking in offsite."
    assert result_of(plan_of()).error is None
    assert not result_of(plan_of()).changed
