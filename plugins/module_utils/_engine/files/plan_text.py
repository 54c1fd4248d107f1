# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore in place would change, for people: names, and for small public text files the lines themselves."""

from __future__ import annotations

import difflib
import functools
import os
import typing as t
from dataclasses import dataclass, field

from ..core.errors import HostileArchive
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from .comparing import ADDED, CHANGED, EXTRA, SAME, Difference
from .entry import FILE, FOLDER, Entry
from .names import is_below, shown
from .parts import Parts
from .restore_notes import FILES_PAYLOAD
from .tar_reader import Pieces, TarReader

_NAMED = 500
_MOST_FILES = 50
_LARGEST = 64 * 1024
_MOST_LINES = 2000
_READABLE, _SEARCHABLE = 0o004, 0o001


@dataclass
class ChangeSummary:
    """*counts* by kind of change, *bytes* that would be written, the first of the *changes* by name, *needed* as
    :meth:`parts.Parts.of` takes it.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((ADDED, CHANGED, EXTRA, SAME), 0))
    bytes: int = 0
    changes: list[dict[str, t.Any]] = field(default_factory=list)
    taken: int = 0
    needed: set[str] = field(default_factory=set)
    shown_files: dict[str, Entry] = field(default_factory=dict)
    _private: str | None = None

    def add(self, difference: Difference, *, show_private: bool) -> None:
        """The next one, in their order."""
        self.counts[difference.change] += 1
        entry = difference.entry
        self.taken += entry is not None
        is_private = entry is not None and entry.kind == FOLDER and not entry.mode & _SEARCHABLE
        if is_private and (self._private is None or not is_below(difference.path, self._private)):
            self._private = difference.path
        if difference.change == SAME:
            return
        if entry is not None:
            self.bytes += entry.size
            self.needed.add(entry.backup)
        if len(self.changes) < _NAMED:
            self.changes.append(
                {"path": f"/{shown(difference.path)}", "change": difference.change, "what": list(difference.what)}
            )
        has_room = len(self.shown_files) < _MOST_FILES
        if entry is not None and has_room and self._may_show(difference, show_private=show_private):
            self.shown_files[difference.path] = entry

    def _may_show(self, difference: Difference, *, show_private: bool) -> bool:
        ours, theirs = difference.entry, difference.current
        if ours is None or theirs is None or "content" not in difference.what:
            return False
        if ours.kind != FILE or theirs.kind != FILE or max(ours.size, theirs.size) > _LARGEST:
            return False
        if show_private:
            return True
        is_public = ours.mode & theirs.mode & _READABLE and not (
            self._private is not None and is_below(ours.path, self._private)
        )
        return bool(is_public) and _everybody_gets_to(difference.path)


def line_differences(parts: Parts, wanted: t.Mapping[str, Entry], *, progress: Progress) -> str:
    """A unified diff from what is there now to what the backup has, of the files *wanted*; binary ones by name."""
    if not wanted:
        return ""
    contents: dict[str, bytes] = {}

    def take(part: str, entry: Entry, pieces: Pieces) -> None:
        if entry.path in wanted and entry.kind == FILE and wanted[entry.path].backup == part:
            if entry.size > _LARGEST:
                raise HostileArchive(
                    f"/{shown(entry.path)} is larger in the tar than in the list.",
                    hint="Don't restore it; look at who could write to the repository.",
                )
            body = bytearray(entry.size)
            for offset, piece in pieces:
                body[offset : offset + len(piece)] = piece
            contents[entry.path] = bytes(body)

    for part, source in parts.of({entry.backup for entry in wanted.values()}):

        def read(stream: t.BinaryIO, part: str = part) -> None:
            TarReader(stream).read(functools.partial(take, part))

        source.deliver(FILES_PAYLOAD, PayloadOutput(read=read), progress=progress)
    lines = [line for path in wanted if path in contents for line in _lines(path, contents[path])]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"... and {len(lines) - _MOST_LINES} lines more"]
    return "\n".join(lines)


def _lines(path: str, wanted: bytes) -> list[str]:
    name = shown(path)
    try:
        with open(os.path.join("/", path).encode("utf-8", "surrogateescape"), "rb") as file:
            there = file.read(_LARGEST + 1)
        before, after = there.decode("utf-8"), wanted.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return [f"/{name}: the contents differ"]
    if "\0" in before or "\0" in after:
        return [f"/{name}: the contents differ"]
    return list(
        difflib.unified_diff(
            before.splitlines(), after.splitlines(), f"/{name} (now)", f"/{name} (backup)", lineterm=""
        )
    )


def _everybody_gets_to(path: str) -> bool:
    """Whether everybody may search all folders above it."""
    folder = os.path.dirname(os.path.join("/", path))
    while folder != "/":
        try:
            if not os.stat(folder.encode("utf-8", "surrogateescape")).st_mode & _SEARCHABLE:
                return False
        except OSError:
            return False
        folder = os.path.dirname(folder)
    return True
