# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest: what makes a folder of bytes a backup."""

from __future__ import annotations

import datetime
import hashlib
import json
import typing as t
from dataclasses import dataclass, field

from ..core.clock import format_time
from ..core.errors import ManifestInvalid, ManifestTooNew
from ..pipeline.producer import StoredPayload
from .layout import BackupFolder, Series
from .manifest_fields import Fields, shortened
from .manifest_schema import (
    COMPRESSION,
    ENCRYPTION,
    FORMAT,
    FORMAT_VERSION,
    HIGHEST_LEVEL,
    LOWEST_LEVEL,
    PAYLOAD_NAME,
    SHA256,
)

#: The key of a manifest's content under which increments say how much a restore of them handles.
RESTORED_BYTES = "restored_bytes"


@dataclass(frozen=True)
class Manifest:
    """One backup's description; see ``docs/design.md`` for the format and :mod:`manifest_schema` for its schema."""

    backup_id: str
    service: str
    source: str
    engine: str
    kind: str
    started: datetime.datetime
    finished: datetime.datetime
    host: str
    lifeboat_version: str
    repositories: tuple[str, ...]
    compression: t.Mapping[str, t.Any] | None
    encryption: t.Mapping[str, t.Any] | None
    payloads: tuple[StoredPayload, ...]
    facts: t.Mapping[str, t.Any]
    content: t.Mapping[str, t.Any]
    stages: t.Mapping[str, float]
    warnings: tuple[str, ...] = ()
    parent: str | None = None
    labels: t.Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> BackupFolder:
        """Where the backup lies in a repository."""
        return Series(service=self.service, source=self.source, kind=self.kind).backup(self.backup_id)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all payloads as stored."""
        return sum(payload.size for payload in self.payloads)

    @property
    def plain_bytes(self) -> int | None:
        """Bytes of all payloads before compression; None when one of them is not known."""
        sizes = [payload.plain_size for payload in self.payloads]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def restored_bytes(self) -> int | None:
        """Plain bytes that a restore handles: of an increment that says so, those of what it builds on, too."""
        noted = self.content.get(RESTORED_BYTES)
        return noted if isinstance(noted, int) else self.plain_bytes

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.finished - self.started).total_seconds()

    def as_dict(self) -> dict[str, t.Any]:
        """The document that is stored, checksum included."""
        document: dict[str, t.Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "id": self.backup_id,
            "service": self.service,
            "source": self.source,
            "engine": self.engine,
            "kind": self.kind,
            "parent": self.parent,
            "labels": dict(self.labels),
            "started": format_time(self.started),
            "finished": format_time(self.finished),
            "host": self.host,
            "lifeboat_version": self.lifeboat_version,
            "repositories": list(self.repositories),
            "compression": dict(self.compression) if self.compression is not None else None,
            "encryption": dict(self.encryption) if self.encryption is not None else None,
            "payloads": [payload.as_dict() for payload in self.payloads],
            "facts": dict(self.facts),
            "content": dict(self.content),
            "stages": dict(self.stages),
            "warnings": list(self.warnings),
        }
        document["checksum"] = document_checksum(document)
        return document

    def as_bytes(self) -> bytes:
        """The bytes of ``manifest.json``: indented, for people."""
        return (
            json.dumps(self.as_dict(), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        ).encode("utf-8")


def document_checksum(document: t.Mapping[str, t.Any]) -> str:
    """SHA-256 of the document without its ``checksum``: JSON with sorted keys, no spaces, UTF-8.

    Raises ``ValueError`` for what JSON can't say: numbers that are none, halves of characters.
    """
    body = {key: value for key, value in document.items() if key != "checksum"}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def parse_manifest(data: bytes, *, folder: BackupFolder) -> Manifest:
    """Read ``manifest.json`` of *folder* and check all that the schema says and later code relies on.

    Properties that are not known are passed over: a later Lifeboat may have added them to this format version.

    Raises ManifestTooNew for a later format version and ManifestInvalid for anything else that does not fit: broken
    JSON, missing or ill-typed properties, a checksum that differs, a manifest of another folder, payload names that
    are paths. Whatever bytes come in, nothing else is raised.
    """
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _invalid(folder, f"it is not JSON ({error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _invalid(folder, f"it does not say format: {FORMAT}")
    version = document.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < FORMAT_VERSION:
        raise _invalid(folder, f"format_version is {version!r}")
    if version > FORMAT_VERSION:
        raise ManifestTooNew(
            f"The backup {folder.backup_id} has manifest format {shortened(str(version))}; "
            f"this Lifeboat reads up to {FORMAT_VERSION}.",
            hint="Upgrade Lifeboat on this host, or restore with the commands in the backup's RESTORE.md.",
            details={"key": folder.manifest_key, "format_version": version},
        )
    try:
        if document_checksum(document) != document.get("checksum"):
            raise _invalid(folder, "its checksum differs: it was changed after it was written")
        manifest = _manifest(Fields(document, place=""))
    except (ValueError, RecursionError) as error:
        raise _invalid(folder, str(error)) from error
    if manifest.folder != folder:
        raise _invalid(folder, f"it describes {manifest.folder.key('')} instead")
    return manifest


def _manifest(fields: Fields) -> Manifest:
    payloads = tuple(_payload(entry) for entry in fields.objects("payloads"))
    if len({payload.name for payload in payloads}) != len(payloads):
        raise ValueError("payloads has a name twice")
    return Manifest(
        backup_id=fields.backup_id("id"),
        service=fields.name("service"),
        source=fields.name("source"),
        engine=fields.name("engine"),
        kind=fields.name("kind"),
        parent=fields.backup_id("parent") if fields.has("parent") and fields.given("parent") else None,
        labels=fields.texts_by_name("labels") if fields.has("labels") else {},
        started=fields.time("started"),
        finished=fields.time("finished"),
        host=fields.text("host"),
        lifeboat_version=fields.text("lifeboat_version"),
        repositories=fields.names("repositories"),
        compression=_compression(fields) if fields.given("compression") else None,
        encryption=_encryption(fields) if fields.given("encryption") else None,
        payloads=payloads,
        facts=fields.object("facts"),
        content=fields.object("content"),
        stages=fields.seconds_by_name("stages"),
        warnings=fields.texts("warnings"),
    )


def _payload(entry: Fields) -> StoredPayload:
    return StoredPayload(
        name=entry.text("name", like=PAYLOAD_NAME),
        media=entry.text("media"),
        size=entry.whole("size"),
        sha256=entry.text("sha256", like=SHA256),
        plain_size=entry.whole("plain_size") if entry.given("plain_size") else None,
        compression=entry.text("compression", like=COMPRESSION) if entry.given("compression") else None,
        encryption=entry.text("encryption", like=ENCRYPTION) if entry.given("encryption") else None,
    )


def _compression(manifest: Fields) -> dict[str, t.Any]:
    fields = manifest.fields("compression")
    fields.text("method", like=COMPRESSION)
    fields.whole("level", lowest=LOWEST_LEVEL, highest=HIGHEST_LEVEL)
    return manifest.object("compression")


def _encryption(manifest: Fields) -> dict[str, t.Any]:
    fields = manifest.fields("encryption")
    fields.text("method", like=ENCRYPTION)
    if not fields.texts("recipients"):
        raise ValueError("encryption.recipients is empty")
    return manifest.object("encryption")


def _invalid(folder: BackupFolder, problem: str) -> ManifestInvalid:
    problem = shortened(problem)  # it may quote what somebody else wrote
    return ManifestInvalid(
        f"The manifest {folder.manifest_key} can't be trusted: {problem}.",
        hint="Look at the copy in another repository of the job; lifeboat list shows which have one.",
        details={"key": folder.manifest_key},
    )
