# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Out of append-only files into the spool, piece by piece, in order of commitment."""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t
from dataclasses import dataclass, field

from ..core.errors import AofInvalid, RdbInvalid
from ..core.progress import Progress
from ..streams.spool import Spool
from .aof_check import AofChecker
from .aof_log_cut import copy_span, find_cut, hash_span, measure, read_span, tail_hash
from .aof_log_links import Links, link_name
from .aof_log_notes import ChainNotes, FileNote, save_notes
from .aof_log_piece import BASE, INCREMENT, Piece, PieceName, Server

LARGEST_PIECE = 64 * 1024 * 1024
_QUIET_SECONDS = 60
_NOTHING = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Moment:
    """What was known of the server when the files' lengths were read.

    The newest file had *size* bytes. Everything until the end of the second *covered* is in the files, and nothing of
    them is later than *taken*. *sure*: since the last capture the server wrote times into them without a break;
    *timed_since*: it does so without a break since that second.
    """

    server: Server
    size: int
    covered: int | None
    taken: int | None
    sure: bool
    timed_since: int | None = None


@dataclass
class Captured:
    """What came of it so far."""

    files: int = 0
    breaks: list[tuple[str, dict[str, t.Any]]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class PieceWriter:
    """Captures the files of one lineage. What it has done is in the notes after each piece."""

    def __init__(
        self,
        *,
        notes: ChainNotes,
        spool: Spool,
        links: Links,
        data_folder: str,
        moment: Moment,
        progress: Progress,
    ) -> None:
        self._notes = notes
        self._spool = spool
        self._links = links
        self._data_folder = data_folder
        self._moment = moment
        self._progress = progress
        self._largest = LARGEST_PIECE
        self.captured = Captured()

    def run(self) -> Captured:
        """Capture all that there is of every file. Raises StreamSpoolFull, StreamSpoolUnusable and AofInvalid."""
        for note in self._notes.in_order():
            if not note.is_done:
                with self._opened(note) as descriptor:
                    if descriptor is None:
                        self._lose(note)
                    elif note.type == BASE:
                        self._base(note, descriptor)
                    else:
                        self._increment(note, descriptor)
            if note.is_done:
                self._links.remove(self._link(note), data_folder=self._data_folder)
        self._clear()
        return self.captured

    # --- increments --------------------------------------------------------------------------------------------------

    def _increment(self, note: FileNote, descriptor: int) -> None:
        if not self._moment.sure:
            note.closing = None  # commands without a time may follow, also after this capture
        size = os.fstat(descriptor).st_size if note.ended else self._moment.size
        try:
            while note.captured < size:
                cut = find_cut(descriptor, name=note.file, start=note.captured, size=size, limit=self._largest)
                if cut == note.captured:
                    break
                self._put_increment(note, descriptor, cut, is_last=cut == size or cut - note.captured < self._largest)
        except AofInvalid as error:
            if not note.ended:
                raise
            self._give_up(note, error.message)
            return
        if note.ended and note.captured < size:
            self._give_up(note, f"{note.file} ends in the middle of a command, and another file follows it")
        elif note.ended:
            note.sealed = note.captured
            self._save()
        else:
            self._note_quiet(note)

    def _put_increment(self, note: FileNote, descriptor: int, end: int, *, is_last: bool) -> None:
        start, moment = note.captured, self._moment
        facts, sha256 = measure(descriptor, name=note.file, start=start, end=end)
        opening = self._opening(note)
        last = facts.last_timestamp if facts.last_timestamp is not None else opening
        since = moment.timed_since
        is_sure = moment.sure or (since is not None and (facts.last_timestamp or 0) >= since)
        newest = is_last and not note.ended
        piece = Piece(
            name=PieceName(self._notes.chain, note.increment, INCREMENT, start, end),
            file=_printable(note.file),
            server=moment.server,
            opening=opening,
            first=facts.first_timestamp,
            last=facts.last_timestamp,
            lowest=facts.lowest_timestamp,
            highest=facts.highest_timestamp,
            closing=last if is_sure else None,
            covered=moment.covered if newest else None,
            after=self._notes.covered,
            taken=moment.taken,
            commands=facts.commands,
            untimed=facts.untimed,
            tail=tail_hash(descriptor, end, name=note.file),
            **self._joint(note),
        )
        self._put(piece, note, descriptor, sha256)
        note.closing = piece.closing
        self._notes.taken = moment.taken
        if piece.covered is not None:
            self._notes.covered = piece.covered
        self._save()

    def _opening(self, note: FileNote) -> int | None:
        """The second in force where the next piece begins, None when commands there may have none."""
        if not self._moment.sure:
            return None
        if note.captured:
            return note.closing
        before = self._notes.find(INCREMENT, note.increment - 1)
        return before.closing if before is not None and note.follows else None

    def _note_quiet(self, note: FileNote) -> None:
        """A piece without bytes, when nothing was written: until then, too, all is known.

        Once as soon as it completes what was captured last, and then now and then.
        """
        covered, before, taken = self._moment.covered, self._notes.covered, self._notes.taken
        if covered is None or (before is not None and covered <= before):
            return
        # Commands that have no time may be as late as that second: only the one behind it can be reached.
        goal = None if taken is None else taken + (note.closing is None)
        completes = goal is not None and covered >= goal and (before is None or before < goal)
        if before is not None and covered < before + _QUIET_SECONDS and not completes:
            return
        piece = Piece(
            name=PieceName(self._notes.chain, note.increment, INCREMENT, note.captured, note.captured, covered),
            file=_printable(note.file),
            server=self._moment.server,
            opening=note.closing,
            closing=note.closing,
            covered=covered,
            after=before,
            taken=self._moment.taken,
            tail=note.tail,
            **self._joint(note),
        )
        self._put(piece, note, None, _NOTHING)
        self._notes.covered = covered
        self._save()

    # --- bases -------------------------------------------------------------------------------------------------------

    def _base(self, note: FileNote, descriptor: int) -> None:
        if not note.size:
            self._look_into(note, descriptor)
        while note.captured < note.size:
            end = min(note.size, note.captured + self._largest)
            piece = Piece(
                name=PieceName(self._notes.chain, note.increment, BASE, note.captured, end),
                file=_printable(note.file),
                server=self._moment.server,
                size=note.size,
                created=note.created,
                holds=note.holds,
                rdb=note.rdb,
                beside=self._last_captured(),
                tail=tail_hash(descriptor, end, name=note.file),
                **self._joint(note),
            )
            self._put(piece, note, descriptor, hash_span(descriptor, note.captured, end, name=note.file))
            self._save()

    def _look_into(self, note: FileNote, descriptor: int) -> None:
        """Check the whole file, and note when it was made and what it holds."""
        status = os.fstat(descriptor)
        checker = AofChecker(name=note.file)
        for piece in read_span(descriptor, 0, status.st_size, name=note.file):
            checker.feed(piece)
            self._progress.add()
        try:
            facts = checker.finish(last=False)
        except RdbInvalid as error:
            raise AofInvalid(f"{note.file} is damaged: {error.message}", hint=error.hint) from error
        created = int(status.st_mtime)
        if facts.rdb is not None and not facts.commands:
            created = facts.rdb.head.created or created
        before = self._notes.find(INCREMENT, note.increment - 1)
        is_joined = note.follows and before is not None and before.sealed is not None and not before.lost
        # Its time is read from a clock that may lag: without the increment before, a second is given away.
        note.holds = created + 1
        if is_joined and before is not None and before.closing is not None:
            note.holds = min(before.closing, created + 1)
        note.holds = max(note.holds, self._notes.since or 0)
        note.size, note.created = status.st_size, created
        note.rdb = None if facts.rdb is None else facts.rdb.as_dict()
        self._save()

    def _last_captured(self) -> tuple[int, int] | None:
        """The last increment of which anything was captured, and how much."""
        found = [one for one in self._notes.in_order() if one.type == INCREMENT and one.captured]
        return (found[-1].increment, found[-1].captured) if found else None

    # --- both --------------------------------------------------------------------------------------------------------

    def _joint(self, note: FileNote) -> dict[str, t.Any]:
        """What the first piece of a file says about the increment before it."""
        if note.captured:
            return {}
        before = self._notes.find(INCREMENT, note.increment - 1)
        if note.follows and before is not None and before.sealed is not None and not before.lost:
            return {"previous": (before.increment, before.sealed)}
        return {"broken": note.broken or (before.lost if before is not None else "")}

    def _put(self, piece: Piece, note: FileNote, descriptor: int | None, sha256: str) -> None:
        name = piece.name
        self._spool.require_room(name.end - name.offset)
        document = {"lineage": self._notes.lineage, "sha256": sha256, "facts": piece.as_facts()}

        def write(output: t.BinaryIO) -> None:
            if descriptor is not None:
                copy_span(descriptor, name.offset, name.end, output, name=note.file, sha256=sha256)

        self._spool.put(str(name), write, note=document)
        self._progress.add(done=name.end - name.offset)
        self.captured.files += 1
        note.captured, note.tail = name.end, piece.tail

    def _give_up(self, note: FileNote, why: str) -> None:
        """Whatever follows can't be joined to what was captured of this increment."""
        note.sealed, note.lost = note.captured, why
        self._save()
        self.captured.breaks.append((why, {"increment": note.increment, "captured": note.captured}))

    def _lose(self, note: FileNote) -> None:
        if note.type == BASE:
            note.lost = f"{note.file} was deleted before it was captured"
            self._save()
            return
        self._give_up(note, f"the end of {note.file} was deleted before it was captured")

    def _clear(self) -> None:
        """Forget files that nothing will be joined to any more."""
        last = self._notes.last_increment
        for note in self._notes.in_order():
            following = self._notes.find(INCREMENT, note.increment + 1)
            is_joined = following is None or following.captured > 0 or following.is_done
            if note.is_done and note.gone and is_joined and note.increment < last - 1:
                del self._notes.files[note.key]
        self._save()

    @contextlib.contextmanager
    def _opened(self, note: FileNote) -> t.Iterator[int | None]:
        descriptor = self._links.open(self._link(note), data_folder=self._data_folder)
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _link(self, note: FileNote) -> str:
        return link_name(self._notes.chain, note.key)

    def _save(self) -> None:
        save_notes(self._spool.path, self._notes)


def _printable(name: str) -> str:
    """A file name whose bytes are not UTF-8 as text that JSON can carry: the bytes show as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
