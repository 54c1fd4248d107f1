# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage that exists to inject faults: tests break it at every step and look what is left."""

from __future__ import annotations

import datetime
import threading
import typing as t
from dataclasses import dataclass

from ..core.errors import StorageError
from .base import DeleteReport, LockState, ObjectInfo, ObjectVersion, ObjectWriter, Properties, Storage, Unfinished

_T = t.TypeVar("_T")
_CHANGES = frozenset(
    {
        "check",
        "writer",
        "write",
        "commit",
        "abort",
        "put",
        "delete",
        "abort_unfinished",
        "delete_versions",
        "extend_lock",
        "set_hold",
    }
)


@dataclass(frozen=True)
class FaultPoint:
    """Where the fault strikes; one of *at_call*, *at_change* and *at_byte* is given, each counted from 1.

    *at_call* counts every call, *at_change* those that can change the repository. *at_byte* ``(key, n)`` strikes before
    the n-th byte of the object passes, on its way in or out. *answer_lost*: the call is carried out, then the fault
    strikes. *times* is how many calls from that one on are struck, None for all of them.
    """

    at_call: int | None = None
    at_change: int | None = None
    at_byte: tuple[str, int] | None = None
    answer_lost: bool = False
    times: int | None = 1


class FaultyStorage:
    """*storage*, with *fault* called at *point*: it raises the error to inject, or kills the process.

    ``calls`` are those made so far, each as ``"commit a/b"``; ``changes`` counts those that can change something. A run
    without a *point* tells how many there are, so that the next runs can break at each of them.
    """

    def __init__(
        self, *, storage: Storage, fault: t.Callable[[], None] | None = None, point: FaultPoint | None = None
    ) -> None:
        self._storage = storage
        self._fault = fault
        self._point = point or FaultPoint()
        self._lock = threading.Lock()
        self.calls: list[str] = []
        self.changes = 0
        self.struck = 0

    def __repr__(self) -> str:
        return f"FaultyStorage({self._storage!r}, {self._point!r})"

    @property
    def properties(self) -> Properties:
        return self._storage.properties

    def check(self) -> None:
        self.pass_on("check", "", self._storage.check)

    def free_bytes(self) -> int | None:
        return self.pass_on("free_bytes", "", self._storage.free_bytes)

    def writer(self, key: str, *, expected_bytes: int | None = None, if_absent: bool = True) -> ObjectWriter:
        inner = self.pass_on(
            "writer", key, lambda: self._storage.writer(key, expected_bytes=expected_bytes, if_absent=if_absent)
        )
        return _FaultyWriter(storage=self, writer=inner, key=key)

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
        return self.pass_on("put", key, lambda: self._storage.put(key, data, if_absent=if_absent))

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
        pieces = self.pass_on("read", key, lambda: self._storage.read(key, offset=offset, length=length))
        return self._cut_pieces(key, pieces, position=offset)

    def get(self, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
        return self.pass_on("get", key, lambda: self._storage.get(key, limit=limit))

    def stat(self, key: str) -> ObjectInfo:
        return self.pass_on("stat", key, lambda: self._storage.stat(key))

    def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
        return self.pass_on("list", prefix, lambda: self._storage.list(prefix))

    def list_folders(self, prefix: str = "") -> t.Iterator[str]:
        return self.pass_on("list_folders", prefix, lambda: self._storage.list_folders(prefix))

    def delete(self, keys: t.Sequence[str]) -> DeleteReport:
        return self.pass_on("delete", " ".join(keys), lambda: self._storage.delete(keys))

    def unfinished(self, prefix: str = "") -> t.Iterator[Unfinished]:
        return self.pass_on("unfinished", prefix, lambda: self._storage.unfinished(prefix))

    def abort_unfinished(self, upload: Unfinished) -> None:
        self.pass_on("abort_unfinished", upload.key, lambda: self._storage.abort_unfinished(upload))

    def versions(self, prefix: str = "") -> t.Iterator[ObjectVersion]:
        return self.pass_on("versions", prefix, lambda: self._storage.versions(prefix))

    def delete_versions(self, versions: t.Sequence[ObjectVersion]) -> DeleteReport:
        subject = " ".join(dict.fromkeys(version.key for version in versions))
        return self.pass_on("delete_versions", subject, lambda: self._storage.delete_versions(versions))

    def lock_state(self, key: str) -> LockState | None:
        return self.pass_on("lock_state", key, lambda: self._storage.lock_state(key))

    def extend_lock(self, keys: t.Sequence[str], *, until: datetime.datetime) -> t.Mapping[str, str]:
        return self.pass_on("extend_lock", " ".join(keys), lambda: self._storage.extend_lock(keys, until=until))

    def set_hold(self, keys: t.Sequence[str], *, on: bool) -> t.Mapping[str, str]:
        return self.pass_on("set_hold", " ".join(keys), lambda: self._storage.set_hold(keys, on=on))

    def clock_skew(self) -> float:
        return self.pass_on("clock_skew", "", self._storage.clock_skew)

    def pass_on(self, name: str, subject: str, call: t.Callable[[], _T]) -> _T:
        """Count the call and make it, unless the fault strikes."""
        strikes = self._strikes(name, subject)
        if strikes and not self._point.answer_lost:
            self._strike()
        answer = call()
        if strikes and self._point.answer_lost:
            self._strike()
        return answer

    def cut(self, key: str, data: memoryview, *, position: int) -> memoryview | None:
        """The bytes that pass before the fault strikes; None when it does not strike in *data*."""
        if self._point.at_byte is None or self._point.at_byte[0] != key or not self._has_strikes_left():
            return None
        left = self._point.at_byte[1] - 1 - position
        return data[:left] if 0 <= left < len(data) else None

    def strike_at_byte(self) -> None:
        """Call the fault for a byte that was reached."""
        self._strike()

    def _cut_pieces(self, key: str, pieces: t.Iterator[bytes], *, position: int) -> t.Iterator[bytes]:
        for piece in pieces:
            passing = self.cut(key, memoryview(piece), position=position)
            if passing is not None:
                if passing:
                    yield bytes(passing)
                self._strike()
            position += len(piece)
            yield piece

    def _strikes(self, name: str, subject: str) -> bool:
        with self._lock:
            self.calls.append(f"{name} {subject}".rstrip())
            change = name in _CHANGES
            self.changes += change
            if self._point.at_call is not None:
                return self._is_due(len(self.calls), first=self._point.at_call)
            if self._point.at_change is not None and change:
                return self._is_due(self.changes, first=self._point.at_change)
            return False

    def _is_due(self, number: int, *, first: int) -> bool:
        return number >= first and (self._point.times is None or number < first + self._point.times)

    def _has_strikes_left(self) -> bool:
        return self._point.times is None or self.struck < self._point.times

    def _strike(self) -> None:
        self.struck += 1
        if self._fault is not None:
            self._fault()


class _FaultyWriter:
    def __init__(self, *, storage: FaultyStorage, writer: ObjectWriter, key: str) -> None:
        self._storage = storage
        self._writer = writer
        self._key = key
        self._position = 0

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data).cast("B")
        passing = self._storage.cut(self._key, view, position=self._position)
        if passing is not None:
            self._writer.write(passing)
            self._storage.strike_at_byte()
        self._storage.pass_on("write", self._key, lambda: self._writer.write(data))
        self._position += len(view)

    def commit(self) -> ObjectInfo:
        return self._storage.pass_on("commit", self._key, self._writer.commit)

    def abort(self) -> None:
        # Counted like every call, so that a fault can end the process here; abort() itself never raises.
        try:
            self._storage.pass_on("abort", self._key, self._writer.abort)
        except StorageError:
            self._writer.abort()
