# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trying again where that may help (StorageUnreachable) and can do no harm."""

from __future__ import annotations

import datetime
import random
import typing as t

from ..core.clock import Clock
from ..core.errors import StorageError, StorageExists, StorageUnreachable
from .base import DeleteReport, LockState, ObjectInfo, ObjectVersion, ObjectWriter, Properties, Storage, Unfinished

_T = t.TypeVar("_T")
# A delay stops doubling here: seconds.
_LONGEST_DELAY = 60.0


class RetryingStorage:
    """*storage*, with every call that is safe to repeat made up to *attempts* times.

    Waits *base_delay* seconds before the second attempt, twice as long before each further one, every delay made up
    to *jitter* (a share, 0 to 1) shorter at random so that many hosts do not come back at once.

    A stream that is being written is never repeated: nobody has its bytes any more. An interrupted read goes on at the
    byte that it had reached, if the object is still the same. A listing goes on behind the last key.
    """

    def __init__(
        self, *, storage: Storage, clock: Clock, attempts: int = 4, base_delay: float = 1.0, jitter: float = 0.5
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._attempts = max(attempts, 1)
        self._base_delay = base_delay
        self._jitter = jitter
        self._random = random.SystemRandom()

    def __repr__(self) -> str:
        return f"RetryingStorage({self._storage!r}, attempts={self._attempts})"

    @property
    def properties(self) -> Properties:
        return self._storage.properties

    def check(self) -> None:
        self._repeat(self._storage.check)

    def free_bytes(self) -> int | None:
        return self._repeat(self._storage.free_bytes)

    def writer(self, key: str, *, expected_bytes: int | None = None, if_absent: bool = True) -> ObjectWriter:
        return self._repeat(lambda: self._storage.writer(key, expected_bytes=expected_bytes, if_absent=if_absent))

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
        attempt = 0

        def put_once() -> ObjectInfo:
            nonlocal attempt
            attempt += 1
            try:
                return self._storage.put(key, data, if_absent=if_absent)
            except StorageExists:
                # The attempt before may have stored it, and only its answer was lost.
                stored = self._stored(key, data) if attempt > 1 else None
                if stored is None:
                    raise
                return stored

        return self._repeat(put_once)

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
        found, pieces = self._repeat(
            lambda: (self._storage.stat(key), self._storage.read(key, offset=offset, length=length))
        )
        return self._resuming(found, pieces, offset=offset, length=length)

    def get(self, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
        return self._repeat(lambda: self._storage.get(key, limit=limit))

    def stat(self, key: str) -> ObjectInfo:
        return self._repeat(lambda: self._storage.stat(key))

    def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
        return self._continuing(lambda: self._storage.list(prefix), name_of=lambda info: info.key)

    def list_folders(self, prefix: str = "") -> t.Iterator[str]:
        return self._continuing(lambda: self._storage.list_folders(prefix), name_of=lambda name: name)

    def delete(self, keys: t.Sequence[str]) -> DeleteReport:
        return self._repeat(lambda: self._storage.delete(keys))

    def unfinished(self, prefix: str = "") -> t.Iterator[Unfinished]:
        # Few, and in no promised order: taken whole, so that they can be asked for anew.
        return iter(self._repeat(lambda: tuple(self._storage.unfinished(prefix))))

    def abort_unfinished(self, upload: Unfinished) -> None:
        self._repeat(lambda: self._storage.abort_unfinished(upload))

    def versions(self, prefix: str = "") -> t.Iterator[ObjectVersion]:
        # No key and no id has a space.
        return self._continuing(
            lambda: self._storage.versions(prefix), name_of=lambda version: f"{version.key} {version.version_id}"
        )

    def delete_versions(self, versions: t.Sequence[ObjectVersion]) -> DeleteReport:
        return self._repeat(lambda: self._storage.delete_versions(versions))

    def lock_state(self, key: str) -> LockState | None:
        return self._repeat(lambda: self._storage.lock_state(key))

    def extend_lock(self, keys: t.Sequence[str], *, until: datetime.datetime) -> t.Mapping[str, str]:
        return self._repeat(lambda: self._storage.extend_lock(keys, until=until))

    def set_hold(self, keys: t.Sequence[str], *, on: bool) -> t.Mapping[str, str]:
        return self._repeat(lambda: self._storage.set_hold(keys, on=on))

    def clock_skew(self) -> float:
        return self._repeat(self._storage.clock_skew)

    def _stored(self, key: str, data: bytes) -> ObjectInfo | None:
        """The object's facts when it holds *data*; None when it doesn't, or can't be looked at."""
        try:
            found = self._storage.stat(key)
            return found if found.size == len(data) and self._storage.get(key, limit=len(data)) == data else None
        except StorageError:
            return None

    def _repeat(self, call: t.Callable[[], _T]) -> _T:
        failures = 0
        while True:
            try:
                return call()
            except StorageUnreachable as error:
                failures += 1
                self._wait(failures, error)

    def _wait(self, failures: int, error: StorageUnreachable) -> None:
        """Wait before the next attempt; raise *error* when there is none left."""
        if failures >= self._attempts:
            error.details["attempts"] = failures
            raise error
        delay = min(self._base_delay * 2 ** (failures - 1), _LONGEST_DELAY)
        self._clock.sleep(delay * (1 - self._jitter * self._random.random()))

    def _resuming(
        self, found: ObjectInfo, pieces: t.Iterator[bytes], *, offset: int, length: int | None
    ) -> t.Iterator[bytes]:
        position = offset
        failures = 0
        while True:
            try:
                for piece in pieces:
                    position += len(piece)
                    failures = 0
                    yield piece
                return
            except StorageUnreachable as error:
                failures += 1
                self._wait(failures, error)
            pieces = self._reopen(found, position=position, end=None if length is None else offset + length)

    def _reopen(self, found: ObjectInfo, *, position: int, end: int | None) -> t.Iterator[bytes]:
        def reopen() -> t.Iterator[bytes]:
            if self._storage.stat(found.key) != found:
                raise StorageError(
                    f"{found.key} was replaced while it was read; what was read of the old one is of no use.",
                    hint="Read it again from the start.",
                )
            return self._storage.read(found.key, offset=position, length=None if end is None else end - position)

        return self._repeat(reopen)

    def _continuing(self, begin: t.Callable[[], t.Iterator[_T]], *, name_of: t.Callable[[_T], str]) -> t.Iterator[_T]:
        last: str | None = None
        failures = 0
        while True:
            behind = last is None
            try:
                for item in begin():
                    if behind:
                        last = name_of(item)
                        failures = 0
                        yield item
                    # Storages differ in what comes first, "a-b" or "a/b": one goes on behind the last name itself.
                    behind = behind or name_of(item) == last
            except StorageUnreachable as error:
                failures += 1
                self._wait(failures, error)
                continue
            if not behind:
                raise StorageUnreachable(f"The listing broke behind {last}, which was deleted before it could go on.")
            return
