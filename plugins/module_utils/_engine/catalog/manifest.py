# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest: what makes a folder of bytes a backup."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import typing as t
from dataclasses import dataclass, field

from ..core.clock import format_time, parse_time
from ..core.errors import ManifestInvalid, ManifestTooNew
from ..core.ids import is_backup_id, is_name
from ..pipeline.producer import StoredPayload
from .layout import BackupFolder, Series
from .manifest_schema import FORMAT, FORMAT_VERSION

_PAYLOAD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=@+,-]{0,200}")


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
        return (json.dumps(self.as_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8")


def document_checksum(document: t.Mapping[str, t.Any]) -> str:
    """SHA-256 of the document without its ``checksum``: JSON with sorted keys, no spaces, UTF-8."""
    body = {key: value for key, value in document.items() if key != "checksum"}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def parse_manifest(data: bytes, *, folder: BackupFolder) -> Manifest:
    """Read ``manifest.json`` of *folder* and check everything that later code relies on.

    Raises ManifestTooNew for a later format version and ManifestInvalid for anything else that does not fit: broken
    JSON, missing or ill-typed properties, a checksum that differs, a manifest of another folder, payload names that
    are paths. Whatever bytes come in, nothing else is raised.
    """
    try:
        document = json.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _invalid(folder, f"it is not JSON ({error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _invalid(folder, f"it does not say format: {FORMAT}")
    version = document.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ManifestTooNew(
            f"The backup {folder.backup_id} has manifest format {version}; this Lifeboat reads up to {FORMAT_VERSION}.",
            hint="Upgrade Lifeboat on this host, or restore with the commands in the backup's RESTORE.md.",
            details={"key": folder.manifest_key, "format_version": version},
        )
    if version != FORMAT_VERSION:
        raise _invalid(folder, f"format_version is {version!r}")
    try:
        if document_checksum(document) != document.get("checksum"):
            raise _invalid(folder, "its checksum differs: it was changed after it was written")
        manifest = _from_document(document)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _invalid(folder, f"{type(error).__name__}: {error}") from error
    if manifest.folder != folder:
        raise _invalid(folder, f"it describes {manifest.folder.key('')} instead")
    return manifest


def _from_document(document: t.Mapping[str, t.Any]) -> Manifest:
    payloads = tuple(_payload(entry) for entry in document["payloads"])
    if not payloads or len({payload.name for payload in payloads}) != len(payloads):
        raise ValueError("it lists no payloads, or one twice")
    backup_id = document["id"]
    if not is_backup_id(backup_id):
        raise ValueError(f"{backup_id!r} is not a backup id")
    for key in ("service", "source", "engine", "kind"):
        if not is_name(document[key]):
            raise ValueError(f"{key} {document[key]!r} is not a name")
    parent = document.get("parent")
    if parent is not None and not is_backup_id(parent):
        raise ValueError(f"the parent {parent!r} is not a backup id")
    return Manifest(
        backup_id=backup_id,
        service=document["service"],
        source=document["source"],
        engine=document["engine"],
        kind=document["kind"],
        parent=parent,
        labels={str(key): str(value) for key, value in document.get("labels", {}).items()},
        started=parse_time(document["started"]),
        finished=parse_time(document["finished"]),
        host=str(document["host"]),
        lifeboat_version=str(document["lifeboat_version"]),
        repositories=tuple(str(name) for name in document["repositories"]),
        compression=_mapping_or_none(document["compression"]),
        encryption=_mapping_or_none(document["encryption"]),
        payloads=payloads,
        facts=dict(document["facts"]),
        content=dict(document["content"]),
        stages={str(key): float(value) for key, value in document["stages"].items()},
        warnings=tuple(str(warning) for warning in document["warnings"]),
    )


def _payload(entry: t.Mapping[str, t.Any]) -> StoredPayload:
    name = entry["name"]
    if not _PAYLOAD_NAME.fullmatch(name):
        raise ValueError(f"the payload name {name!r} is not a plain file name")
    size, plain_size = entry["size"], entry["plain_size"]
    if type(size) is not int or size < 0 or not re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]):
        raise ValueError(f"size or sha256 of {name} is not one")
    if plain_size is not None and (type(plain_size) is not int or plain_size < 0):
        raise ValueError(f"plain_size of {name} is not one")
    return StoredPayload(
        name=name,
        media=str(entry["media"]),
        size=size,
        sha256=entry["sha256"],
        plain_size=plain_size,
        compression=_one_of(entry["compression"], ("zstd", None)),
        encryption=_one_of(entry["encryption"], ("age", None)),
    )


def _one_of(value: t.Any, allowed: t.Sequence[str | None]) -> str | None:
    if value not in allowed:
        raise ValueError(f"{value!r} is none of {allowed}")
    return None if value is None else str(value)


def _mapping_or_none(value: t.Any) -> dict[str, t.Any] | None:
    return None if value is None else dict(value)


def _invalid(folder: BackupFolder, problem: str) -> ManifestInvalid:
    return ManifestInvalid(
        f"The manifest {folder.manifest_key} can't be trusted: {problem}.",
        hint="Look at the copy in another repository of the job; lifeboat list shows which have one.",
        details={"key": folder.manifest_key},
    )
