# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who builds on backups that are to be removed: also increments that have only begun, on whatever host."""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.folder_content import look_into
from ..catalog.layout import BackupFolder, Series
from ..catalog.leftovers import OTHER_HOST_AGE
from ..catalog.manifest import parse_manifest
from ..catalog.started import read_started
from ..core.description.kinds import STREAMED_KINDS
from ..core.errors import ManifestInvalid, ManifestTooNew, StorageNotFound
from ..core.ids import is_backup_id, is_name
from ..storage.base import Storage
from ..storage.s3_parallel import at_once
from .kinds import KINDS

_READING_AT_ONCE = 8
_BUILDING = frozenset(kind for (_engine, kind), made in KINDS.items() if made.parent_kinds)
#: Kinds that never build on another backup. What this version does not know is looked at.
_NEVER_BUILD = frozenset(
    {kind for (_engine, kind) in KINDS if kind not in _BUILDING}
    | {kind for kinds in STREAMED_KINDS.values() for kind in kinds}
)
_ANYTHING = "?"


class Increments:
    """The increments of a repository, whoever makes them and however far they are.

    *known* are ids of backups of which the caller knows the parents: they are not looked at. What was read once is not
    read again: a parent never changes. *now* is aware UTC, by the storage's clock.
    """

    def __init__(self, storage: Storage, *, known: t.AbstractSet[str], now: datetime.datetime) -> None:
        self._storage = storage
        self._known = known
        self._now = now
        self._parents: dict[BackupFolder, str | None] = {}

    def building_on(
        self, parents: t.AbstractSet[str], *, source: tuple[str, str], but: t.AbstractSet[BackupFolder]
    ) -> dict[str, str]:
        """Which of *parents* (ids) an increment of the source is built on, with one such increment; *but* don't count.

        Also counts one that is being removed while its manifest is there: that may be taken back. Does not count a run
        that is dead for certain. Raises what the storage raises.
        """
        folders = [folder for folder in self._folders(source) if folder not in but]
        found: dict[str, str] = {}
        for folder, built_on in zip(folders, at_once(self._parent_of, folders, most=_READING_AT_ONCE)):
            wanted = (parents if built_on == _ANYTHING else parents & {built_on}) - found.keys()
            if wanted and self._is_living(folder):
                found.update(dict.fromkeys(wanted, folder.backup_id))
        return found

    def _folders(self, source: tuple[str, str]) -> t.Iterator[BackupFolder]:
        service, name = source
        for kind in self._storage.list_folders(f"{service}/{name}/"):
            if is_name(kind) and kind not in _NEVER_BUILD:
                series = Series(service=service, source=name, kind=kind)
                for backup_id in self._storage.list_folders(series.folder):
                    if is_backup_id(backup_id) and backup_id not in self._known:
                        yield series.backup(backup_id)

    def _parent_of(self, folder: BackupFolder) -> str | None:
        """None when it builds on nothing, or nothing has begun there."""
        if folder in self._parents:
            return self._parents[folder]
        started = read_started(self._storage, folder)
        if started is not None and started.says_parent:
            self._parents[folder] = started.parent
            return started.parent
        try:
            manifest = parse_manifest(self._storage.get(folder.manifest_key), folder=folder)
        except StorageNotFound:
            # Without started.json, nothing has begun: whoever begins now looks for removals after saying so. With it,
            # a run of an earlier version is going on, which doesn't say what it builds on.
            return None if started is None else _ANYTHING
        except (ManifestInvalid, ManifestTooNew):
            return None  # the plan's guards see to those
        self._parents[folder] = manifest.parent
        return manifest.parent

    def _is_living(self, folder: BackupFolder) -> bool:
        content = look_into(self._storage, folder)
        if content.has_manifest:
            return True
        if content.policy_removals:
            return False
        return any(self._now - found.modified <= OTHER_HOST_AGE for found in content.objects.values())
