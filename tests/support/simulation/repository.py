# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository in memory of which every call is a moment at which others may come first, or the caller may die."""

from __future__ import annotations

import bisect
import builtins
import datetime
import random
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import (
    DeleteReport,
    LockState,
    ObjectInfo,
    ObjectVersion,
    ObjectWriter,
    Properties,
    Storage,
    Unfinished,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from tests.support.simulation.baton import Baton, Program

_T = t.TypeVar("_T")

Changed = t.Callable[[str, bool], None]
_CHANGES = frozenset({"put", "commit", "delete", "delete a version of", "abort", "lock", "hold"})


class Keys:
    """The keys of a repository in order, so that listing does not look at all of them."""

    def __init__(self, inner: MemoryStorage) -> None:
        self._keys = sorted(inner._objects)
        self._objects = inner._objects

    def changed(self, key: str) -> None:
        """The object was stored or deleted."""
        place = bisect.bisect_left(self._keys, key)
        is_known = place < len(self._keys) and self._keys[place] == key
        if is_known and key not in self._objects:
            del self._keys[place]
        elif not is_known and key in self._objects:
            self._keys.insert(place, key)

    def objects(self, prefix: str, *, after: str, most: int) -> list[ObjectInfo]:
        """The next objects behind *after*."""
        place = bisect.bisect_right(self._keys, after) if after else bisect.bisect_left(self._keys, prefix)
        return [self._objects[key].info for key in self._keys[place : place + most] if key.startswith(prefix)]

    def folders(self, prefix: str, *, after: str, most: int) -> list[str]:
        """The next names of folders behind *after*."""
        found: list[str] = []
        # Behind all keys of a folder, "0" comes next to the slash.
        at = f"{prefix}{after}0" if after else prefix
        while len(found) < most:
            place = bisect.bisect_left(self._keys, at)
            if place == len(self._keys) or not self._keys[place].startswith(prefix):
                break
            name, slash, _rest = self._keys[place][len(prefix) :].partition("/")
            if slash:
                found.append(name)
                at = f"{prefix}{name}0"
            else:
                at = f"{self._keys[place]}\0"
        return found


class View:
    """The repository as one program sees it. *changed* is told of every key that was stored (True) or deleted.

    Listings come in pages and see what changes between two; of many keys that are deleted at once each goes by itself,
    in any order: both as in S3.
    """

    def __init__(
        self,
        inner: MemoryStorage,
        keys: Keys,
        *,
        name: str,
        program: Program,
        baton: Baton,
        changed: Changed,
        chance: random.Random,
        page: int,
        locked: t.Mapping[str, datetime.datetime],
    ) -> None:
        self._inner: Storage = inner
        self._keys = keys
        self._name = name
        self._program = program
        self._baton = baton
        self._changed = changed
        self._chance = chance
        self._page = page
        self._locked = locked
        # What a program that died was writing is left behind, and not collected with the program's variables.
        self._writers: list[ObjectWriter] = []

    @property
    def properties(self) -> Properties:
        return self._inner.properties

    def check(self) -> None:
        self._point("check", "")

    def free_bytes(self) -> int | None:
        return None

    def writer(self, key: str, *, expected_bytes: int | None = None, if_absent: bool = True) -> ObjectWriter:
        self._point("begin", key)
        writer = self._inner.writer(key, expected_bytes=expected_bytes, if_absent=if_absent)
        self._writers.append(writer)
        return _Writer(self, writer, key)

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
        self._point("put", key)
        found = self._inner.put(key, data, if_absent=if_absent)
        self._note(key, is_stored=True)
        return found

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
        self._point("read", key)
        answer: t.Iterator[bytes] = self._inner.read(key, offset=offset, length=length)
        return answer

    def get(self, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
        self._point("get", key)
        answer: bytes = self._inner.get(key, limit=limit)
        return answer

    def stat(self, key: str) -> ObjectInfo:
        self._point("stat", key)
        return self._inner.stat(key)

    def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
        return self._pages("list", prefix, self._keys.objects, name_of=lambda found: found.key)

    def list_folders(self, prefix: str = "") -> t.Iterator[str]:
        return self._pages("list folders", prefix, self._keys.folders, name_of=lambda name: name)

    def delete(self, keys: t.Sequence[str]) -> DeleteReport:
        unique = list(dict.fromkeys(keys))
        self._chance.shuffle(unique)
        deferred: dict[str, datetime.datetime | None] = {}
        for key in unique:
            self._point("delete", key)
            if key in self._locked and self._locked[key] > self._baton.now():
                deferred[key] = self._locked[key]
                continue
            self._inner.delete([key])
            self._note(key, is_stored=False)
        return DeleteReport(deleted=tuple(key for key in unique if key not in deferred), deferred=deferred)

    def unfinished(self, prefix: str = "") -> t.Iterator[Unfinished]:
        self._point("unfinished", prefix)
        answer: t.Iterator[Unfinished] = self._inner.unfinished(prefix)
        return answer

    def abort_unfinished(self, upload: Unfinished) -> None:
        self._point("abort", upload.key)
        self._inner.abort_unfinished(upload)

    def versions(self, prefix: str = "") -> t.Iterator[ObjectVersion]:
        self._point("versions", prefix)
        answer: t.Iterator[ObjectVersion] = self._inner.versions(prefix)
        return answer

    def delete_versions(self, versions: t.Sequence[ObjectVersion]) -> DeleteReport:
        reports = []
        # As the storages do it: what nobody sees first.
        for version in sorted(versions, key=lambda one: one.is_latest):
            self._point("delete a version of", version.key)
            reports.append(self._inner.delete_versions([version]))
            self._note(version.key, is_stored=False)
        return DeleteReport(deleted=tuple(dict.fromkeys(version.key for version in versions)))

    def lock_state(self, key: str) -> LockState | None:
        self._point("lock state", key)
        return self._inner.lock_state(key)

    def extend_lock(self, keys: t.Sequence[str], *, until: datetime.datetime) -> t.Mapping[str, str]:
        self._point("lock", " ".join(keys))
        answer: t.Mapping[str, str] = self._inner.extend_lock(keys, until=until)
        return answer

    def set_hold(self, keys: t.Sequence[str], *, on: bool) -> t.Mapping[str, str]:
        self._point("hold", " ".join(keys))
        answer: t.Mapping[str, str] = self._inner.set_hold(keys, on=on)
        return answer

    def clock_skew(self) -> float:
        return 0.0

    def commit(self, writer: ObjectWriter, key: str) -> ObjectInfo:
        """End an upload."""
        self._point("commit", key)
        found = writer.commit()
        self._note(key, is_stored=True)
        return found

    def abort(self, writer: ObjectWriter) -> None:
        """Forget an upload, unless its program is dead: then it stays."""
        if not self._program.is_dead:
            writer.abort()

    def _note(self, key: str, *, is_stored: bool) -> None:
        self._keys.changed(key)
        self._changed(key, is_stored)

    def _point(self, what: str, subject: str) -> None:
        self._baton.point(self._program, f"{self._name}: {what} {subject}".rstrip(), changes=what in _CHANGES)

    def _pages(
        self,
        what: str,
        prefix: str,
        take: t.Callable[..., builtins.list[_T]],
        *,
        name_of: t.Callable[[_T], str],
    ) -> t.Iterator[_T]:
        last = ""
        while True:
            self._point(what, prefix)
            page = take(prefix, after=last, most=self._page)
            yield from page
            if len(page) < self._page:
                return
            last = name_of(page[-1])


class _Writer:
    def __init__(self, view: View, writer: ObjectWriter, key: str) -> None:
        self._view = view
        self._writer = writer
        self._key = key

    def write(self, data: bytes | memoryview) -> None:
        self._writer.write(data)

    def commit(self) -> ObjectInfo:
        return self._view.commit(self._writer, self._key)

    def abort(self) -> None:
        self._view.abort(self._writer)
