# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad tars made of good ones: base backups and append-only files."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import typing as t

ChangeFile = t.Callable[[str, bytes], "bytes | None"]
# A table of the catalog that is in every cluster: pg_attribute.
_TABLE = "1249"


def with_files(data: bytes, *, change: ChangeFile) -> bytes:
    """The tar with each file as *change* gives it back, left out where that is None."""
    target = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as source,
        tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as out,
    ):
        for member in source:
            file = source.extractfile(member) if member.isfile() else None
            if file is None:
                out.addfile(member)
                continue
            content = change(member.name, file.read())
            if content is not None:
                member.size = len(content)
                out.addfile(member, io.BytesIO(content))
    return target.getvalue()


def with_member(data: bytes, **facts: t.Any) -> bytes:
    """The tar with one member before all others."""
    member = tarfile.TarInfo()
    for name, value in facts.items():
        setattr(member, name, value)
    body = b"x" * member.size
    padding = bytes(-len(body) % 512)
    return member.tobuf(tarfile.USTAR_FORMAT) + body + padding + data


def in_first_file(data: bytes, *, change: t.Callable[[bytes], bytes]) -> bytes:
    """The tar with its first file altered."""
    done: list[str] = []

    def alter(name: str, content: bytes) -> bytes:
        if done:
            return content
        done.append(name)
        return change(content)

    return with_files(data, change=alter)


def _is_table(name: str) -> bool:
    return name.startswith("base/") and name.endswith(f"/{_TABLE}")


def flipped_table(name: str, content: bytes) -> bytes:
    """One bit of a table."""
    return content[:9000] + bytes([content[9000] ^ 1]) + content[9001:] if _is_table(name) else content


def zeroed_page(name: str, content: bytes) -> bytes:
    """A page of a table becomes empty: the server reads it as no rows, and says nothing."""
    return content[:8192] + bytes(8192) + content[16384:] if _is_table(name) else content


def without_table(name: str, content: bytes) -> bytes | None:
    """A table's file is missing."""
    return None if _is_table(name) else content


def without_wal(name: str, content: bytes) -> bytes | None:
    """The WAL without which the backup is of no use is missing."""
    return None if name.startswith("pg_wal/0") else content


def wal_not_replayable(name: str, content: bytes) -> bytes:
    """The pages of the WAL look right, and the server does not reach the end of the backup."""
    return content[:48] + bytes(80) + content[128:] if name.startswith("pg_wal/0") else content


def page_flipped(content: bytes) -> bytes:
    """One bit in a page of a table."""
    return content[:8000] + bytes([content[8000] ^ 1]) + content[8001:]


def sealed_inside(data: bytes, *, path: str, change: t.Callable[[bytes], bytes]) -> bytes:
    """One file of a base backup changed; its line in backup_manifest and that one's own checksum made to agree."""
    import anycrc

    sums: dict[str, str] = {}

    def crc(content: bytes) -> str:
        return str(anycrc.Model("CRC32C").calc(content).to_bytes(4, sys.byteorder).hex())

    def apply(name: str, content: bytes) -> bytes:
        if name == path:
            before, content = crc(content), change(content)
            sums[before] = crc(content)
        if name == "backup_manifest":
            lines = content.split(b"\n")
            for number, line in enumerate(lines):
                if f'"Path": "{path}"'.encode() in line:
                    for before, after in sums.items():
                        lines[number] = line.replace(before.encode(), after.encode())
            body = b"\n".join(lines[:-2]) + b"\n"
            content = body + f'"Manifest-Checksum": "{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
        return content

    return with_files(data, change=apply)
