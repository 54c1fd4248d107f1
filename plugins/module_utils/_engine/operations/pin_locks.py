# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Object locks and legal holds on what a pinned backup consists of, everything that it builds on included."""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.catalog import Backup, Reading, Selection, read_catalog
from ..catalog.folder_content import look_into
from ..catalog.layout import BackupFolder
from ..catalog.set_members import is_set, member_folders, set_in
from ..core.errors import StorageError
from ..storage.base import Storage


def read_source(storages: t.Mapping[str, Storage], backup: Backup) -> Reading:
    """All backups of its source, of whatever kind, among them those that it builds on; where sets are about, of its
    service.
    """
    manifest = backup.manifest
    source = None if is_set(manifest) or set_in(manifest.labels) is not None else manifest.source
    return read_catalog(storages, selection=Selection(service=manifest.service, source=source))


def chain_folders(backup: Backup, reading: Reading) -> list[BackupFolder]:
    """The folder of the backup, and of everything that it builds on or consists of, as far as that is there."""
    by_id = {one.manifest.backup_id: one.manifest for one in reading.backups}
    folders: dict[BackupFolder, None] = {}
    wanted = [backup.manifest.backup_id]
    by_id.setdefault(backup.manifest.backup_id, backup.manifest)
    while wanted:
        manifest = by_id.get(wanted.pop(0))
        if manifest is not None and manifest.folder not in folders:
            folders[manifest.folder] = None
            wanted += [manifest.parent] if manifest.parent else []
            wanted += [folder.backup_id for folder in member_folders(manifest)]
    return list(folders)


def held_folders(reading: Reading) -> set[BackupFolder]:
    """What is needed by backups under legal hold."""
    held = [backup for backup in reading.backups if any(pin.hold for pin in backup.pins)]
    return {folder for backup in held for folder in chain_folders(backup, reading)}


def change_locks(
    storages: t.Mapping[str, Storage],
    folders: t.Sequence[BackupFolder],
    *,
    until: datetime.datetime | None,
    hold: bool | None,
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Lock the objects until then, and put them under hold or release them (None: neither).

    The repositories where all of it was done, and of the others why not. Pins themselves are left alone: they must be
    removable.
    """
    done: list[str] = []
    reasons: dict[str, str] = {}
    for name, storage in storages.items():
        try:
            problems = _change(storage, folders, until=until, hold=hold)
        except StorageError as error:
            problems = {"": error.message}
        if problems:
            key, reason = next(iter(problems.items()))
            reasons[name] = f"{key}: {reason}" if key else reason
        else:
            done.append(name)
    return tuple(done), reasons


def _change(
    storage: Storage, folders: t.Sequence[BackupFolder], *, until: datetime.datetime | None, hold: bool | None
) -> dict[str, str]:
    problems: dict[str, str] = {}
    for folder in folders:
        content = look_into(storage, folder)
        keys = sorted(content.objects.keys() - {*content.pins, *content.removals, *content.sweeps})
        if until is not None:
            problems.update(storage.extend_lock(keys, until=until))
        if hold is not None:
            problems.update(storage.set_hold(keys, on=hold))
    return problems
