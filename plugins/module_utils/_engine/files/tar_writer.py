# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing POSIX tar (pax): headers by Python's tarfile, bodies by whoever reads the files.

Extended attributes are records ``SCHILY.xattr.NAME``, access lists ``SCHILY.acl.access`` and ``SCHILY.acl.default``, as
GNU tar and star have them; files with holes are in the sparse format 1.0 of GNU tar
("Storing Sparse Files" in its manual). The same entry gives the same bytes, always.
"""

from __future__ import annotations

import tarfile
import typing as t

from .entry import BLOCK, CHARACTER, FIFO, FILE, FOLDER, HARD_LINK, LINK, Entry
from .extended import ACCESS, DEFAULT, access_list_text
from .names import text

BLOCK_SIZE = 512
#: The end of every tar: two empty blocks. tar reads records of twenty.
RECORD_SIZE = 20 * BLOCK_SIZE
_TYPES = {
    FILE: tarfile.REGTYPE,
    FOLDER: tarfile.DIRTYPE,
    LINK: tarfile.SYMTYPE,
    HARD_LINK: tarfile.LNKTYPE,
    FIFO: tarfile.FIFOTYPE,
    CHARACTER: tarfile.CHRTYPE,
    BLOCK: tarfile.BLKTYPE,
}
#: The records of access lists, by the name of the attribute that the kernel keeps each in.
ACCESS_LISTS = {ACCESS: "SCHILY.acl.access", DEFAULT: "SCHILY.acl.default"}
_SECOND = 1_000_000_000
Extent = tuple[int, int]  # offset and length of what is no hole


def header(entry: Entry) -> bytes:
    """The header of an entry whose body, if it has one, follows as it is."""
    return _header(entry, name=entry.path, size=entry.size if entry.kind == FILE else 0, records={})


def sparse_header(entry: Entry, extents: t.Sequence[Extent]) -> bytes:
    """The header of a file with holes, and the map that its body begins with; the extents themselves follow."""
    numbers = [len(extents), *(number for extent in extents for number in extent)]
    holes = padded("".join(f"{number}\n" for number in numbers).encode("ascii"))
    folder, slash, name = entry.path.rpartition("/")
    size = len(holes) + sum(length for _offset, length in extents)
    records = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": entry.path,
        "GNU.sparse.realsize": str(entry.size),
    }
    # The number of a process stands there in GNU tar's own; it would make two backups of one file differ.
    return _header(entry, name=f"{folder}{slash}GNUSparseFile.0/{name}", size=size, records=records) + holes


def padded(body: bytes) -> bytes:
    """With zeros up to a whole block."""
    return body + bytes(-len(body) % BLOCK_SIZE)


def ending(written: int) -> bytes:
    """What follows *written* bytes of members."""
    return bytes(2 * BLOCK_SIZE + -(written + 2 * BLOCK_SIZE) % RECORD_SIZE)


def _header(entry: Entry, *, name: str, size: int, records: dict[str, str]) -> bytes:
    info = tarfile.TarInfo(name)
    info.type = _TYPES[entry.kind]
    info.mode, info.uid, info.gid = entry.mode, entry.user, entry.group
    info.uname, info.gname = entry.user_name, entry.group_name
    info.mtime, part = divmod(entry.modified, _SECOND)
    info.size = size
    info.linkname = entry.target
    info.devmajor, info.devminor = entry.device
    if part:
        records["mtime"] = _time(entry.modified)
    for key in sorted(entry.extended):
        value = entry.extended[key]
        listed = access_list_text(value) if key in ACCESS_LISTS else None
        if listed is not None:
            records[ACCESS_LISTS[key]] = listed
        else:
            records[f"SCHILY.xattr.{key}"] = text(value)
    info.pax_headers = records
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _time(nanoseconds: int) -> str:
    seconds, part = divmod(abs(nanoseconds), _SECOND)
    return f"{'-' if nanoseconds < 0 else ''}{seconds}.{part:09d}".rstrip("0")
