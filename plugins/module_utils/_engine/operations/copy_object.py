# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One object from one repository into another: nothing becomes visible there whose bytes are not the expected ones."""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass

from ..catalog.layout import STARTED
from ..catalog.pin import pin_id_of
from ..core.errors import LifeboatError, PayloadDamaged, StorageExists, StorageNotFound
from ..core.progress import Progress
from ..storage.base import Storage
from .ahead import Stopping


@dataclass(frozen=True)
class Expected:
    """Which bytes: where they lie, how many (stored bytes), and their SHA-256."""

    key: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Place:
    """One repository by its name. What must be removable again, when the rest is locked, is written to *removable*."""

    name: str
    storage: Storage
    removable: Storage | None = None

    def storage_for(self, key: str) -> Storage:
        """Through which to write that document: pins are taken away again, and beginnings that died are swept."""
        is_removable = pin_id_of(key) is not None or key.endswith(f"/{STARTED}")
        return self.removable if self.removable is not None and is_removable else self.storage


class SourceFailed(Exception):
    """The repository that is read is to blame; another one may do. *error* says what is wrong with it."""

    def __init__(self, error: LifeboatError, *, source: str) -> None:
        super().__init__(str(error))
        error.details.setdefault("repository", source)
        self.error = error


class ObjectCopier:
    """Copies objects into one repository; safe for threads. *stopping* ends it between two pieces."""

    def __init__(self, *, target: Place, progress: Progress, stopping: Stopping) -> None:
        self.target = target
        self._progress = progress
        self._stopping = stopping

    def has(self, expected: Expected, *, key: str | None = None) -> bool:
        """Whether the target holds exactly these bytes, under *key* or the expected one. Reads them."""
        key = key or expected.key
        storage = self.target.storage
        try:
            if storage.stat(key).size != expected.size:
                return False
            digest = hashlib.sha256()
            for piece in storage.read(key):
                self._stopping.check()
                digest.update(piece)
        except StorageNotFound:
            return False
        return digest.hexdigest() == expected.sha256

    def copy(self, expected: Expected, *, source: Place, key: str | None = None, replace: bool = False) -> None:
        """Read, hash, store; the object is visible only when size and hash were right.

        With *replace*, whatever lies there is replaced in one step. Raises SourceFailed for whatever the source does,
        StorageExists when somebody else stored it meanwhile, and what storing raises.
        """
        writer = self.target.storage.writer(key or expected.key, expected_bytes=expected.size, if_absent=not replace)
        try:
            digest, size = hashlib.sha256(), 0
            for piece in self._pieces(expected, source):
                self._stopping.check()
                digest.update(piece)
                size += len(piece)
                if size > expected.size:
                    break
                writer.write(piece)
                self._progress.add(done=len(piece), stored=len(piece))
            _require(expected, size=size, sha256=digest.hexdigest(), source=source)
            writer.commit()
        except BaseException:
            writer.abort()
            raise

    def bring(self, expected: Expected, *, source: Place) -> bool:
        """Have the bytes there: kept when they are (False), copied when they are not; others are replaced (True).

        For names that nobody but a copy writes. Raises SourceFailed, and what the target raises.
        """
        if self.has(expected):
            return False
        try:
            self.copy(expected, source=source)
        except StorageExists:
            # Another copy was faster, or these are other bytes, which nothing can depend on.
            if self.has(expected):
                return False
            self.copy(expected, source=source, replace=True)
        return True

    def bring_document(self, key: str, data: bytes, *, replace: bool = False) -> bool:
        """Have a small document there; whether it was written. One that differs stays, unless *replace*."""
        storage = self.target.storage_for(key)
        try:
            storage.put(key, data, if_absent=True)
            return True
        except StorageExists:
            if not replace or storage.get(key) == data:
                return False
        storage.put(key, data, if_absent=False)
        return True

    def _pieces(self, expected: Expected, source: Place) -> t.Iterator[bytes]:
        try:
            yield from source.storage.read(expected.key)
        except LifeboatError as error:
            raise SourceFailed(error, source=source.name) from error


def read_document(place: Place, key: str) -> bytes:
    """A small document of the source. Raises SourceFailed."""
    try:
        return place.storage.get(key)
    except LifeboatError as error:
        raise SourceFailed(error, source=place.name) from error


def _require(expected: Expected, *, size: int, sha256: str, source: Place) -> None:
    if (size, sha256) == (expected.size, expected.sha256):
        return
    found = f"{size} bytes, not {expected.size}" if size != expected.size else f"the SHA-256 {sha256}"
    raise SourceFailed(
        PayloadDamaged(
            f"{expected.key} is damaged in {source.name}: it has {found}. It was not copied.",
            hint=f"See what else is: lifeboat repo check --repository {source.name} --read-data",
            details={"key": expected.key, "repository": source.name},
        ),
        source=source.name,
    )
