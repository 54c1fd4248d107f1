# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups of a catalog have their data in the storage of a vendor's tool, and which of them build on which."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..catalog.manifest import Manifest
from ..postgresql.walg_removal import vendor_backup_of
from ..recovery.vendor_storage import VendorBackup

#: Service, source, storage, and the tool's name of the backup: a new cluster in a new storage has the same names again.
Place = tuple[str, str, str, str]


@dataclass(frozen=True)
class VendorBackups:
    """Those of some manifests, by id; *names* leads from what the tool calls one to its id."""

    by_id: t.Mapping[str, VendorBackup]
    names: t.Mapping[Place, str]

    @classmethod
    def of(cls, manifests: t.Iterable[Manifest]) -> VendorBackups:
        """Look at each manifest; those of other tools are passed over."""
        by_id: dict[str, VendorBackup] = {}
        names: dict[Place, str] = {}
        for manifest in manifests:
            vendor = vendor_backup_of(manifest)
            if vendor is not None:
                by_id[manifest.backup_id] = vendor
                names[(manifest.service, manifest.source, vendor.storage, vendor.name)] = manifest.backup_id
        return cls(by_id=by_id, names=names)

    def parent_of(self, manifest: Manifest) -> str | None:
        """The id of what a backup builds on: a delta of a vendor's tool names that as the tool does."""
        vendor = self.by_id.get(manifest.backup_id)
        if vendor is None or vendor.builds_on is None:
            return manifest.parent
        return self.names.get((manifest.service, manifest.source, vendor.storage, vendor.builds_on))
