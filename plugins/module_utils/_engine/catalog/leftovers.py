# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs that died left behind in a repository, and its removal by the next run.

A leftover is the folder of a backup id without a manifest, or an upload that was never completed, whose run can't be
alive any more: it ran on this host (whoever sweeps holds the lock of the source, so nobody else works on it here),
or it began longer ago than any run of another host lasts.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, field

from ..core.errors import StorageError, StorageNotFound
from ..core.ids import backup_id_time
from ..storage.base import Storage
from .layout import STARTED, BackupFolder, Series, parse_key

OTHER_HOST_AGE = datetime.timedelta(days=7)


@dataclass
class Sweep:
    """What was removed, and what could not be: kind of thing, key, reason."""

    removed: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


def sweep_leftovers(storage: Storage, *, series: Series, host: str, now: datetime.datetime) -> Sweep:
    """Remove the leftovers of a series. The caller holds the lock of the source on *host*.

    Payloads go first and ``started.json`` last, so that a sweep that dies is finished by the next one. What the
    repository does not let us remove (append-only credentials, object lock) is reported in ``kept``, not raised.
    """
    sweep = Sweep()
    for backup_id in list(storage.list_folders(series.folder)):
        folder = _folder(series, backup_id)
        if folder is not None:
            _sweep_folder(storage, folder, sweep, host=host, now=now)
    for upload in list(storage.unfinished(series.folder)):
        parts = parse_key(upload.key)
        if parts is None or _is_dead(storage, parts.folder, host=host, now=now):
            try:
                storage.abort_unfinished(upload)
                sweep.removed.append(upload.key)
            except StorageError as error:
                sweep.kept[upload.key] = error.message
    return sweep


def _sweep_folder(storage: Storage, folder: BackupFolder, sweep: Sweep, *, host: str, now: datetime.datetime) -> None:
    keys = [found.key for found in storage.list(folder.key(""))]
    if folder.manifest_key in keys or not _is_dead(storage, folder, host=host, now=now):
        return
    # Nobody writes a manifest into a dead run's folder, yet a look costs nothing and a mistake a backup.
    if _exists(storage, folder.manifest_key):
        return
    started = folder.key(STARTED)
    for batch in ([key for key in keys if key != started], [key for key in keys if key == started]):
        if not batch:
            continue
        report = storage.delete(batch)
        sweep.removed.extend(report.deleted)
        sweep.kept.update(report.refused)
        if report.refused:
            return


def _folder(series: Series, backup_id: str) -> BackupFolder | None:
    parts = parse_key(series.backup(backup_id).manifest_key)
    return parts.folder if parts else None


def _is_dead(storage: Storage, folder: BackupFolder, *, host: str, now: datetime.datetime) -> bool:
    if now - backup_id_time(folder.backup_id) > OTHER_HOST_AGE:
        return True
    try:
        document = json.loads(storage.get(folder.key(STARTED)))
    except (StorageNotFound, ValueError):
        # Every run writes started.json before anything else; without it nobody can say whose this is.
        return _exists(storage, folder.manifest_key)
    return isinstance(document, dict) and document.get("host") == host


def _exists(storage: Storage, key: str) -> bool:
    try:
        storage.stat(key)
    except StorageNotFound:
        return False
    return True
