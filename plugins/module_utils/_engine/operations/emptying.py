# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletes of objects in the folders of backups: what readers see, or with it everything that the storage kept of it."""

from __future__ import annotations

import datetime
import itertools
import typing as t

from ..catalog.layout import BackupFolder
from ..core.errors import StorageError
from ..storage.base import DeleteReport, ObjectVersion, Storage
from ..storage.s3_parallel import at_once

_LISTING_AT_ONCE = 8
Takes = t.Callable[[str], bool]


def nothing_else(_key: str) -> bool:
    """For :meth:`Emptier.delete`: no other keys than those given."""
    return False


class Emptier:
    """Deletes in one repository; with *everything* also older versions and markers."""

    def __init__(self, storage: Storage, *, everything: bool) -> None:
        self._storage = storage
        self._everything = everything

    def delete(self, keys: t.Mapping[BackupFolder, t.Sequence[str]], *, also_old: Takes = nothing_else) -> DeleteReport:
        """Delete these objects of these folders; every one is answered for.

        With *everything* their older versions go as well, and those of other keys in the folders that *also_old* names:
        of objects that were deleted earlier.
        """
        wanted = [key for some in keys.values() for key in some]
        versions = self._versions(keys, also_old) if self._everything else []
        versioned = {version.key for version in versions}
        plain = [key for key in wanted if key not in versioned]
        reports = []
        if versions:
            reports.append(self._storage.delete_versions(versions))
        if plain:
            reports.append(self._storage.delete(plain))
        return _joined(reports)

    def delete_old(self, key: str) -> DeleteReport:
        """With *everything*, what the storage kept of an object that was deleted; else nothing."""
        versions = [one for one in self._storage.versions(key) if one.key == key] if self._everything else []
        return self._storage.delete_versions(versions) if versions else DeleteReport()

    def _versions(self, keys: t.Mapping[BackupFolder, t.Sequence[str]], also_old: Takes) -> list[ObjectVersion]:
        def of_folder(folder: BackupFolder) -> list[ObjectVersion]:
            wanted = frozenset(keys[folder])
            found = self._storage.versions(folder.key(""))
            return [one for one in found if one.key in wanted or also_old(one.key)]

        return list(itertools.chain.from_iterable(at_once(of_folder, list(keys), most=_LISTING_AT_ONCE)))


def _joined(reports: t.Iterable[DeleteReport]) -> DeleteReport:
    deleted: list[str] = []
    refused: dict[str, str] = {}
    deferred: dict[str, datetime.datetime | None] = {}
    causes: dict[str, StorageError] = {}
    for report in reports:
        deleted += report.deleted
        refused.update(report.refused)
        deferred.update(report.deferred)
        causes.update((cause.code, cause) for cause in report.causes)
    return DeleteReport(deleted=tuple(deleted), refused=refused, deferred=deferred, causes=tuple(causes.values()))
