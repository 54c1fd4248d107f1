# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tar has, held against what the list says that it has; both in one order, so that nothing is remembered."""

from __future__ import annotations

import typing as t

from ..core.errors import ContentMismatch
from .entry import FILE, Entry
from .names import order, shown
from .tar_reader import Pieces

T = t.TypeVar("T")


class Held(t.Generic[T]):
    """Members of a tar that are *wanted*: entries of the list, each with what it is wanted for.

    *put* is given the latter and the member, and returns the SHA-256 of a file. A member may come again: the last one
    counts.
    """

    def __init__(self, wanted: t.Iterator[tuple[Entry, T]], put: t.Callable[[T, Entry, Pieces], str]) -> None:
        self._wanted = wanted
        self._put = put
        self._next = next(wanted, None)
        self._last: tuple[Entry, T, str] | None = None

    def take(self, member: Entry, pieces: Pieces) -> None:
        """The next member. Raises ContentMismatch, and what *put* raises."""
        if self._last is not None and self._last[0].path == member.path:
            self._do(self._last[0], self._last[1], member, pieces)
            return
        self._settle()
        if self._next is None or order(member.path) < order(self._next[0].path):
            return
        entry, purpose = self._next
        if member.path != entry.path:
            raise _differs(entry, "is in the list and not in the tar")
        self._next = next(self._wanted, None)
        self._do(entry, purpose, member, pieces)

    def finish(self) -> None:
        """The tar is over. Raises ContentMismatch when something that is wanted did not come."""
        self._settle()
        if self._next is not None:
            raise _differs(self._next[0], "is in the list and not in the tar")

    def _do(self, entry: Entry, purpose: T, member: Entry, pieces: Pieces) -> None:
        if entry.kind != member.kind or entry.target != member.target:
            raise _differs(entry, "is of another kind in the tar than in the list")
        self._last = (entry, purpose, self._put(purpose, member, pieces))

    def _settle(self) -> None:
        """The member is over: its content must be the list's."""
        if self._last is None:
            return
        entry, _purpose, sha256 = self._last
        self._last = None
        if entry.kind == FILE and entry.sha256 != sha256:
            raise _differs(entry, f"has the SHA-256 {sha256} in the tar, and {entry.sha256} in the list")


def _differs(entry: Entry, how: str) -> ContentMismatch:
    where = f" of {entry.backup}" if entry.backup else ""
    return ContentMismatch(
        f"/{shown(entry.path)}{where} {how}.",
        hint="Restore another backup: lifeboat list shows them.",
        details={"path": shown(entry.path)},
    )
