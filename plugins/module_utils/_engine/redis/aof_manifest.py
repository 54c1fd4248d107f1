# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of an append-only file set (Redis 7.0 and later): which files, in which order.

Source: aof.c of Redis. Each line is pairs of key and value, ``file NAME seq N type b|i|h``; b is the base, i an
increment, h history that waits to be deleted; later versions add pairs (startoffset, endoffset). A name with unusual
characters stands in quotes with escapes, as CONFIG REWRITE writes it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import AofInvalid

_KINDS = {"b": "base", "i": "increment", "h": "history"}
_ESCAPES = {"n": 0x0A, "r": 0x0D, "t": 0x09, "b": 0x08, "a": 0x07}
_SPACE = b" \t"


@dataclass(frozen=True)
class ManifestEntry:
    """One file of the set. *name* is a plain file name; bytes that are not UTF-8 are surrogate escapes."""

    name: str
    sequence: int
    kind: str  # base, increment or history


def parse_manifest(data: bytes) -> tuple[ManifestEntry, ...]:
    """The entries in order. Raises AofInvalid for anything that a server would refuse too."""
    entries = [
        _entry(line, number=number)
        for number, line in enumerate(data.split(b"\n"), start=1)
        if line.strip() and not line.startswith(b"#")
    ]
    _check_order(entries)
    return tuple(entries)


def _entry(line: bytes, *, number: int) -> ManifestEntry:
    words = split_words(line)
    if words is None or len(words) % 2:
        raise _invalid(number, "it is not pairs of a key and a value")
    pairs = dict(zip(words[::2], words[1::2]))
    name = pairs.get(b"file", b"").decode("utf-8", "surrogateescape")
    kind = _KINDS.get(pairs.get(b"type", b"").decode("ascii", "replace"))
    sequence = pairs.get(b"seq", b"")
    if not name or kind is None or not sequence.isdigit():
        raise _invalid(number, "it names no file, sequence or type")
    if "/" in name or name in (".", "..") or "\0" in name:
        raise _invalid(number, f"{name!r} is not a plain file name")
    return ManifestEntry(name=name, sequence=int(sequence), kind=kind)


def _check_order(entries: t.Sequence[ManifestEntry]) -> None:
    if sum(entry.kind == "base" for entry in entries) > 1:
        raise AofInvalid("The manifest of the append-only files names two bases.")
    sequences = [entry.sequence for entry in entries if entry.kind == "increment"]
    if sequences != sorted(set(sequences)):
        raise AofInvalid("The increments in the manifest of the append-only files are out of order.")
    if not any(entry.kind != "history" for entry in entries):
        raise AofInvalid("The manifest of the append-only files names no file that is in use.")


def split_words(line: bytes) -> list[bytes] | None:
    """The words of a line: plain, "quoted with escapes" or 'quoted', with space between. None for an open quote."""
    words: list[bytes] = []
    offset = 0
    line = line.rstrip(b"\r")
    while True:
        while offset < len(line) and line[offset : offset + 1] in (b" ", b"\t"):
            offset += 1
        if offset == len(line):
            return words
        quote = line[offset : offset + 1]
        parsed = _quoted(line, offset) if quote in (b'"', b"'") else _plain(line, offset)
        if parsed is None:
            return None
        word, offset = parsed
        words.append(word)


def _plain(line: bytes, offset: int) -> tuple[bytes, int]:
    end = offset
    while end < len(line) and line[end] not in _SPACE:
        end += 1
    return line[offset:end], end


def _quoted(line: bytes, offset: int) -> tuple[bytes, int] | None:
    quote = line[offset]
    word = bytearray()
    offset += 1
    while offset < len(line):
        byte = line[offset]
        if byte == quote:
            # A closing quote ends the word, so space or nothing has to follow.
            after = line[offset + 1 : offset + 2]
            return (bytes(word), offset + 1) if after in (b"", b" ", b"\t") else None
        if byte == 0x5C and offset + 1 < len(line):
            value, length = _escape(line, offset, double=quote == 0x22)
            word += value
            offset += length
        else:
            word.append(byte)
            offset += 1
    return None


def _escape(line: bytes, offset: int, *, double: bool) -> tuple[bytes, int]:
    following = line[offset + 1 : offset + 2]
    if not double:
        return (b"'", 2) if following == b"'" else (b"\\", 1)
    digits = line[offset + 2 : offset + 4]
    if following == b"x" and len(digits) == 2 and all(digit in b"0123456789abcdefABCDEF" for digit in digits):
        return bytes([int(digits, 16)]), 4
    code = _ESCAPES.get(following.decode("latin-1"))
    return (bytes([code]) if code is not None else following), 2


def _invalid(number: int, why: str) -> AofInvalid:
    return AofInvalid(
        f"Line {number} of the manifest of the append-only files is wrong: {why}.",
        hint="Run on the server's host: redis-check-aof <appenddirname>/<appendfilename>.manifest",
        details={"line": number},
    )


def quoted_name(name: str) -> bytes:
    """A file name as it stands in a manifest: in quotes with escapes where it needs them."""
    data = name.encode("utf-8", "surrogateescape")
    if data and all(0x21 <= byte <= 0x7E and byte not in b"\"'\\#" for byte in data):
        return data
    escaped = b"".join(
        bytes([byte]) if 0x20 <= byte <= 0x7E and byte not in b'"\\' else b"\\x%02x" % byte for byte in data
    )
    return b'"' + escaped + b'"'
