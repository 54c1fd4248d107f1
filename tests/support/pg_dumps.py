# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of a dump by pg_dump in the custom format, byte by byte: for tests that need one without a server."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

INTEGER_SIZE, OFFSET_SIZE = 4, 8


@dataclass(frozen=True)
class Entry:
    """One object, as pg_dump writes it."""

    id: int
    kind: str
    name: str
    schema: str = ""
    needs: tuple[int, ...] = ()
    has_data: bool = False


def dump_head(entries: t.Sequence[Entry], *, minor: int = 15, database: str = "shop") -> bytes:
    """What read_toc() reads of a dump of archive version 1.14, 1.15 or 1.16."""
    head = b"PGDMP" + bytes((1, minor, 0, INTEGER_SIZE, OFFSET_SIZE, 1))
    head += b"\1" if minor >= 15 else integer(-1)
    head += b"".join(integer(part) for part in (7, 30, 2, 21, 10, 126, 0))
    head += text(database) + text("15.10") + text("15.10")
    return head + integer(len(entries)) + b"".join(_entry(one, minor=minor) for one in entries)


def integer(number: int) -> bytes:
    """A sign and four bytes."""
    return bytes((number < 0,)) + abs(number).to_bytes(INTEGER_SIZE, "little")


def text(value: str | None) -> bytes:
    """A length and as many bytes; -1 where there is none."""
    if value is None:
        return integer(-1)
    data = value.encode("utf-8")
    return integer(len(data)) + data


def _entry(one: Entry, *, minor: int) -> bytes:
    parts = [integer(one.id), integer(one.has_data), text("1259"), text(str(16000 + one.id))]
    parts += [text(one.name), text(one.kind), integer(2), text(f"CREATE {one.kind} {one.name};\n")]
    parts += [text(f"DROP {one.kind} {one.name};\n"), text(None), text(one.schema), text(""), text("heap")]
    if minor >= 16:
        parts.append(integer(ord("r")))
    parts += [text("owner"), text("false"), *(text(str(needed)) for needed in one.needs), text(None)]
    parts.append(b"\1" + bytes(OFFSET_SIZE))
    return b"".join(parts)
