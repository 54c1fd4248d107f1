# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RDBs and append-only files made by hand, for what no server writes."""

from __future__ import annotations

import typing as t

_REFLECTED = 0x95AC9329AC4BC9B5


def bitwise_crc64(data: bytes) -> int:
    """CRC-64/REDIS by its definition, one bit at a time: slow, and shares nothing with what is tested."""
    value = 0
    for byte in data:
        value ^= byte
        for _bit in range(8):
            value = value >> 1 ^ (_REFLECTED if value & 1 else 0)
    return value


def rdb_string(text: str | bytes) -> bytes:
    data = text if isinstance(text, bytes) else text.encode()
    if len(data) < 64:
        return bytes([len(data)]) + data
    return b"\x80" + len(data).to_bytes(4, "big") + data


def make_rdb(
    *,
    magic: bytes = b"REDIS0010",
    auxiliary: t.Mapping[str, str] | None = None,
    keys: t.Mapping[str, bytes] | None = None,
    expires: int = 0,
    checksum: bool = True,
) -> bytes:
    """A whole RDB with string keys in database 0; ``checksum`` off is what ``rdbchecksum no`` writes."""
    fields = auxiliary if auxiliary is not None else {"redis-ver": "7.0.15", "ctime": "1795252516"}
    body = magic + b"".join(b"\xfa" + rdb_string(key) + rdb_string(value) for key, value in fields.items())
    if keys:
        body += b"\xfe\x00\xfb" + bytes([len(keys), expires])
        body += b"".join(b"\x00" + rdb_string(key) + rdb_string(value) for key, value in keys.items())
    body += b"\xff"
    return body + (bitwise_crc64(body) if checksum else 0).to_bytes(8, "little")


def command(*words: str | bytes) -> bytes:
    """One command as an append-only file holds it."""
    parts = [word if isinstance(word, bytes) else word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def pieces(data: bytes, cuts: t.Sequence[int]) -> t.Iterator[bytes]:
    """*data* in pieces of the sizes *cuts*, over and over."""
    offset, turn = 0, 0
    while offset < len(data):
        size = cuts[turn % len(cuts)]
        yield data[offset : offset + size]
        offset += size
        turn += 1
