# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One repository's copy of a backup, as its documents tell."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import LifeboatError, StorageNotFound
from ..storage.base import Storage
from .folder_content import FolderContent, Kept, look_closely_into, look_into, with_reasons
from .layout import BackupFolder
from .manifest import Manifest, parse_manifest
from .pin import Pin, parse_pin, unreadable_pin
from .removal import REMOVED, RemovedCopy, removed_error
from .verification import Verification, parse_verification

#: Older ones than so many of one backup change nothing that matters any more.
MOST_VERIFICATIONS = 50
_LOOKS = 3


@dataclass(frozen=True)
class Copy:
    """What one repository holds of a backup; *problems* are documents beside the manifest that can't be read."""

    manifest: Manifest
    verifications: tuple[Verification, ...]
    pins: tuple[Pin, ...]
    problems: tuple[LifeboatError, ...]
    kept: Kept | None = None


def read_copy(
    storage: Storage, folder: BackupFolder, *, repository: str, reasons: bool = False
) -> Copy | RemovedCopy | LifeboatError | None:
    """The copy; that it is being removed, or was, with *reasons* why; what keeps it from being read; None: no backup.

    One listing, and one read for each document.
    """
    try:
        return _read(storage, folder, repository=repository, reasons=reasons)
    except LifeboatError as error:
        return error


def read_pin(storage: Storage, key: str, *, backup_id: str) -> Pin | None:
    """The pin of that key; None when it was taken away meanwhile. Raises PinInvalid, and what get() raises."""
    try:
        return parse_pin(storage.get(key), key=key, backup_id=backup_id)
    except StorageNotFound:
        return None


def require_copy(storage: Storage, folder: BackupFolder, *, repository: str) -> None:
    """Raise BackupRemoved when retention removes this copy just now, or did so; nothing when it is a backup still.

    To be asked when an object of it was not found, or before something is made that is of no use without it.
    """
    content = look_closely_into(storage, folder)
    if content.is_backup:
        return
    copy = content.removed(repository)
    if copy is None:
        # Nobody else takes a manifest away, and none comes back.
        copy = RemovedCopy(folder=folder, repository=repository, state=REMOVED)
    raise removed_error(folder.backup_id, [with_reasons(storage, copy, content)])


def _read(storage: Storage, folder: BackupFolder, *, repository: str, reasons: bool) -> Copy | RemovedCopy | None:
    attempts = 0
    while True:
        attempts += 1
        content = look_into(storage, folder)
        if not content.is_backup:
            break
        try:
            manifest = parse_manifest(storage.get(folder.manifest_key), folder=folder)
            return _copy(storage, content, manifest)
        except StorageNotFound:  # a removal was quicker: that shows when one looks again
            if attempts == _LOOKS:
                raise
    copy = content.removed(repository)
    return with_reasons(storage, copy, content) if copy is not None and reasons else copy


def _copy(storage: Storage, content: FolderContent, manifest: Manifest) -> Copy:
    verifications: list[Verification] = []
    pins: list[Pin] = []
    problems: list[LifeboatError] = []
    backup_id = manifest.backup_id
    for key in content.verifications[-MOST_VERIFICATIONS:]:
        try:
            verifications.append(parse_verification(storage.get(key), key=key, backup_id=backup_id))
        except StorageNotFound:
            raise
        except LifeboatError as error:
            problems.append(error)
    for key in content.pins:
        try:
            pin = read_pin(storage, key, backup_id=backup_id)
        except LifeboatError as error:
            problems.append(error)
            pin = unreadable_pin(key, backup_id=backup_id)
        pins += [pin] if pin is not None else []
    return Copy(
        manifest=manifest,
        verifications=tuple(verifications),
        pins=tuple(pins),
        problems=tuple(problems),
        kept=content.kept,
    )


__all__ = ("MOST_VERIFICATIONS", "Copy", "read_copy", "read_pin", "require_copy")
