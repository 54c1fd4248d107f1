# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the manifest of a backup of files says of it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..catalog.manifest import Manifest
from ..core.errors import ManifestInvalid
from ..pipeline.producer import FINGERPRINT
from .tar_reader import plain_path

#: The content hash of the trees alone.
TREE_FINGERPRINT = "tree_fingerprint"


@dataclass(frozen=True)
class Noted:
    """*roots* without the slash at the beginning, in their order; *bytes* of all files."""

    roots: tuple[str, ...]
    exclude: tuple[str, ...]
    entries: int
    counts: t.Mapping[str, int]
    bytes: int
    fingerprint: str
    has_system: bool


def noted_in(manifest: Manifest) -> Noted:
    """Raises ManifestInvalid when it says nothing of files, and HostileArchive for roots that lead elsewhere."""
    content = manifest.content
    try:
        return Noted(
            roots=tuple(plain_path(str(root).lstrip("/")) for root in content["roots"]),
            exclude=tuple(str(pattern) for pattern in content.get("exclude") or ()),
            entries=int(content["entries"]),
            counts={str(kind): int(count) for kind, count in content["counts"].items()},
            bytes=int(content["bytes"]),
            # Where the backup holds more than trees, theirs has a key of its own.
            fingerprint=str(content.get(TREE_FINGERPRINT) or content[FINGERPRINT]),
            has_system=bool(content.get("system")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ManifestInvalid(
            f"The manifest of {manifest.backup_id} does not say what files it is of: {error!r}.",
            hint="Restore another backup: lifeboat list shows them.",
        ) from error
