# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small documents that a repository lacks: verifications and pins of backups that it has, labels of its services."""

from __future__ import annotations

import typing as t

from ..catalog.catalog import Backup
from ..catalog.folder_content import FolderContent, look_into
from ..catalog.layout import Series
from ..catalog.leftovers import folder_contents
from ..core.errors import LifeboatError, StorageNotFound
from ..recovery.label import labels_folder
from ..recovery.label_pin import SUFFIX as LABEL_PIN
from ..storage.base import Storage
from .copy_object import ObjectCopier, Place
from .copy_values import PlannedDocument


def contents_of(storage: Storage, backups: t.Sequence[Backup]) -> dict[str, FolderContent]:
    """What lies in the folders of *backups*, by id; one listing for each series. Raises what listing raises."""
    if len(backups) == 1:
        manifest = backups[0].manifest
        return {manifest.backup_id: look_into(storage, manifest.folder)}
    wanted: dict[Series, set[str]] = {}
    for backup in backups:
        wanted.setdefault(backup.manifest.folder.series, set()).add(backup.manifest.backup_id)
    return {
        content.folder.backup_id: content
        for series, ids in wanted.items()
        for content in folder_contents(storage, series.folder)
        if content.folder.backup_id in ids
    }


def plan_documents(
    present: t.Sequence[Backup], *, target: str, contents: t.Mapping[str, t.Mapping[str, FolderContent]]
) -> list[PlannedDocument]:
    """What was noted of *present* backups elsewhere and not in *target*; *contents* by repository and id."""
    planned: dict[str, PlannedDocument] = {}
    for backup in present:
        backup_id = backup.manifest.backup_id
        own = contents[target].get(backup_id)
        if own is None or not own.is_backup:
            continue
        for name, of_repository in contents.items():
            other = of_repository.get(backup_id)
            if name == target or other is None or not other.is_backup:
                continue
            for key in (*other.verifications, *other.pins):
                if key not in own.objects:
                    planned.setdefault(key, PlannedDocument(key=key, target=target, source=name))
    return list(planned.values())


def missing_labels(target: Place, source: Place, services: t.Iterable[str]) -> list[PlannedDocument]:
    """The labels of *services*, and their pins, that *target* lacks and *source* has. Raises what listing raises."""
    planned = []
    for service in services:
        own = {found.key for found in target.storage.list(labels_folder(service))}
        planned += [
            PlannedDocument(key=found.key, target=target.name, source=source.name)
            for found in source.storage.list(labels_folder(service))
            if found.key not in own and found.key.endswith((".json", LABEL_PIN))
        ]
    return planned


def copy_documents(
    planned: t.Iterable[PlannedDocument],
    *,
    copier: ObjectCopier,
    sources: t.Mapping[str, Place],
    problem: t.Callable[[LifeboatError, Place], None],
) -> t.Iterator[PlannedDocument]:
    """Copy them, one by one; those that were copied. One that was taken away meanwhile is passed over.

    One that can't be read is a *problem* of its source. Raises what storing raises.
    """
    for document in planned:
        source = sources[document.source]
        try:
            data = source.storage.get(document.key)
        except StorageNotFound:
            continue
        except LifeboatError as error:
            problem(error, source)
            continue
        if copier.bring_document(document.key, data):
            yield document
