# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of contents at the head of pg_dump's custom format (and in toc.dat of its directory format).

``pg_restore --list`` shows a part of it as text; what depends on what, the statements and the exact names are in the
file only. Its layout is that of src/bin/pg_dump/pg_backup_archiver.c of PostgreSQL 12 to 18 (archive versions 1.14 to
1.16). Every length is checked before anything is read, for the bytes may come from anywhere.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..core.errors import PostgresDumpInvalid

CUSTOM, DIRECTORY = 1, 3  # archCustom and archTar of pg_backup.h: a toc.dat says that it is part of a tar
_FORMATS = (CUSTOM, DIRECTORY)
_OLDEST, _NEWEST = (1, 14), (1, 16)
_LONGEST_TEXT = 256 * 1024 * 1024  # one statement; the largest that PostgreSQL itself takes is 1 GB
_MOST_ENTRIES = 20_000_000
_MOST_DEPENDENCIES = 10_000_000


@dataclass(frozen=True)
class TocEntry:
    """One object of the dump. *kind* is in pg_dump's words ("TABLE DATA"); *schema* is empty for what has none.

    *statement* creates it, *drop* removes it again; *needs* holds the ids of entries that come before. *file* names
    the member of a directory dump that holds its rows, empty where there is none.
    """

    id: int
    kind: str
    name: str
    schema: str = ""
    owner: str = ""
    tablespace: str = ""
    statement: str = ""
    drop: str = ""
    has_data: bool = False
    needs: tuple[int, ...] = ()
    file: str = ""


@dataclass(frozen=True)
class DumpToc:
    """What a dump says of itself. *created* has no zone: it is the local time of the host that made the dump."""

    version: tuple[int, int]
    format: int
    created: datetime.datetime
    database: str
    server_version: str
    pg_dump_version: str
    entries: tuple[TocEntry, ...] = field(repr=False, default=())

    def of_kind(self, *kinds: str) -> t.Iterator[TocEntry]:
        """The entries of these kinds, in order."""
        return (entry for entry in self.entries if entry.kind in kinds)


def read_toc(file: t.BinaryIO) -> DumpToc:
    """Read the head of a dump from where *file* stands; nothing behind it is touched.

    Raises PostgresDumpInvalid for anything that is not one, whatever the bytes are.
    """
    try:
        return _Reader(file).toc()
    except (ValueError, OverflowError) as error:
        raise PostgresDumpInvalid(
            f"The payload is no dump that pg_restore would take: {error}.",
            hint="Restore the copy in another repository, or another backup: lifeboat list shows them.",
        ) from error


class _Reader:
    def __init__(self, file: t.BinaryIO) -> None:
        self._file = file
        self._integer_size = 4
        self._offset_size = 8

    def toc(self) -> DumpToc:
        version, form = self._head()
        created = self._time()
        database, server_version, pg_dump_version = self._text(), self._text(), self._text()
        count = self._integer()
        if not 0 <= count <= _MOST_ENTRIES:
            raise ValueError(f"it counts {count} entries")
        entries = tuple(self._entry(version, form) for _number in range(count))
        return DumpToc(
            version=version,
            format=form,
            created=created,
            database=database,
            server_version=server_version,
            pg_dump_version=pg_dump_version,
            entries=entries,
        )

    def _head(self) -> tuple[tuple[int, int], int]:
        if self._bytes(5) != b"PGDMP":
            raise ValueError("it does not begin with PGDMP")
        major, minor, _revision, integer_size, offset_size, form = self._bytes(6)
        if not _OLDEST <= (major, minor) <= _NEWEST:
            raise ValueError(
                f"it has archive version {major}.{minor}, and this reads {_OLDEST[0]}.{_OLDEST[1]} to "
                f"{_NEWEST[0]}.{_NEWEST[1]}"
            )
        if not (1 <= integer_size <= 8 and 1 <= offset_size <= 8) or form not in _FORMATS:
            raise ValueError("its head makes no sense")
        self._integer_size, self._offset_size = integer_size, offset_size
        if (major, minor) >= (1, 15):
            self._bytes(1)  # how rows are compressed
        else:
            self._integer()
        return (major, minor), form

    def _entry(self, version: tuple[int, int], form: int) -> TocEntry:
        identifier = self._integer()
        has_data = self._integer() != 0
        self._text()  # the oid of the catalog
        self._text()  # the object's oid
        name, kind = self._text(), self._text()
        self._integer()  # the section
        statement, drop = self._text(), self._text()
        self._text()  # the COPY statement
        schema, tablespace = self._text(), self._text()
        self._text()  # the access method
        if version >= (1, 16):
            self._integer()  # the relation's kind
        owner = self._text()
        self._text()  # whether it has oids, for versions of long ago
        needs = self._needs()
        file = ""
        if form == CUSTOM:
            self._bytes(1 + self._offset_size)  # where its rows begin; not known in a dump that was streamed
        else:
            file = self._text()
        if identifier <= 0 or not kind:
            raise ValueError(f"entry {identifier} has the kind {kind!r}")
        return TocEntry(
            id=identifier,
            kind=kind,
            name=name,
            schema=schema,
            owner=owner,
            tablespace=tablespace,
            statement=statement,
            drop=drop,
            has_data=has_data,
            needs=needs,
            file=file,
        )

    def _needs(self) -> tuple[int, ...]:
        found: list[int] = []
        while True:
            text = self._text_or_none()
            if text is None:
                return tuple(found)
            if not text.isascii() or not text.isdigit() or len(found) >= _MOST_DEPENDENCIES:
                raise ValueError(f"a dependency is {text[:40]!r}")
            found.append(int(text[:19]))

    def _time(self) -> datetime.datetime:
        second, minute, hour, day, month, year, _summer_time = (self._integer() for _part in range(7))
        # A struct tm counts years from 1900, months from 0, and knows leap seconds.
        return datetime.datetime(1900 + year, 1 + month, day, hour, minute, min(second, 59))  # noqa: DTZ001 it says none

    def _text(self) -> str:
        return self._text_or_none() or ""

    def _text_or_none(self) -> str | None:
        length = self._integer()
        if length < 0:
            return None
        if length > _LONGEST_TEXT:
            raise ValueError(f"a text is {length} bytes long")
        # A database in another encoding than UTF-8 has its names in that; they only need to stay apart.
        return self._bytes(length).decode("utf-8", "surrogateescape")

    def _integer(self) -> int:
        data = self._bytes(1 + self._integer_size)
        number = int.from_bytes(data[1:], "little")
        return -number if data[0] else number

    def _bytes(self, count: int) -> bytes:
        # In pieces: a length that lies must not take more memory than there are bytes.
        pieces = []
        while count > 0:
            piece = self._file.read(min(count, 1024 * 1024))
            if not piece:
                raise ValueError("it ends inside of its table of contents")
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)
