# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents about a backup have in common that lie in its folder beside the manifest: pins, removals, proofs.

Each is JSON under a checksum, and is called by its kind and an id of its own: ``pin-20261121T020000Z-4f2c91.json``.
"""

from __future__ import annotations

import json
import typing as t

from ..core.ids import is_backup_id
from .layout import BackupFolder
from .manifest import document_checksum

_SUFFIX = ".json"


def note_key(folder: BackupFolder, prefix: str, note_id: str) -> str:
    """The key of the document of that kind and id; *prefix* ends in a hyphen."""
    return folder.key(f"{prefix}{note_id}{_SUFFIX}")


def note_id_of(key: str, prefix: str) -> str | None:
    """The id in the key of a document of that kind, None when it is another object."""
    name = key.rpartition("/")[2]
    found = name[len(prefix) : -len(_SUFFIX)] if name.startswith(prefix) and name.endswith(_SUFFIX) else ""
    return found if is_backup_id(found) else None


def note_bytes(document: t.Mapping[str, t.Any]) -> bytes:
    """The bytes of the document: indented, for people."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def read_note(data: bytes, *, of: str, version: int) -> dict[str, t.Any]:
    """The document, when it is one of the format *of* and as it was written. Raises ValueError and RecursionError."""
    document = json.loads(data.decode("utf-8"))
    if not isinstance(document, dict) or document.get("format") != of:
        raise ValueError(f"it does not say format: {of}")
    found = document.get("format_version")
    if not isinstance(found, int) or isinstance(found, bool) or found != version:
        raise ValueError(f"format_version is {found!r}, and this Lifeboat reads {version}")
    if document_checksum(document) != document.get("checksum"):
        raise ValueError("its checksum differs: it was changed after it was written")
    return document
