# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tar of a directory dump on its way back: only files that pg_dump writes, nothing outside of its folder."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import typing as t

from ..core.errors import HostileArchive, PostgresDumpInvalid
from .dump_toc import DumpToc, read_toc

TOP = "dump"
_TOC = f"{TOP}/toc.dat"
_FILE = re.compile(rf"{TOP}/(?:toc\.dat|blobs(?:_\d+)?\.toc|(?:blob_)?\d+\.dat(?:\.gz|\.lz4|\.zst)?)", re.ASCII)
_COPY_CHUNK = 1024 * 1024


def unpack_dump(file: t.BinaryIO, folder: str) -> None:
    """Unpack the stream into *folder*/dump. Raises HostileArchive before it writes anything that is not pg_dump's."""
    os.mkdir(os.path.join(folder, TOP), 0o700)
    for name, content in members(file):
        with open(os.path.join(folder, name), "xb") as target:
            shutil.copyfileobj(content, target, _COPY_CHUNK)


def find_toc(file: t.BinaryIO) -> DumpToc:
    """The table of contents in the stream, which is read no further. Raises PostgresDumpInvalid without one."""
    for name, content in members(file):
        if name == _TOC:
            return read_toc(content)
    raise PostgresDumpInvalid(
        "The payload is a tar without toc.dat, so it is no dump of pg_dump's directory format.",
        hint="Restore another backup: lifeboat list shows them.",
    )


def members(file: t.BinaryIO) -> t.Iterator[tuple[str, t.BinaryIO]]:
    """Name and content of every file, in order. Raises HostileArchive and PostgresDumpInvalid."""
    seen: set[str] = set()
    try:
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for member in archive:
                if member.isdir() and member.name == TOP:
                    continue
                if not member.isreg() or not _FILE.fullmatch(member.name) or member.name in seen:
                    raise HostileArchive(
                        f"The payload has a member {member.name!r} that pg_dump never writes; nothing of it was "
                        "unpacked outside of its folder.",
                        hint="Don't restore it; look at who could write to the repository.",
                        details={"member": member.name},
                    )
                seen.add(member.name)
                content = archive.extractfile(member)
                if content is None:
                    raise PostgresDumpInvalid(
                        f"The payload's member {member.name} has no content.",
                        hint="Restore another backup: lifeboat list shows them.",
                    )
                yield member.name, t.cast("t.BinaryIO", content)
    except (tarfile.TarError, EOFError, UnicodeError) as error:
        raise PostgresDumpInvalid(
            f"The payload is no whole tar of a dump: {error}.",
            hint="Restore the copy in another repository, or another backup: lifeboat list shows them.",
        ) from error
