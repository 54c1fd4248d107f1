# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that were altered and then sealed again, so that sizes and hashes agree: what only a closer look can catch.

Everything works on the folder of a ``file`` repository. A *backup folder* is the place of one backup in it: a
``BackupFolder``, or its key as text ("family/main/full/20261121T020000Z-4f2c91").
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, parse_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import Manifest, parse_manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.restore_notes import plain_name
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from tests.support.manifests import signed

if t.TYPE_CHECKING:
    Place: t.TypeAlias = BackupFolder | str
    Repository: t.TypeAlias = Path | str


def mutate_payload(
    repository_path: Repository,
    backup_folder: Place,
    plain_name: str,
    function: t.Callable[[bytes], bytes],
    *,
    identity_file: Repository | None = None,
) -> None:
    """Replace the plain bytes of one payload by what *function* makes of them, and seal the backup again.

    The payload is compressed and encrypted as before; size, SHA-256 and plain size in the manifest, and the manifest's
    checksum, are right. *identity_file* is the private key, for encrypted payloads.
    """
    plain = function(plain_bytes(repository_path, backup_folder, plain_name, identity_file=identity_file))
    replace_payload(repository_path, backup_folder, plain_name, plain)


def replace_payload(repository_path: Repository, backup_folder: Place, plain_name: str, plain: bytes) -> None:
    """As :func:`mutate_payload`, with plain bytes from elsewhere."""
    manifest = read_manifest(repository_path, backup_folder)
    payload = _payload(manifest, plain_name)
    stored = plain
    if payload.compression:
        stored = _run(["zstd", "-q", "-1", "-c"], stored)
    if payload.encryption:
        recipients = (manifest.encryption or {})["recipients"]
        stored = _run(["age", "-e", *(part for one in recipients for part in ("-r", one))], stored)
    replace_stored(repository_path, backup_folder, plain_name, stored, plain_size=len(plain))


def replace_stored(
    repository_path: Repository, backup_folder: Place, plain_name: str, stored: bytes, *, plain_size: int | None
) -> None:
    """Put these stored bytes (compressed and encrypted by whoever made them) in a payload's place, and seal."""
    path = payload_path(repository_path, backup_folder, plain_name)
    _replace_file(path, stored)

    def reseal(document: dict[str, t.Any]) -> None:
        for entry in document["payloads"]:
            if entry["name"] == path.name:
                entry["size"] = len(stored)
                entry["sha256"] = hashlib.sha256(stored).hexdigest()
                entry["plain_size"] = plain_size

    mutate_manifest(repository_path, backup_folder, reseal)


def swap_payloads(repository_path: Repository, one: tuple[Place, str], other: tuple[Place, str]) -> None:
    """Exchange the stored bytes of two payloads, each (backup folder, plain name), and seal both backups again.

    They may belong to one backup or to two.
    """
    found = [
        (
            payload_path(repository_path, *place).read_bytes(),
            _payload(read_manifest(repository_path, place[0]), place[1]),
        )
        for place in (one, other)
    ]
    for place, (stored, payload) in zip((one, other), reversed(found), strict=True):
        replace_stored(repository_path, *place, stored, plain_size=payload.plain_size)


def mutate_manifest(
    repository_path: Repository, backup_folder: Place, function: t.Callable[[dict[str, t.Any]], t.Any]
) -> None:
    """Let *function* change the manifest's document in place, then write it with a checksum that is right."""
    path = folder_path(repository_path, backup_folder) / "manifest.json"
    document = json.loads(path.read_bytes())
    function(document)
    _replace_file(path, signed(document))


def plain_bytes(
    repository_path: Repository, backup_folder: Place, plain_name: str, *, identity_file: Repository | None = None
) -> bytes:
    """A payload's bytes, decrypted and decompressed by the stock tools."""
    payload = _payload(read_manifest(repository_path, backup_folder), plain_name)
    data = payload_path(repository_path, backup_folder, plain_name).read_bytes()
    if payload.encryption:
        data = _run(["age", "-d", "-i", str(identity_file)], data)
    return _run(["zstd", "-dcq"], data) if payload.compression else data


def folder_path(repository_path: Repository, backup_folder: Place) -> Path:
    """Where the backup lies on the disk."""
    return Path(repository_path) / str(_folder(backup_folder).key(""))


def payload_path(repository_path: Repository, backup_folder: Place, plain_name: str) -> Path:
    """Where a payload's stored bytes lie on the disk."""
    manifest = read_manifest(repository_path, backup_folder)
    return folder_path(repository_path, backup_folder) / str(_payload(manifest, plain_name).name)


def read_manifest(repository_path: Repository, backup_folder: Place) -> Manifest:
    """The backup's manifest as it is now; it must be a valid one."""
    data = (folder_path(repository_path, backup_folder) / "manifest.json").read_bytes()
    return parse_manifest(data, folder=_folder(backup_folder))


def _folder(place: Place) -> BackupFolder:
    if isinstance(place, BackupFolder):
        return place
    parts = parse_key(f"{place.strip('/')}/manifest.json")
    assert parts is not None, f"{place!r} is no backup's folder"
    return parts.folder


def _payload(manifest: Manifest, name: str) -> StoredPayload:
    return next(payload for payload in manifest.payloads if name in (plain_name(payload), payload.name))


def _replace_file(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.altered")
    temporary.write_bytes(data)
    temporary.replace(path)


def _run(argv: t.Sequence[str], data: bytes) -> bytes:
    return subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True, timeout=120).stdout
