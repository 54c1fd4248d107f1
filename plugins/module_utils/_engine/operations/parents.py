# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup that an increment builds on: which one it is, and that it is there still once the increment has begun."""

from __future__ import annotations

import typing as t

from ..catalog.catalog import Selection, read_catalog
from ..catalog.copies import require_copy
from ..catalog.layout import Series
from ..catalog.manifest import Manifest
from ..core.errors import BackupRemoved, ParentRemoved, StorageForbidden
from ..storage.base import Storage

#: An incremental base backup builds on the newest full or incremental one.
INCREMENTAL_PARENT_KINDS = ("base", "incremental")


def find_parent(storages: t.Mapping[str, Storage], series: Series, *, kinds: t.Sequence[str]) -> Manifest | None:
    """The newest backup of the parent *kinds* of the source that is in every repository which can be read.

    An increment goes to all repositories of the job, so its parent must be in all of them too.
    """
    candidates: list[Manifest] = []
    for kind in kinds:
        reading = read_catalog(storages, selection=Selection(service=series.service, source=series.source, kind=kind))
        unread = {problem.details.get("repository") for problem in reading.problems}
        wanted = set(storages) - unread
        candidates += [backup.manifest for backup in reading.backups if wanted <= set(backup.repositories)]
    return max(candidates, key=lambda manifest: manifest.started, default=None)


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
