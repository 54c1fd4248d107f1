# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification document: what came of proving one backup, written once beside its manifest.

Documents are never changed; a later verification writes another. What a backup is worth follows from all of them
(:mod:`standing`). See :mod:`verification_schema` for the published JSON Schema.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..core.clock import format_time
from ..core.errors import VerificationInvalid
from ..core.levels import QUESTIONED
from .layout import BackupFolder
from .manifest import document_checksum
from .manifest_fields import Fields, shortened
from .note import note_bytes, note_id_of, note_key, read_note
from .verification_schema import CHECK_STATES, FORMAT, FORMAT_VERSION, LONGEST_SECONDS, STATES

PREFIX = "verification-"
PASSED, FAILED = STATES


@dataclass(frozen=True)
class CopyResult:
    """How far one repository's copy came: *reached* is the highest level that it passed, -1 for none."""

    reached: int
    error: t.Mapping[str, t.Any] | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"reached": self.reached, "error": dict(self.error) if self.error else None}


@dataclass(frozen=True)
class Verification:
    """One verification of one backup.

    *level* was asked for, *reached* was passed (-1: not even present). *repository* is the copy that levels 2 to 4
    read; *copies* tells of every copy that was looked at. *recovery_seconds* is the measured time from the first byte
    fetched to a server that answers, None below level 3. *manifest_checksum* ties the document to the very manifest.
    """

    verification_id: str
    backup_id: str
    manifest_checksum: str
    level: int
    reached: int
    repository: str
    copies: t.Mapping[str, CopyResult]
    checks: tuple[t.Mapping[str, t.Any], ...]
    error: t.Mapping[str, t.Any] | None
    started: datetime.datetime
    finished: datetime.datetime
    host: str
    user: str
    lifeboat_version: str
    versions: t.Mapping[str, t.Any] = field(default_factory=dict)
    stages: t.Mapping[str, float] = field(default_factory=dict)
    recovery_seconds: float | None = None
    plain_bytes: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the level that was asked for was reached, and no copy that was looked at is damaged."""
        return (
            self.reached >= self.level
            and self.error is None
            and all(copy.error is None for copy in self.copies.values())
        )

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.finished - self.started).total_seconds()

    def answer(self, question: str) -> t.Any:
        """What was found for the question of that name; None when it wasn't asked or answered."""
        for check in self.checks:
            if check.get("name") == question and check.get("level") == QUESTIONED:
                return check.get("found")
        return None

    def as_dict(self) -> dict[str, t.Any]:
        """The document that is stored, checksum included."""
        document: dict[str, t.Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "id": self.verification_id,
            "backup": self.backup_id,
            "manifest_checksum": self.manifest_checksum,
            "state": PASSED if self.passed else FAILED,
            "level": self.level,
            "reached": self.reached,
            "repository": self.repository,
            "copies": {name: copy.as_dict() for name, copy in self.copies.items()},
            "checks": [dict(check) for check in self.checks],
            "error": dict(self.error) if self.error else None,
            "started": format_time(self.started),
            "finished": format_time(self.finished),
            "host": self.host,
            "user": self.user,
            "lifeboat_version": self.lifeboat_version,
            "versions": dict(self.versions),
            "stages": dict(self.stages),
            "recovery_seconds": self.recovery_seconds,
            "plain_bytes": self.plain_bytes,
            "warnings": list(self.warnings),
        }
        document["checksum"] = document_checksum(document)
        return document

    def as_bytes(self) -> bytes:
        """The bytes of the document: indented, for people."""
        return note_bytes(self.as_dict())


def in_order(verification: Verification) -> tuple[datetime.datetime, str]:
    """The key to sort by: ids of one second are in no order."""
    return verification.started, verification.verification_id


def verification_key(folder: BackupFolder, verification_id: str) -> str:
    """The key of the document of that id."""
    return note_key(folder, PREFIX, verification_id)


def verification_id_of(key: str) -> str | None:
    """The id in the key of such a document, None when it is another object."""
    return note_id_of(key, PREFIX)


def parse_verification(data: bytes, *, key: str, backup_id: str) -> Verification:
    """Read a document and check all that later code relies on; properties that are not known are passed over.

    Raises VerificationInvalid, and nothing else whatever bytes come in.
    """
    try:
        found = _verification(Fields(read_note(data, of=FORMAT, version=FORMAT_VERSION), place=""))
        if found.backup_id != backup_id:
            raise ValueError(f"it is about the backup {found.backup_id}")
    except (ValueError, RecursionError) as error:
        raise VerificationInvalid(
            f"The verification {key} can't be trusted: {shortened(str(error))}.",
            hint=f"It counts for nothing; verify the backup again: lifeboat verify {backup_id}",
            details={"key": key},
        ) from error
    return found


def _verification(fields: Fields) -> Verification:
    fields.text("state", like="|".join(STATES))  # it follows from the rest
    return Verification(
        verification_id=fields.backup_id("id"),
        backup_id=fields.backup_id("backup"),
        manifest_checksum=fields.text("manifest_checksum"),
        level=fields.whole("level", highest=QUESTIONED),
        reached=fields.whole("reached", lowest=-1, highest=QUESTIONED),
        repository=fields.text("repository"),
        copies={name: _copy(copy, name) for name, copy in fields.object("copies").items()},
        checks=tuple(_check(value, number) for number, value in enumerate(fields.values("checks"))),
        error=_error(fields),
        started=fields.time("started"),
        finished=fields.time("finished"),
        host=fields.text("host"),
        user=fields.text("user"),
        lifeboat_version=fields.text("lifeboat_version"),
        versions=fields.object("versions"),
        stages=fields.seconds_by_name("stages"),
        recovery_seconds=_seconds(fields) if fields.given("recovery_seconds") else None,
        plain_bytes=fields.whole("plain_bytes") if fields.given("plain_bytes") else None,
        warnings=fields.texts("warnings"),
    )


def _copy(value: t.Any, name: str) -> CopyResult:
    fields = Fields(value, place=f"copies.{name}")
    return CopyResult(reached=fields.whole("reached", lowest=-1, highest=QUESTIONED), error=_error(fields))


def _check(value: t.Any, number: int) -> dict[str, t.Any]:
    fields = Fields(value, place=f"checks[{number}]")
    fields.whole("level", highest=QUESTIONED)
    fields.text("name")
    fields.text("state", like="|".join(CHECK_STATES))
    fields.text("message")
    return t.cast("dict[str, t.Any]", value)


def _error(fields: Fields) -> dict[str, t.Any] | None:
    if not fields.given("error"):
        return None
    error = fields.fields("error")
    for key in ("code", "message"):
        error.text(key)
    if error.has("hint"):
        error.text("hint")
    if error.has("details"):
        error.object("details")
    return fields.object("error")


def _seconds(fields: Fields) -> float:
    value = fields.seconds("recovery_seconds")
    if value >= LONGEST_SECONDS:
        raise ValueError("recovery_seconds is no duration")
    return value
