# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in the folder of one backup, from one listing: whether it is a backup, and which documents are about it."""

from __future__ import annotations

import contextlib
import datetime
import typing as t
from dataclasses import dataclass, replace

from ..core.errors import LifeboatError, StorageForbidden, StorageNotFound
from ..storage.base import ObjectInfo, Storage
from .layout import RESTORE_NOTES, STARTED, BackupFolder
from .pin import pin_id_of
from .removal import DELETING, REMOVED, RemovedCopy, parse_removal, removal_id_of
from .sweep_mark import is_mark
from .verification import verification_id_of

_MARK_AGE = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Kept:
    """How a storage keeps a backup: in which of its classes (None: it has none), and since when (aware, UTC)."""

    storage_class: str | None
    since: datetime.datetime


@dataclass(frozen=True)
class FolderContent:
    """The objects of a backup's folder by their keys."""

    folder: BackupFolder
    objects: t.Mapping[str, ObjectInfo]

    @property
    def is_backup(self) -> bool:
        """Whether the folder is a backup: it has a manifest, and nobody is removing it."""
        return self.has_manifest and not self.policy_removals

    @property
    def has_manifest(self) -> bool:
        """Whether the manifest is there, be the copy on its way out or not."""
        return self.folder.manifest_key in self.objects

    @property
    def removals(self) -> list[str]:
        """The keys by which somebody says that he removes what is here, by policy or because it is no backup.

        A mark of a sweep counts for an hour after it was written: no sweep works on one folder for so long, and where
        nothing may be deleted, marks stay.
        """
        newest = max((found.modified for found in self.objects.values()), default=None)
        fresh = [key for key in self.sweeps if newest and newest - self.objects[key].modified <= _MARK_AGE]
        return [*self.policy_removals, *fresh]

    @property
    def policy_removals(self) -> list[str]:
        """The keys of removals by policy, oldest first."""
        return sorted(key for key in self.objects if removal_id_of(key))

    @property
    def sweeps(self) -> list[str]:
        """The keys of the marks of those who empty a folder that is no backup."""
        return sorted(key for key in self.objects if is_mark(key))

    @property
    def verifications(self) -> list[str]:
        """The keys of the verifications, oldest first."""
        return sorted(key for key in self.objects if verification_id_of(key))

    @property
    def pins(self) -> list[str]:
        """The keys of the pins, oldest first."""
        return sorted(key for key in self.objects if pin_id_of(key))

    @property
    def rest(self) -> list[str]:
        """The keys of everything but the manifest and the removals: what goes first, ``started.json`` at its end."""
        return [*self.payloads, *self.notes]

    @property
    def payloads(self) -> list[str]:
        """The keys of what is no document: as long as all of it is there, nothing is lost."""
        aside = {self.folder.manifest_key, *self.policy_removals, *self.sweeps}
        return sorted(key for key in self.objects if key not in aside and not is_note(key))

    @property
    def kept(self) -> Kept | None:
        """How the largest payload is kept, and since when the newest is; None without payloads."""
        payloads = [self.objects[key] for key in self.payloads]
        if not payloads:
            return None
        largest = max(payloads, key=lambda found: (found.size, found.key))
        return Kept(storage_class=largest.storage_class, since=max(found.modified for found in payloads))

    @property
    def notes(self) -> list[str]:
        """The keys of what is said about the backup, ``started.json`` at the end."""
        started = self.folder.key(STARTED)
        return sorted((key for key in self.objects if is_note(key)), key=lambda key: (key == started, key))

    def removed(self, repository: str) -> RemovedCopy | None:
        """The copy that *repository* is removing or has removed; None when it is doing no such thing."""
        if not self.policy_removals:
            return None
        state = DELETING if self.has_manifest or self.rest else REMOVED
        return RemovedCopy(folder=self.folder, repository=repository, state=state, marks=len(self.policy_removals))


def is_note(key: str) -> bool:
    """Whether the object in a backup's folder is a document about it: neither payload nor manifest nor removal."""
    name = key.rpartition("/")[2]
    return name in (RESTORE_NOTES, STARTED) or verification_id_of(key) is not None or pin_id_of(key) is not None


def look_into(storage: Storage, folder: BackupFolder) -> FolderContent:
    """List the folder. Raises what list() raises."""
    return FolderContent(folder=folder, objects={found.key: found for found in storage.list(folder.key(""))})


def look_closely_into(storage: Storage, folder: BackupFolder) -> FolderContent:
    """The same for who goes on to count on the backup: the manifest is there after everything was listed.

    A listing comes in pages and takes its time. A removal that ends meanwhile takes manifest and mark away, of which
    the one was listed already, and the other is listed no more.
    """
    content = look_into(storage, folder)
    if not content.is_backup:
        return content
    try:
        storage.stat(folder.manifest_key)
    except StorageNotFound:
        left = {key: found for key, found in content.objects.items() if key != folder.manifest_key}
        return replace(content, objects=left)
    except StorageForbidden:
        pass  # credentials that may list and not read
    return content


def with_reasons(storage: Storage, copy: RemovedCopy, content: FolderContent) -> RemovedCopy:
    """The same with its newest document, where that can be read: that the copy goes is certain without it."""
    for key in content.policy_removals[-1:]:
        with contextlib.suppress(LifeboatError):
            removal = parse_removal(storage.get(key), key=key, backup_id=copy.folder.backup_id)
            return replace(copy, removal=removal)
    return copy
