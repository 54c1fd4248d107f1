# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few records of a WAL segment that matter to an archive: ends of transactions, and the switch to the next segment.

A record (src/include/access/xlogrecord.h) begins with its length (4 bytes), transaction (4), the position of the one
before (8), info (1), resource manager (1), padding (2) and checksum (4); then come headers of blocks and of data. It
begins at a multiple of 8 bytes and goes on behind the header of the next page where a page ends. The data of a commit
and of an abort begins with its time, in microseconds since 2000 (src/include/access/xact.h).

Pages are read from the end, and the search ends with the first commit that it meets: in a busy segment, in one page.
"""

from __future__ import annotations

import datetime
import struct
import typing as t
from dataclasses import dataclass

from .wal_page import SegmentHeader, WalDamaged, page_header

_RECORD = struct.Struct("=I12xBB6x")  # length, info, resource manager
_LENGTH = struct.Struct("=I")
_TIME = struct.Struct("=q")
_XLOG, _XACT, _UNKNOWN = 0, 1, -1  # resource managers (src/include/access/rmgrlist.h)
_SWITCH = 0x40
_OPERATION = 0x70
_COMMITS, _ENDS = frozenset((0x00, 0x30)), frozenset((0x00, 0x20, 0x30, 0x40))  # with those of prepared transactions
_SHORT_DATA, _LONG_DATA, _ORIGIN, _TOP_LEVEL = 255, 254, 253, 252
_EPOCH = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)
# Header, origin, transaction, header of the data, and the time behind them.
_ENOUGH = _RECORD.size + 3 + 5 + 5 + _TIME.size


@dataclass(frozen=True)
class TransactionEnds:
    """Times (aware, UTC, the server's clock) of ends of transactions in one segment; None where none was found.

    *first_commit* and *last_commit* are of commits, *last_end* is of a commit or an abort: the latest time that a
    recovery to a time can stop at within this segment. *complete* is False when the search ended before it had looked
    everywhere: then None means "not known".
    """

    first_commit: datetime.datetime | None
    last_commit: datetime.datetime | None
    last_end: datetime.datetime | None
    complete: bool


class SegmentRecords:
    """Looks into one segment whose pages were checked. *filled* is how far it holds pages, in bytes."""

    def __init__(self, file: t.BinaryIO, *, header: SegmentHeader, filled: int) -> None:
        self._file = file
        self._page_size = header.page_size
        self._pages = filled // header.page_size
        self._read: dict[int, bytes] = {}

    def ends_with_switch(self) -> bool:
        """Whether the last record is the switch to the next segment: only then may zeros follow."""
        for page in range(self._pages - 1, -1, -1):
            records = list(self._records(page))
            if records:
                _at, _length, info, manager = records[-1]
                return manager == _XLOG and info & 0xF0 == _SWITCH
        return False

    def transaction_ends(self, *, first_pages: int | None = None, last_pages: int | None = None) -> TransactionEnds:
        """The times of the segment's ends of transactions; looks at most at so many pages from its two ends."""
        forward, backward = (
            self._pages if most is None else min(most, self._pages) for most in (first_pages, last_pages)
        )
        first_commit = last_commit = last_end = None
        for page in range(self._pages - 1, self._pages - 1 - backward, -1):
            commits, ends = self._ends(page)
            last_end = last_end or max(ends, default=None)
            last_commit = max(commits, default=None)
            if last_commit is not None:
                break
        if last_commit is not None or backward < self._pages:
            for page in range(forward):
                commits, _all = self._ends(page)
                if commits:
                    first_commit = min(commits)
                    break
        complete = backward == self._pages if last_commit is None else first_commit is not None
        return TransactionEnds(first_commit, last_commit, last_end, complete)

    def first_commit_behind(self, offset: int) -> datetime.datetime | None:
        """The first commit on the pages that begin at *offset* or behind it (bytes); None when there is none."""
        for page in range(-(-offset // self._page_size), self._pages):
            commits, _all = self._ends(page)
            if commits:
                return min(commits)
        return None

    def _ends(self, page: int) -> tuple[list[datetime.datetime], list[datetime.datetime]]:
        """Times of the commits, and of all ends, whose records begin on that page."""
        commits: list[datetime.datetime] = []
        ends: list[datetime.datetime] = []
        for at, length, info, manager in self._records(page):
            if manager != _XACT or info & _OPERATION not in _ENDS:
                continue
            moment = _moment(self._bytes(page, at, min(length, _ENOUGH)))
            if moment is not None:
                ends.append(moment)
                if info & _OPERATION in _COMMITS:
                    commits.append(moment)
        return commits, ends

    def _records(self, page: int) -> t.Iterator[tuple[int, int, int, int]]:
        """The records that begin on that page: where, how long, info, resource manager. Hundreds fit on a page."""
        data = self._page(page)
        header = page_header(data)
        page_size = self._page_size
        unpack = _RECORD.unpack_from
        # Where the last record before ends: maybe on a later page.
        at = header.size + _aligned(header.continued)
        while at + _LENGTH.size <= page_size:
            if at + _RECORD.size <= page_size:
                length, info, manager = unpack(data, at)
            else:
                # Its header goes on in the next page.
                length, info, manager = _LENGTH.unpack_from(data, at)[0], 0, _UNKNOWN
                if length >= _RECORD.size:
                    head = self._bytes(page, at, _RECORD.size)
                    if len(head) == _RECORD.size:
                        _length, info, manager = unpack(head)
            if length < _RECORD.size:
                if length:
                    raise WalDamaged(f"at byte {page * page_size + at} there is no record of WAL")
                return
            yield at, length, info, manager
            at += (length + 7) & ~7

    def _bytes(self, page: int, at: int, count: int) -> bytes:
        """That many bytes of a record from there on, past the headers of pages; fewer at the segment's end."""
        found = self._page(page)[at : at + count]
        while len(found) < count and page + 1 < self._pages:
            page += 1
            data = self._page(page)
            header = page_header(data)
            if not header.continued:
                break  # a crash cut the record off, and another one begins here
            found += data[header.size : header.size + count - len(found)]
        return found

    def _page(self, page: int) -> bytes:
        data = self._read.get(page)
        if data is None:
            self._file.seek(page * self._page_size)
            data = self._file.read(self._page_size)
            if len(self._read) > 4:  # neighbours are asked for again, others are not
                self._read.clear()
            self._read[page] = data
        return data


def _moment(head: bytes) -> datetime.datetime | None:
    """The time at the beginning of the data of a record that names no blocks."""
    at = _RECORD.size
    skipped = {_ORIGIN: 3, _TOP_LEVEL: 5}
    while at < len(head) and head[at] in skipped:
        at += skipped[head[at]]
    if at >= len(head) or head[at] not in (_SHORT_DATA, _LONG_DATA):
        return None
    at += 2 if head[at] == _SHORT_DATA else 5
    if len(head) < at + _TIME.size:
        return None
    return _EPOCH + datetime.timedelta(microseconds=_TIME.unpack_from(head, at)[0])


def _aligned(length: int) -> int:
    return (length + 7) & ~7
