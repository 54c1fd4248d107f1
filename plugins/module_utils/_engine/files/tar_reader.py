# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the tar of files as it streams by, trusting nothing in it, in constant memory.

It takes what :mod:`tar_writer` writes and refuses everything else: names that lead out of the tree, members of other
types, headers that ask for more than a header needs. Source: "pax Interchange Format" of POSIX, "Basic Tar Format" and
"Storing Sparse Files" of GNU tar's manual.
"""

from __future__ import annotations

import typing as t

from ..core.errors import FilesArchiveInvalid, HostileArchive
from .entry import BLOCK, CHARACTER, FIFO, FILE, FOLDER, HARD_LINK, LINK, Entry
from .extended import access_list_value
from .names import raw, shown, text
from .tar_writer import ACCESS_LISTS, BLOCK_SIZE, Extent

_PIECE = 1024 * 1024
_ZEROS = bytes(BLOCK_SIZE)
_KINDS = {
    b"0": FILE,
    b"\0": FILE,
    b"1": HARD_LINK,
    b"2": LINK,
    b"3": CHARACTER,
    b"4": BLOCK,
    b"5": FOLDER,
    b"6": FIFO,
}
_EXTENDED = "SCHILY.xattr."
# Every attribute can have 64 KiB (xattr(7)); nobody has a hundred of these.
_LARGEST_RECORDS = 8 * 1024 * 1024
_MOST_EXTENTS = 1_000_000
_LONGEST_PATH = 64 * 1024
_LONGEST_NUMBER = 20
_SECOND = 1_000_000_000

#: A piece of a file: the offset and the bytes there. What no piece covers is a hole.
Pieces = t.Iterator[tuple[int, bytes]]


class TarReader:
    """Takes a stream apart: for each member one call of *take* with its entry and an iterator over its pieces.

    Entries have no ``sha256`` and no ``links``: a tar says neither.
    """

    def __init__(self, stream: t.BinaryIO) -> None:
        self._stream = stream

    def read(self, take: t.Callable[[Entry, Pieces], None]) -> int:
        """Read to the end of the stream; returns the number of members.

        Raises FilesArchiveInvalid when it is no tar or cut short, HostileArchive for what no backup has.
        """
        members = 0
        records: dict[str, bytes] = {}
        while True:
            block = self._exactly(BLOCK_SIZE)
            if block == _ZEROS:
                self._require_nothing_more()
                return members
            fields = _fields(block)
            if fields.form == b"x":
                if not 0 < fields.size <= _LARGEST_RECORDS or records:
                    raise _hostile(f"a header of {fields.size} bytes", text(fields.name))
                records = _records(self._exactly(_padded(fields.size))[: fields.size])
                continue
            self._member(fields, records, take)
            members += 1
            records = {}

    def _member(self, fields: _Fields, records: t.Mapping[str, bytes], take: t.Callable[[Entry, Pieces], None]) -> None:
        size = _number(records["size"], of="size") if "size" in records else fields.size
        entry = _entry(fields, records, size=size)
        if entry.kind != FILE and size:
            raise _hostile(f"a {entry.kind} with a body of {size} bytes", entry.path)
        if _is_sparse(records):
            extents, length = self._sparse_map(entry, stored=size)
            size -= length
        else:
            extents = [(0, size)]
        left = size

        def pieces() -> Pieces:
            nonlocal left
            for offset, length in extents:
                position, end = offset, offset + length
                while position < end:
                    piece = self._exactly(min(_PIECE, end - position))
                    left -= len(piece)
                    yield position, piece
                    position += len(piece)

        made = pieces()
        take(entry, made)
        for _rest in made:
            pass
        if left:
            raise _damaged(f"the map of holes of {shown(entry.path)} differs from its size")
        self._exactly(_padded(size) - size)

    def _sparse_map(self, entry: Entry, *, stored: int) -> tuple[list[Extent], int]:
        """The extents of a file with holes, and how many bytes of the body the map took."""
        numbers: list[int] = []
        count, length, rest = -1, 0, b""
        while count < 0 or len(numbers) < 2 * count:
            if length >= stored:
                raise _damaged(f"the map of holes of {shown(entry.path)} was cut short")
            *lines, rest = (rest + self._exactly(BLOCK_SIZE)).split(b"\n")
            length += BLOCK_SIZE
            for line in lines:
                if count < 0:
                    count = _number(line, of="map of holes")
                    if count > _MOST_EXTENTS:
                        raise _hostile(f"{count} extents", entry.path)
                elif len(numbers) < 2 * count:
                    numbers.append(_number(line, of="map of holes"))
            is_over = count >= 0 and len(numbers) >= 2 * count
            if not is_over and len(rest) > _LONGEST_NUMBER:
                raise _damaged(f"the map of holes of {shown(entry.path)} has no numbers")
        extents = list(zip(numbers[::2], numbers[1::2]))
        position = 0
        for offset, size in extents:
            if offset < position or offset + size > entry.size:
                raise _hostile("a map of holes that overlaps itself or goes beyond the file", entry.path)
            position = offset + size
        return extents, length

    def _require_nothing_more(self) -> None:
        while True:
            piece = self._stream.read(_PIECE)
            if not piece:
                return
            if piece.strip(b"\0"):
                raise _damaged("something follows its end")

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size) if size else b""
        while len(data) < size:
            more = self._stream.read(size - len(data))
            if not more:
                raise _damaged("it was cut short")
            data += more
        return data


class _Fields(t.NamedTuple):
    name: bytes
    mode: int
    user: int
    group: int
    size: int
    modified: int
    form: bytes
    target: bytes
    user_name: bytes
    group_name: bytes
    device: tuple[int, int]


def _fields(block: bytes) -> _Fields:
    """A header block. Raises FilesArchiveInvalid when its own checksum differs."""
    if _octal(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise _damaged("a header's checksum differs")
    if block[257:263] != b"ustar\0":
        raise _damaged("a header is not of POSIX's format")
    name, prefix = _text(block[:100]), _text(block[345:500])
    return _Fields(
        name=prefix + b"/" + name if prefix else name,
        mode=_octal(block[100:108]),
        user=_octal(block[108:116]),
        group=_octal(block[116:124]),
        size=_octal(block[124:136]),
        modified=_octal(block[136:148]),
        form=block[156:157],
        target=_text(block[157:257]),
        user_name=_text(block[265:297]),
        group_name=_text(block[297:329]),
        device=(_octal(block[329:337]), _octal(block[337:345])),
    )


def _entry(fields: _Fields, records: t.Mapping[str, bytes], *, size: int) -> Entry:
    name = text(records.get("GNU.sparse.name", records.get("path", fields.name)))
    if fields.form not in _KINDS:
        raise _hostile(f"the type {fields.form!r}", name)
    kind = _KINDS[fields.form]
    path = plain_path(name[:-1] if kind == FOLDER and name.endswith("/") else name)
    target = text(records.get("linkpath", fields.target)) if kind in (LINK, HARD_LINK) else ""
    if kind == HARD_LINK:
        target = plain_path(target)
    elif kind == LINK and (not target or "\0" in target or len(raw(target)) > _LONGEST_PATH):
        raise _hostile("a link that leads nowhere", path)
    if "GNU.sparse.realsize" in records:
        size = _number(records["GNU.sparse.realsize"], of="size")
    return Entry(
        path=path,
        kind=kind,
        mode=fields.mode & 0o7777,
        user=_number(records["uid"], of="uid") if "uid" in records else fields.user,
        group=_number(records["gid"], of="gid") if "gid" in records else fields.group,
        user_name=text(records.get("uname", fields.user_name)),
        group_name=text(records.get("gname", fields.group_name)),
        modified=_time(records["mtime"]) if "mtime" in records else fields.modified * _SECOND,
        size=size if kind == FILE else 0,
        target=target,
        device=fields.device if kind in (CHARACTER, BLOCK) else (0, 0),
        extended=_extended(records),
    )


def _extended(records: t.Mapping[str, bytes]) -> dict[str, bytes]:
    found = {key[len(_EXTENDED) :]: value for key, value in records.items() if key.startswith(_EXTENDED)}
    for attribute, record in ACCESS_LISTS.items():
        if record in records:
            value = access_list_value(text(records[record]))
            if value is None:
                raise _damaged("an access list is none")
            found[attribute] = value
    return found


def plain_path(name: str) -> str:
    """A path below the tree that is restored into. Raises HostileArchive for every other one."""
    parts = name.split("/")
    if "\0" in name or len(raw(name)) > _LONGEST_PATH or any(part in ("", ".", "..") for part in parts):
        raise _hostile("a name that leads out of the tree", name)
    return name


def _is_sparse(records: t.Mapping[str, bytes]) -> bool:
    version = (records.get("GNU.sparse.major"), records.get("GNU.sparse.minor"))
    if version == (None, None):
        return False
    if version != (b"1", b"0") or "GNU.sparse.name" not in records or "GNU.sparse.realsize" not in records:
        raise _damaged("a file with holes is in a format that no backup has")
    return True


def _records(data: bytes) -> dict[str, bytes]:
    """``LENGTH KEY=VALUE\\n`` again and again."""
    found: dict[str, bytes] = {}
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 12)
        length = _number(data[position:space], of="record") if space > 0 else 0
        record = data[space + 1 : position + length]
        key, equals, value = record.partition(b"=")
        if length < space - position + 3 or len(data) < position + length or not equals or record[-1:] != b"\n":
            raise _damaged("a record of a header is none")
        found[text(key)] = value[:-1]
        position += length
    return found


def _octal(field: bytes) -> int:
    if field[:1] == b"\x80":  # GNU: base 256, which POSIX's format does not have but its readers take
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise _damaged("a number in a header is none") from None


def _number(digits: bytes, *, of: str) -> int:
    if not digits.isdigit() or len(digits) > _LONGEST_NUMBER:
        raise _damaged(f"a {of} is no number")
    return int(digits)


def _time(value: bytes) -> int:
    seconds, _point, part = value.decode("ascii", "replace").partition(".")
    sign = -1 if seconds.startswith("-") else 1
    digits = seconds.lstrip("-")
    if not digits.isdigit() or len(digits) > 15 or (part and not part.isdigit()):
        raise _damaged("a time is none")
    return sign * (int(digits) * _SECOND + int(part[:9].ljust(9, "0") or 0))


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _padded(size: int) -> int:
    return -(-size // BLOCK_SIZE) * BLOCK_SIZE


def _damaged(why: str) -> FilesArchiveInvalid:
    return FilesArchiveInvalid(
        f"The tar of files is damaged: {why}.",
        hint="Restore another copy or another backup: lifeboat list shows them.",
    )


def _hostile(what: str, name: str) -> HostileArchive:
    return HostileArchive(
        f"The tar of files has {what}: {shown(name)[:200]!r}. No backup of Lifeboat has that.",
        hint="Don't restore it; look at who could write to the repository.",
        details={"member": shown(name)[:1000]},
    )
