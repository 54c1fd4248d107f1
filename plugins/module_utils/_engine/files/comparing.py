# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list held against what is on the disk: both in the same order, so that neither has to be remembered."""

from __future__ import annotations

import hashlib
import os
import typing as t
from dataclasses import dataclass

from .entry import FILE, FOLDER, HARD_LINK, LINK, Entry
from .names import is_below, order
from .owners import Owners
from .selection import Selection
from .walk import Found, entry_of

ADDED, CHANGED, EXTRA, SAME = "added", "changed", "extra", "same"
_PIECE = 1024 * 1024


@dataclass(frozen=True)
class Rules:
    """What counts as a difference beside kind, content, mode and where links lead."""

    owners: bool = True
    extended: bool = True
    times: bool = False


@dataclass(frozen=True)
class Difference:
    """*change* is what a restore would do: add, change; *extra* is what only the disk has, *same* is no difference.

    *entry* is the backup's (None for extra), *current* what is on the disk (None for added), *what* names what differs.
    """

    change: str
    path: str
    entry: Entry | None
    current: Entry | None
    what: tuple[str, ...] = ()


def differences(
    listed: t.Iterable[Entry], found: t.Iterable[Found], *, selection: Selection, rules: Rules
) -> t.Iterator[Difference]:
    """Every entry of the list that *selection* takes, and everything that only the disk has there, in their order.

    What is below a folder that only the disk has, or that another kind of thing takes the place of, is not told by
    itself. Raises OSError for files that can't be read.
    """
    return _Comparison(selection, rules).run(iter(listed), iter(found))


class _Comparison:
    def __init__(self, selection: Selection, rules: Rules) -> None:
        self._selection = selection
        self._rules = rules
        self._owners = Owners()
        # Of files with several names: whether the file is replaced, and which file the disk has there.
        self._first_names: dict[str, tuple[bool, tuple[int, int] | None]] = {}
        self._passed_over: str | None = None

    def run(self, listed: t.Iterator[Entry], found: t.Iterator[Found]) -> t.Iterator[Difference]:
        ours, theirs = next(listed, None), next(found, None)
        while ours is not None or theirs is not None:
            if theirs is not None and self._passed_over is not None and is_below(theirs.path, self._passed_over):
                theirs = next(found, None)
                continue
            if ours is None or (theirs is not None and order(theirs.path) < order(ours.path)):
                if theirs is not None:
                    yield from self._extra(theirs)
                theirs = next(found, None)
                continue
            both = theirs if theirs is not None and theirs.path == ours.path else None
            if self._selection.takes(ours):
                yield self._compare(ours, both)
            ours = next(listed, None)
            if both is not None:
                theirs = next(found, None)

    def _extra(self, found: Found) -> t.Iterator[Difference]:
        if not self._selection.wants(found.path):
            return
        if found.kind == FOLDER:
            self._passed_over = found.path
        yield Difference(EXTRA, found.path, None, entry_of(found, self._owners))

    def _compare(self, ours: Entry, found: Found | None) -> Difference:
        if found is None:
            if ours.links > 1:
                self._first_names[ours.path] = (True, None)
            return Difference(ADDED, ours.path, ours, None)
        current = entry_of(found, self._owners)
        if not self._selection.wants(ours.path):  # a folder on the way, and there it is
            return Difference(SAME, ours.path, ours, current)
        what = self._what(ours, current, found)
        if found.kind == FOLDER and ours.kind != FOLDER:
            self._passed_over = found.path
        if ours.links > 1 and ours.kind != HARD_LINK:
            self._first_names[ours.path] = (bool(what), (found.status.st_dev, found.status.st_ino))
        return Difference(CHANGED if what else SAME, ours.path, ours, current, what)

    def _what(self, ours: Entry, current: Entry, found: Found) -> tuple[str, ...]:
        if ours.kind == HARD_LINK:
            replaced, file = self._first_names.get(ours.target, (True, None))
            same = not replaced and file == (found.status.st_dev, found.status.st_ino)
            return () if same else ("content",)
        if ours.kind != current.kind:
            return ("kind",)
        what = []
        if ours.kind == FILE and (ours.size != current.size or ours.sha256 != content_hash(found)):
            what.append("content")
        if ours.target != current.target or ours.device != current.device:
            what.append("target")
        if ours.kind != LINK and ours.mode != current.mode:
            what.append("mode")
        if self._rules.owners and (ours.user, ours.group) != (current.user, current.group):
            what.append("owner")
        if self._rules.extended and dict(ours.extended) != dict(current.extended):
            what.append("attributes")
        if self._rules.times and ours.modified != current.modified:
            what.append("time")
        return tuple(what)


def content_hash(found: Found) -> str:
    """SHA-256 of a file as it is on the disk. Raises OSError."""
    digest = hashlib.sha256()
    descriptor = os.open(found.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=found.folder)
    with open(descriptor, "rb", buffering=0) as file:
        while True:
            piece = file.read(_PIECE)
            if not piece:
                return digest.hexdigest()
            digest.update(piece)
