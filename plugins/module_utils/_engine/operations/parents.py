# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup that an increment builds on: which one it is, and that it is there still once the increment has begun."""

from __future__ import annotations

import typing as t

from ..catalog.catalog import Backup, Selection, read_catalog
from ..catalog.copies import require_copy
from ..catalog.folder_content import look_closely_into
from ..catalog.layout import Series
from ..catalog.manifest import Manifest
from ..catalog.standing import FAILED
from ..core.errors import BackupRemoved, ChainBroken, ParentRemoved, StorageForbidden
from ..core.ids import is_name
from ..storage.base import Storage

#: An incremental base backup builds on the newest full or incremental one.
INCREMENTAL_PARENT_KINDS = ("base", "incremental")
#: Whole backups of files and their increments are of one kind.
STATIC_PARENT_KINDS = ("static",)


def links_of(manifest: Manifest) -> tuple[str, ...]:
    """The ids of the backups that this one needs to be restored, oldest first; empty when it stands alone."""
    noted = manifest.content.get("parent") or {}
    if "chain" in noted:
        return tuple(str(backup_id) for backup_id in noted["chain"])
    return (manifest.parent,) if manifest.parent else ()


def find_parent(storages: t.Mapping[str, Storage], series: Series, *, kinds: t.Sequence[str]) -> Manifest | None:
    """The newest backup of the parent *kinds* of the source that is in every repository which can be read.

    An increment goes to all repositories of the job, so its parent must be in all of them too, and so must be what the
    parent needs. None of these may have failed its verification: what builds on it would be worth as little.
    """
    sound: dict[str, Backup] = {}
    for kind in kinds:
        reading = read_catalog(storages, selection=Selection(service=series.service, source=series.source, kind=kind))
        unread = {problem.details.get("repository") for problem in reading.problems}
        wanted = set(storages) - unread
        for backup in reading.backups:
            if wanted <= set(backup.repositories) and backup.state != FAILED:
                sound[backup.manifest.backup_id] = backup
    candidates = [backup.manifest for backup in sound.values() if set(links_of(backup.manifest)) <= sound.keys()]
    return max(candidates, key=lambda manifest: manifest.started, default=None)


def require_links(storage: Storage, manifest: Manifest, *, repository: str) -> None:
    """Raise ChainBroken unless all that a backup needs to be restored is in this repository."""
    wanted = links_of(manifest)
    if not wanted:
        return
    kinds = [kind for kind in storage.list_folders(f"{manifest.service}/{manifest.source}/") if is_name(kind)]
    series = [Series(service=manifest.service, source=manifest.source, kind=kind) for kind in kinds]
    missing = [
        backup_id
        for backup_id in wanted
        if not any(look_closely_into(storage, one.backup(backup_id)).is_backup for one in series)
    ]
    if missing:
        raise ChainBroken(
            f"{manifest.backup_id} builds on {', '.join(missing)}, which {repository} does not have.",
            hint=f"Bring it from another repository: lifeboat copy --to {repository}",
            details={"backup": manifest.backup_id, "missing": missing, "repository": repository},
        )


def require_parent(storage: Storage, parent: Manifest, *, repository: str) -> None:
    """Raise ParentRemoved unless the parent is a backup in this repository, now that ``started.json`` names it.

    A removal first says that it removes the parent, and then looks for those who have begun to build on it: whoever of
    the two comes second sees the other. Credentials that may write and nothing else can't look; for them only the
    removal does.
    """
    try:
        require_copy(storage, parent.folder, repository=repository)
    except StorageForbidden:
        return
    except BackupRemoved as error:
        raise ParentRemoved(
            f"{parent.backup_id}, which this increment builds on, is not in {repository} any more, or on its way out.",
            hint="Run the job again: it builds on another backup then. Or make a full one first.",
            details={"parent": parent.backup_id, "repository": repository},
        ) from error
