# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether stored bytes are those that the manifest names. Size and SHA-256, read once, in constant memory."""

from __future__ import annotations

import hashlib
import typing as t

from ..core.errors import PayloadDamaged
from ..core.progress import Progress
from .producer import StoredPayload

ReadStored = t.Callable[[], t.Iterator[bytes]]


def check_stored(payload: StoredPayload, *, read: ReadStored, progress: Progress) -> None:
    """Read the stored bytes to their end and compare size and SHA-256. Raises PayloadDamaged and what *read* raises."""
    digest, size = hashlib.sha256(), 0
    for piece in read():
        digest.update(piece)
        size += len(piece)
        progress.add(stored=len(piece))
        if size > payload.size:
            break
    compare(payload, size=size, sha256=digest.hexdigest())


def compare(payload: StoredPayload, *, size: int, sha256: str) -> None:
    """Raises PayloadDamaged when they differ."""
    if size > payload.size:
        raise too_long(payload, size)
    if size < payload.size:
        raise _damaged(payload, f"only {size} bytes are stored but the manifest says {payload.size}", found=size)
    if sha256 != payload.sha256:
        raise _damaged(payload, f"the SHA-256 of the stored bytes is {sha256}, not {payload.sha256}", found=sha256)


def too_long(payload: StoredPayload, size: int) -> PayloadDamaged:
    """For whoever stops reading at *size* bytes, which are too many."""
    problem = f"{size} bytes are stored, or more, but the manifest says {payload.size}"
    return _damaged(payload, problem, found=size)


def _damaged(payload: StoredPayload, problem: str, *, found: int | str) -> PayloadDamaged:
    return PayloadDamaged(
        f"{payload.name} is damaged: {problem}.",
        hint="Restore the copy in another repository (--repository NAME), or another backup: lifeboat list shows them.",
        details={"payload": payload.name, "found": found},
    )
