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
import itertools
import json
import typing as t
from dataclasses import dataclass, field

from ..core.errors import StorageError, StorageNotFound
from ..core.ids import backup_id_time
from ..storage.base import CHECK_KEY, Storage, Unfinished
from .layout import STARTED, BackupFolder, Series, parse_key

# No run lasts longer, nor does the upload of anything else below a series.
OTHER_HOST_AGE = datetime.timedelta(days=7)
# Nor does the upload of a few hundred bytes, with all its attempts.
SMALL_UPLOAD_AGE = datetime.timedelta(minutes=10)


@dataclass
class Sweep:
    """What was removed, and what could not be: kind of thing, key, reason."""

    removed: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


@dataclass
class _Rest:
    """What lies in the folder of a backup that may be a leftover."""

    keys: list[str] = field(default_factory=list)
    uploads: list[Unfinished] = field(default_factory=list)


def sweep_leftovers(storage: Storage, *, series: Series, host: str, now: datetime.datetime) -> Sweep:
    """Remove the leftovers of a series. The caller holds the lock of the source on *host*.

    Uploads and payloads go first and ``started.json`` last, so that a sweep that dies is finished by the next one. What
    the repository does not let us remove (append-only credentials, object lock) is reported in ``kept``, not raised.
    """
    sweep = Sweep()
    uploads = _by_folder(storage.unfinished(series.folder))
    foreign = uploads.pop(None, [])
    rests = {folder: _Rest(uploads=found) for folder, found in uploads.items() if folder is not None}
    for folder, keys in _folders(storage, series):
        if folder in rests or folder.manifest_key not in keys:
            rests.setdefault(folder, _Rest()).keys = keys
    for folder, rest in rests.items():
        _sweep_folder(storage, folder, rest, sweep, host=host, now=now)
    _abort(storage, _older(foreign, OTHER_HOST_AGE, now=now), sweep)
    # What a check() left that died; the object itself is replaced and removed by the next one.
    _abort(storage, _older(storage.unfinished(CHECK_KEY), SMALL_UPLOAD_AGE, now=now), sweep)
    return sweep


def _folders(storage: Storage, series: Series) -> t.Iterator[tuple[BackupFolder, list[str]]]:
    """Every folder of a backup with its keys, from one listing of the series."""
    keys_with_parts = ((found.key, parse_key(found.key)) for found in storage.list(series.folder))
    for folder, group in itertools.groupby(keys_with_parts, key=lambda pair: pair[1].folder if pair[1] else None):
        if folder is not None:
            yield folder, [key for key, _parts in group]


def _sweep_folder(
    storage: Storage, folder: BackupFolder, rest: _Rest, sweep: Sweep, *, host: str, now: datetime.datetime
) -> None:
    if not rest.keys:
        # Whoever died here was writing started.json, or was cleaned up after in part.
        _abort(storage, _older(rest.uploads, SMALL_UPLOAD_AGE, now=now), sweep)
        return
    if not _is_dead(storage, folder, rest.keys, host=host, now=now) or not _abort(storage, rest.uploads, sweep):
        return
    # Nobody writes a manifest into a dead run's folder, yet a look costs nothing and a mistake a backup.
    if folder.manifest_key in rest.keys or _exists(storage, folder.manifest_key):
        return
    started = folder.key(STARTED)
    for batch in ([key for key in rest.keys if key != started], [key for key in rest.keys if key == started]):
        if not batch:
            continue
        report = storage.delete(batch)
        sweep.removed.extend(report.deleted)
        sweep.kept.update(report.refused)
        if report.refused:
            return


def _is_dead(
    storage: Storage, folder: BackupFolder, keys: t.Collection[str], *, host: str, now: datetime.datetime
) -> bool:
    if now - backup_id_time(folder.backup_id) > OTHER_HOST_AGE:
        return True
    # Every run writes started.json before anything else and the manifest last; without the first, nobody can say whose
    # this is, unless the run is over.
    is_over = folder.manifest_key in keys
    if folder.key(STARTED) not in keys:
        return is_over
    try:
        document = json.loads(storage.get(folder.key(STARTED)))
    except (StorageNotFound, ValueError, RecursionError):
        return is_over
    return isinstance(document, dict) and document.get("host") == host


def _abort(storage: Storage, uploads: t.Iterable[Unfinished], sweep: Sweep) -> bool:
    """Whether all of them are gone."""
    is_clean = True
    for upload in uploads:
        try:
            storage.abort_unfinished(upload)
            sweep.removed.append(upload.key)
        except StorageError as error:
            sweep.kept[upload.key] = error.message
            is_clean = False
    return is_clean


def _by_folder(uploads: t.Iterable[Unfinished]) -> dict[BackupFolder | None, list[Unfinished]]:
    """Under None: what is no part of a backup."""
    found: dict[BackupFolder | None, list[Unfinished]] = {}
    for upload in uploads:
        parts = parse_key(upload.key)
        found.setdefault(parts.folder if parts else None, []).append(upload)
    return found


def _older(
    uploads: t.Iterable[Unfinished], age: datetime.timedelta, *, now: datetime.datetime
) -> t.Iterator[Unfinished]:
    return (upload for upload in uploads if now - upload.started > age)


def _exists(storage: Storage, key: str) -> bool:
    try:
        storage.stat(key)
    except StorageNotFound:
        return False
    return True
