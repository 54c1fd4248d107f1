# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planned slices, fetched one after the other: the next one on its way while this one is read, each proved."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import shutil
import typing as t

from ..core.errors import RecoveryEndedEarly, RequestInvalid
from ..core.parallel import wait_for
from ..core.signals import undisturbed
from ..core.state import StateDirectory
from ..recovery.recovery_planner import SegmentReader
from ..streams.stream import StoredSegment
from .bson_bytes import MalformedBson, document_length
from .oplog_entry import read_entry
from .oplog_slice import OplogSlice, slice_from_facts
from .reply import each_document
from .timestamps import Position, position_text

_CHUNK = 1024 * 1024
#: The entries of one slice, some at a time. To be closed by whoever does not come to their end.
Pieces = t.Generator[t.Sequence[bytes], None, None]
_AGAIN = "Ship the oplog again, or recover to an earlier moment: lifeboat windows"


@contextlib.contextmanager
def slice_folder(state: StateDirectory, restore_id: str) -> t.Iterator[str]:
    """An empty folder for slices, gone afterwards; what a run left that died is removed first."""
    path = os.path.join(state.folder("recovery"), restore_id)
    forget_slices(state, restore_id)
    try:
        os.mkdir(path, mode=0o700)
    except OSError as error:
        raise state.unusable(path, error) from error
    try:
        yield path
    finally:
        forget_slices(state, restore_id)


def forget_slices(state: StateDirectory, restore_id: str) -> None:
    """Remove the folder of a recovery's slices."""
    shutil.rmtree(os.path.join(state.path, "recovery", restore_id), ignore_errors=True)


def read_documents(path: str) -> t.Generator[bytes, None, None]:
    """The entries of a slice's file in pieces of whole entries. Raises MalformedBson for what is left over.

    To be closed by whoever does not come to its end.
    """
    rest = b""
    with contextlib.ExitStack() as stack:
        with undisturbed():  # a signal would come between opening it and knowing that
            file = stack.enter_context(open(path, "rb"))
        while True:
            chunk = file.read(_CHUNK)
            if not chunk:
                break
            data = rest + chunk
            end = _whole(data)
            if end:
                yield data[:end]
            rest = data[end:]
    if rest:
        raise MalformedBson(f"{len(rest)} bytes at its end are no entry")


def _whole(data: bytes) -> int:
    """Where the last whole document ends."""
    end = 0
    while len(data) - end >= 4:
        length = int.from_bytes(data[end : end + 4], "little")
        if length < 5:
            raise MalformedBson(f"an entry of {length} bytes")
        if end + length > len(data):
            break
        end += document_length(data, end, len(data))
    return end


class SliceFeed:
    """Gives the slices of a plan in order, each as pieces of whole entries. *folder* is where they are fetched to."""

    def __init__(self, reader: SegmentReader, *, folder: str) -> None:
        self._reader = reader
        self._folder = folder

    def slices(self) -> t.Generator[tuple[OplogSlice, Pieces], None, None]:
        """Every slice with its entries in pieces. To be closed by whoever does not come to its end.

        Raises RecoveryEndedEarly for a slice that is not what its record says and for a hole between two, and what
        fetching raises.
        """
        segments = self._reader.plan.segments
        before: OplogSlice | None = None
        with self._pool() as pool:
            coming = self._submit(pool, segments, 0)
            for number, segment in enumerate(segments):
                wait_for((coming,))
                path = coming.result()
                coming = self._submit(pool, segments, number + 1)
                facts = slice_from_facts(segment.segment.facts)
                if before is not None:
                    _require_joined(before, facts)
                before = facts
                yield facts, self._proved(facts, path)
                os.unlink(path)

    def _proved(self, facts: OplogSlice, path: str) -> Pieces:
        """The entries of one slice; it must begin, end and count as its record says."""
        first: Position | None = None
        last: Position | None = None
        entries = 0
        try:
            with contextlib.closing(read_documents(path)) as pieces:
                for documents in pieces:
                    whole = list(each_document(documents))
                    entries += len(whole)
                    first = read_entry(whole[0]).position() if first is None else first
                    last = read_entry(whole[-1]).position()
                    yield whole
        except MalformedBson as error:
            raise _another(facts, f"it can't be read ({error})") from error
        found = (first, last, entries)
        expected = (facts.first.position, facts.last.position, facts.entries)
        if found != expected:
            raise _another(facts, f"it has {entries} entries of {facts.entries}, or other ones")

    @contextlib.contextmanager
    def _pool(self) -> t.Iterator[concurrent.futures.ThreadPoolExecutor]:
        with undisturbed():
            pool = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="mongodb slices")
        try:
            yield pool
        finally:
            with undisturbed():
                pool.shutdown(wait=True, cancel_futures=True)

    def _submit(
        self, pool: concurrent.futures.ThreadPoolExecutor, segments: t.Sequence[StoredSegment], number: int
    ) -> concurrent.futures.Future[str]:
        with undisturbed():
            return pool.submit(self._fetch, segments, number)

    def _fetch(self, segments: t.Sequence[StoredSegment], number: int) -> str:
        if number >= len(segments):
            return ""
        path = os.path.join(self._folder, f"{number:06d}.bson")
        self._reader.fetch(segments[number], path)
        return path


def require_entries(reader: SegmentReader, wanted: t.Sequence[Position], *, folder: str) -> None:
    """Raise RequestInvalid unless every position is that of an entry; only the slices around them are fetched."""
    for number, position in enumerate(sorted(set(wanted))):
        near: list[Position] = []
        found = False
        for segment in reader.plan.segments:
            facts = slice_from_facts(segment.segment.facts)
            if not facts.first.position <= position <= facts.last.position:
                continue
            path = os.path.join(folder, f"look-{number}-{segment.segment.name}")
            reader.fetch(segment, path)
            try:
                with contextlib.closing(read_documents(path)) as pieces:
                    near = [read_entry(raw).position() for piece in pieces for raw in each_document(piece)]
            except MalformedBson as error:
                raise _another(facts, f"it can't be read ({error})") from error
            finally:
                os.unlink(path)
            found = position in near
            if found:
                break
        if not found:
            before = max((one for one in near if one < position), default=None)
            after = min((one for one in near if one > position), default=None)
            around = " and ".join(position_text(one) for one in (before, after) if one is not None)
            raise RequestInvalid(
                f"There is no operation at {position_text(position)}.",
                hint=f"The nearest are {around}; what was destroyed when: lifeboat find-damage"
                if around
                else "What was destroyed when: lifeboat find-damage",
                details={"position": position_text(position)},
            )


def _require_joined(before: OplogSlice, after: OplogSlice) -> None:
    """Raise RecoveryEndedEarly when something lies between two slices, or they are of two histories."""
    if after.first.position > before.last.position:
        raise RecoveryEndedEarly(
            f"Between {position_text(before.last.position)} and {position_text(after.first.position)} no entry of the "
            "oplog is stored.",
            hint=_AGAIN,
            details={"slice": after.name},
        )
    if after.first.position == before.last.position and after.first != before.last:
        raise _another(after, f"at {position_text(after.first.position)} it has another entry than the one before it")


def _another(facts: OplogSlice, what: str) -> RecoveryEndedEarly:
    return RecoveryEndedEarly(
        f"The slice {facts.name} is not what its record says: {what}.",
        hint=_AGAIN,
        details={"slice": facts.name, "lineage": facts.lineage},
    )
