# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup is worth follows from its verifications, and from nothing else."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.standing import best, copy_states
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import (
    CopyResult,
    Verification,
    parse_verification,
    verification_id_of,
    verification_key,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import VerificationInvalid

BACKUP = "20261121T020000Z-4f2c91"
ERROR = {"code": "x.y", "message": "it is broken", "hint": "", "details": {}}


def verification(
    day: int,
    *,
    reached: int,
    level: int = 4,
    bad: bool = False,
    copies: dict[str, int] | None = None,
    checksum: str = "m",
) -> Verification:
    """One of that day; *bad* says that the content failed above *reached*; *copies* below 1 failed."""
    started = datetime.datetime(2026, 11, day, 6, tzinfo=datetime.timezone.utc)
    return Verification(
        verification_id=f"202611{day:02}T060000Z-{day:06x}",
        backup_id=BACKUP,
        manifest_checksum=checksum,
        level=level,
        reached=reached,
        repository="local",
        copies={
            name: CopyResult(reached=far, error=ERROR if far < 1 or (bad and name == "local") else None)
            for name, far in (copies or {"local": reached}).items()
        },
        checks=({"level": 4, "name": "users", "state": "passed", "message": "users: 7", "found": 7},),
        error=ERROR if bad else None,
        started=started,
        finished=started + datetime.timedelta(seconds=9),
        host="db1",
        user="root",
        lifeboat_version="0.1.0",
        recovery_seconds=4.5,
        plain_bytes=1000,
    )


def test_two_of_one_second_are_taken_in_their_order_whatever_their_ids() -> None:
    failed = verification(1, reached=1, bad=True)
    first, second = "20261101T060000Z-ffffff", "20261101T060000Z-000000"
    failed = dataclasses.replace(failed, verification_id=first)
    passed = dataclasses.replace(
        verification(1, reached=4),
        verification_id=second,
        started=failed.started + datetime.timedelta(milliseconds=300),
    )
    states = copy_states(["local"], [passed, failed], manifest_checksum="m")
    assert states == {"local": "verified"}
    again = dataclasses.replace(failed, started=passed.started + datetime.timedelta(milliseconds=1))
    assert copy_states(["local"], [passed, again], manifest_checksum="m") == {"local": "failed"}


@pytest.mark.parametrize(
    ("verifications", "expected"),
    [
        pytest.param([], {"local": "complete", "offsite": "complete"}, id="none"),
        pytest.param(
            [verification(1, reached=2, level=2)], {"local": "complete", "offsite": "complete"}, id="read only"
        ),
        pytest.param([verification(1, reached=3)], {"local": "verified", "offsite": "complete"}, id="restored"),
        pytest.param(
            [verification(1, reached=4, copies={"local": 4, "offsite": 1})],
            {"local": "verified", "offsite": "verified"},
            id="the other copy has the same bytes",
        ),
        pytest.param(
            [verification(1, reached=4, copies={"local": 4, "offsite": 0})],
            {"local": "verified", "offsite": "failed"},
            id="one copy is damaged",
        ),
        pytest.param(
            [verification(1, reached=3, bad=True, copies={"local": 3, "offsite": 1})],
            {"local": "failed", "offsite": "failed"},
            id="the content is wrong everywhere",
        ),
        pytest.param(
            [verification(1, reached=4), verification(2, reached=0, level=1, copies={"local": 0})],
            {"local": "failed", "offsite": "complete"},
            id="rotten since",
        ),
        pytest.param(
            [verification(1, reached=3, bad=True), verification(2, reached=1, level=1)],
            {"local": "failed", "offsite": "failed"},
            id="a lower pass lifts nothing",
        ),
        pytest.param(
            [verification(1, reached=3, bad=True), verification(2, reached=4)],
            {"local": "verified", "offsite": "complete"},
            id="a pass at the level lifts it",
        ),
        pytest.param(
            [verification(2, reached=4), verification(1, reached=3, bad=True)],
            {"local": "verified", "offsite": "complete"},
            id="order is that of the ids",
        ),
        pytest.param(
            [verification(1, reached=4, checksum="another")],
            {"local": "complete", "offsite": "complete"},
            id="of another manifest",
        ),
    ],
)
def test_states_of_copies(verifications: list[Verification], expected: dict[str, str]) -> None:
    assert copy_states(["local", "offsite"], verifications, manifest_checksum="m") == expected


def test_the_best_copy_counts() -> None:
    assert best(["failed", "verified", "complete"]) == "verified"
    assert best(["failed"]) == "failed"


def test_a_document_comes_back_as_it_was_written() -> None:
    written = verification(3, reached=4)
    key = verification_key(Series(service="a", source="b", kind="c").backup(BACKUP), written.verification_id)
    assert verification_id_of(key) == written.verification_id
    assert verification_id_of(key.replace("verification-", "notes-")) is None
    assert parse_verification(written.as_bytes(), key=key, backup_id=BACKUP) == written
    assert written.answer("users") == 7
    assert written.answer("tasks") is None


def changed(change: t.Callable[[bytes], bytes]) -> bytes:
    return change(verification(3, reached=4).as_bytes())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"{}", id="another format"),
        pytest.param(changed(lambda data: data.replace(b'"reached": 4', b'"reached": 3')), id="changed afterwards"),
        pytest.param(changed(lambda data: data[: len(data) // 2]), id="cut"),
    ],
)
def test_what_was_tampered_with_counts_for_nothing(data: bytes) -> None:
    with pytest.raises(VerificationInvalid):
        parse_verification(data, key="k", backup_id=BACKUP)


def test_a_document_about_another_backup_counts_for_nothing() -> None:
    with pytest.raises(VerificationInvalid, match="about the backup"):
        parse_verification(verification(3, reached=4).as_bytes(), key="k", backup_id="20261120T020000Z-4f2c91")


def test_a_damaged_copy_is_no_pass() -> None:
    assert verification(1, reached=4).passed
    assert not verification(1, reached=4, copies={"local": 4, "offsite": 0}).passed
    assert not verification(1, reached=3).passed
