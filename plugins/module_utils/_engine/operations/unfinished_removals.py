# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What earlier runs began to remove: which of it goes on, and which is shown again. See :mod:`prune_backups`.

Of a copy that is marked and whole nobody has deleted anything, and nobody knows any more why it was to go: policies,
pins and verifications may be others by now. So it is decided anew: its marks are taken back once nobody can be at work
any more who put them. Of what a part is gone, the rest goes.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field, replace

from ..catalog.folder_content import FolderContent, look_into, with_reasons
from ..catalog.kept_reasons import kept_reasons
from ..catalog.manifest import Manifest, parse_manifest
from ..catalog.removal import REMOVED, RemovedCopy
from ..catalog.set_members import member_folders
from ..core.errors import ManifestInvalid, ManifestTooNew, StorageNotFound
from ..storage.base import Storage
from .prune_lease import VOID_AFTER
from .removal_marks import unseen_until
from .removing import Candidate, Marked, Tally
from .vendor_backups import VendorBackups


@dataclass
class Unfinished:
    """What is to be done about copies that are marked: *going* are half gone, *whole* are not, *gone* are."""

    manifests: dict[str, Manifest] = field(default_factory=dict)  # of those that are going, by id
    going: list[Marked] = field(default_factory=list)
    whole: list[FolderContent] = field(default_factory=list)
    gone: list[FolderContent] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.going or self.whole or self.gone)


def sort_unfinished(
    storage: Storage, begun: t.Iterable[RemovedCopy], *, elsewhere: t.Callable[[str], bool], tally: Tally
) -> Unfinished:
    """Look into each of them again. Raises what the storage raises."""
    found = Unfinished()
    for copy in begun:
        backup_id = copy.folder.backup_id
        if copy.state == REMOVED and copy.marks == 1 and elsewhere(backup_id):
            continue  # it is to be remembered, and there is no more to do
        content = look_into(storage, copy.folder)
        if content.is_backup:
            tally.spared[backup_id] = "another run has taken its mark back"
        elif not content.policy_removals or not (content.has_manifest or content.rest):
            found.gone += [content] if content.policy_removals else []
            # Another run has finished what had only begun when the catalog was read.
            tally.removed += [backup_id] if copy.state != REMOVED else []
        else:
            _sort_begun(storage, copy, content, found, tally)
    vendors = VendorBackups.of(found.manifests.values())
    found.going = [_with_vendor(one, vendors, found.manifests) for one in found.going]
    return found


def show_again(storage: Storage, contents: t.Iterable[FolderContent], *, now: datetime.datetime, tally: Tally) -> None:
    """Take all marks off copies that are whole, unless one is younger than a pruner lives (*now*: the storage's)."""
    # The oldest first: no increment is shown whose base is not.
    for content in sorted(contents, key=lambda one: one.folder.backup_id):
        marks, backup_id = content.policy_removals, content.folder.backup_id
        if any(now - content.objects[key].modified <= VOID_AFTER for key in marks):
            tally.spared[backup_id] = f"nothing of it is gone yet; {unseen_until(content)}"
            continue
        report = storage.delete(marks)
        tally.note_causes(report.causes)
        kept = kept_reasons(report)
        if kept:
            tally.refused[backup_id] = f"its marks can't be taken back: {next(iter(kept.values()))}"
        else:
            tally.spared[backup_id] = "nothing of it was gone yet, so it is shown again and decided anew"


def _sort_begun(storage: Storage, copy: RemovedCopy, content: FolderContent, found: Unfinished, tally: Tally) -> None:
    try:
        manifest = _manifest(storage, content)
    except (ManifestInvalid, ManifestTooNew) as error:
        tally.refused[copy.folder.backup_id] = error.message
        return
    if manifest is not None and _is_whole(content, manifest):
        found.whole.append(content)
        return
    removal = with_reasons(storage, copy, content).removal
    candidate = Candidate(
        folder=copy.folder,
        reasons=removal.reasons if removal else (),
        parent=manifest.parent if manifest else None,
        members=tuple(folder.backup_id for folder in member_folders(manifest)) if manifest else (),
        plan_hash=removal.plan_hash if removal else "",
    )
    mark = content.policy_removals[-1]
    if manifest is not None:
        found.manifests[manifest.backup_id] = manifest
    found.going.append(Marked(candidate=candidate, mark=mark, content=content, is_ours=False))


def _with_vendor(one: Marked, vendors: VendorBackups, manifests: t.Mapping[str, Manifest]) -> Marked:
    manifest = manifests.get(one.backup_id)
    if manifest is None:
        return one
    candidate = replace(one.candidate, parent=vendors.parent_of(manifest), vendor=vendors.by_id.get(manifest.backup_id))
    return replace(one, candidate=candidate)


def _manifest(storage: Storage, content: FolderContent) -> Manifest | None:
    if not content.has_manifest:
        return None
    try:
        return parse_manifest(storage.get(content.folder.manifest_key), folder=content.folder)
    except StorageNotFound:
        return None  # another run removes it at the same time


def _is_whole(content: FolderContent, manifest: Manifest) -> bool:
    """As long as all payloads are there, nothing else is gone either: they go first."""
    sizes = {key: found.size for key, found in content.objects.items()}
    return all(sizes.get(content.folder.key(payload.name)) == payload.size for payload in manifest.payloads)
