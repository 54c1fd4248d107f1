# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Emptying the folder of a backup id that is no backup, without taking anything from under a copy that begins there."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.errors import StorageError
from ..storage.base import Storage, Unfinished
from .folder_content import FolderContent, look_into
from .kept_reasons import kept_reasons
from .layout import BackupFolder
from .sweep_mark import put_mark


@dataclass
class Sweep:
    """What was removed, and what could not be: kind of thing, key, reason."""

    removed: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


def clear_folder(
    storage: Storage,
    folder: BackupFolder,
    *,
    owner: str,
    uploads: t.Iterable[Unfinished],
    is_dead: t.Callable[[FolderContent], bool],
    sweep: Sweep,
) -> FolderContent:
    """Mark the folder (:mod:`sweep_mark`), look again, and if *is_dead* says so still, delete all but marks.

    Uploads and payloads go first and ``started.json`` last: what is left by a sweep that dies says whose it is. Nothing
    goes where a manifest is by now, or the note of a removal by policy. Returns what was there after marking; the
    caller takes the mark away. What can't be deleted is in *sweep*.
    """
    put_mark(storage, folder, owner)
    content = look_into(storage, folder)
    if content.has_manifest or content.policy_removals or not is_dead(content) or not abort(storage, uploads, sweep):
        return content
    for batch in (content.rest[:-1], content.rest[-1:]):
        if not _delete(storage, batch, sweep):
            break
    return content


def abort(storage: Storage, uploads: t.Iterable[Unfinished], sweep: Sweep) -> bool:
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


def _delete(storage: Storage, keys: t.Sequence[str], sweep: Sweep) -> bool:
    """Whether all of them are gone."""
    if not keys:
        return True
    report = storage.delete(keys)
    sweep.removed.extend(report.deleted)
    sweep.kept.update(kept_reasons(report))
    return len(report.deleted) == len(keys)
