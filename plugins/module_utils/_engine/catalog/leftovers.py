# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs that died left behind in a repository, and its removal by the next run.

A leftover is the folder of a backup id without a manifest, or an upload that was never completed, whose run can't be
alive any more: it ran on this host (whoever sweeps holds the lock of the source, so nobody else works on it here),
or it began longer ago than any run of another host lasts. What a copy from another repository left is one when nothing
was written there for as long. The note of a removal by policy is none, nor what is beside it: retention sees to that.
"""

from __future__ import annotations

import datetime
import itertools
import typing as t
from dataclasses import dataclass, field

from ..core.ids import backup_id_time
from ..storage.base import CHECK_KEY, Storage, Unfinished
from .clearing import Sweep, abort, clear_folder
from .folder_content import FolderContent
from .kept_reasons import kept_reasons
from .layout import BackupFolder, Series, parse_key
from .started import read_started
from .sweep_mark import mark_key

# No run lasts longer, nor does the upload of anything else below a series.
OTHER_HOST_AGE = datetime.timedelta(days=7)
# Nor does the upload of a few hundred bytes, with all its attempts.
SMALL_UPLOAD_AGE = datetime.timedelta(minutes=10)


@dataclass
class _Rest:
    """What lies in the folder of a backup that may be a leftover."""

    content: FolderContent
    uploads: list[Unfinished] = field(default_factory=list)


def sweep_leftovers(storage: Storage, *, series: Series, host: str, now: datetime.datetime) -> Sweep:
    """Remove the leftovers of a series. The caller holds the lock of the source on *host*.

    Uploads and payloads go first and ``started.json`` last, so that a sweep that dies is finished by the next one. What
    the repository does not let us remove (append-only credentials, object lock) is reported in ``kept``, not raised.
    """
    sweep = Sweep()
    uploads = _by_folder(storage.unfinished(series.folder))
    foreign = uploads.pop(None, [])
    rests = {
        folder: _Rest(content=FolderContent(folder=folder, objects={}), uploads=found)
        for folder, found in uploads.items()
        if folder is not None
    }
    for content in folder_contents(storage, series.folder):
        if content.folder in rests or not content.has_manifest:
            rests[content.folder] = _Rest(content=content, uploads=uploads.get(content.folder, []))
    for rest in rests.values():
        _sweep_folder(storage, rest, sweep, host=host, now=now)
    abort(storage, _older(foreign, OTHER_HOST_AGE, now=now), sweep)
    # What a check() left that died; the object itself is replaced and removed by the next one.
    abort(storage, _older(storage.unfinished(CHECK_KEY), SMALL_UPLOAD_AGE, now=now), sweep)
    return sweep


def folder_contents(storage: Storage, prefix: str) -> t.Iterator[FolderContent]:
    """Every folder of a backup below *prefix* with what it holds, from one listing; one of them at a time in memory."""
    with_parts = ((found, parse_key(found.key)) for found in storage.list(prefix))
    for folder, group in itertools.groupby(with_parts, key=lambda pair: pair[1].folder if pair[1] else None):
        if folder is not None:
            yield FolderContent(folder=folder, objects={found.key: found for found, _parts in group})


def _sweep_folder(storage: Storage, rest: _Rest, sweep: Sweep, *, host: str, now: datetime.datetime) -> None:
    content = rest.content
    if content.has_manifest:
        abort(storage, _ended_beside_manifest(storage, rest, host=host, now=now), sweep)
    elif not content.objects:
        # Whoever died here was writing started.json, or was cleaned up after in part.
        abort(storage, _older(rest.uploads, SMALL_UPLOAD_AGE, now=now), sweep)
    elif content.policy_removals:
        return
    elif not content.rest and not rest.uploads:
        _unmark(storage, content, sweep, host=host, now=now)
    elif _is_dead(storage, content, host=host, now=now):
        _clear(storage, rest, sweep, host=host, now=now)


def _ended_beside_manifest(
    storage: Storage, rest: _Rest, *, host: str, now: datetime.datetime
) -> t.Iterator[Unfinished]:
    """The run is over; verifications, pins and repairs are written by others and at any time."""
    started = read_started(storage, rest.content.folder)
    is_ours = started is not None and started.host == host
    manifest_key = rest.content.folder.manifest_key
    for upload in rest.uploads:
        if (upload.key == manifest_key and is_ours) or now - upload.started > OTHER_HOST_AGE:
            yield upload


def _clear(storage: Storage, rest: _Rest, sweep: Sweep, *, host: str, now: datetime.datetime) -> None:
    def is_dead(content: FolderContent) -> bool:
        return _is_dead(storage, content, host=host, now=now)

    # A mark of this host is left from a sweep that died: it had the lock of the source, too.
    content = clear_folder(storage, rest.content.folder, owner=host, uploads=rest.uploads, is_dead=is_dead, sweep=sweep)
    _unmark(storage, content, sweep, host=host, now=now)


def _unmark(storage: Storage, content: FolderContent, sweep: Sweep, *, host: str, now: datetime.datetime) -> None:
    """Take away our mark, and those of others who can't be alive."""
    ours = mark_key(content.folder, host)
    marks = [key for key in content.sweeps if key == ours or now - content.objects[key].modified > OTHER_HOST_AGE]
    if marks:
        report = storage.delete(marks)
        sweep.kept.update(kept_reasons(report))


def _is_dead(storage: Storage, content: FolderContent, *, host: str, now: datetime.datetime) -> bool:
    # Every run writes started.json before anything else and the manifest last; without the first, nobody can say whose
    # this is.
    started = read_started(storage, content.folder)
    if started is not None and started.is_copy:
        return all(now - content.objects[key].modified > OTHER_HOST_AGE for key in content.rest)
    if now - backup_id_time(content.folder.backup_id) > OTHER_HOST_AGE:
        return True
    return started is not None and started.host == host


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


__all__ = ("OTHER_HOST_AGE", "SMALL_UPLOAD_AGE", "Sweep", "folder_contents", "sweep_leftovers")
