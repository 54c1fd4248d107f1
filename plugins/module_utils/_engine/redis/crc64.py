# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRC-64/REDIS of a stream, in Python alone and still at some hundred megabytes a second.

The libraries at hand don't know this checksum (polynomial ad93d23594c935a9, reflected, start 0, no final exclusive or;
123456789 gives e9c6d914c4b8d9ca), and one table look-up a byte does 10 MB/s. So the stream is first made shorter
without changing its remainder: over GF(2) the generator divides

    M(x) = x^1839 + x^1769 + x^1543 + x^1539 + x^1321 + x^1086 + x^787 + x^369 + 1

(found by a birthday search over pairs of powers of x; the test divides it again). Squaring a polynomial over GF(2)
only doubles its exponents, so the generator also divides M(x^B) for every power of two B: a block of B bits may be
dropped when it is added, by exclusive or, to the blocks 70, 296, ... 1839 places later. Long integers do that for a
kilobyte at a time. What is left in the end, 1839 blocks, is folded again in smaller blocks and then goes through
the table.
"""

from __future__ import annotations

# 1839 minus each exponent of M.
SHIFTS = (70, 296, 300, 518, 753, 1052, 1470, 1839)
SPAN = SHIFTS[-1]
_REFLECTED_GENERATOR = 0x95AC9329AC4BC9B5

# Sizes in bytes; powers of two, see above. A batch bounds how many blocks lie in memory at a time.
_BLOCK = 1024
_BATCH = 512 * 1024
_SMALLER_BLOCKS = (128, 16)


def _make_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _bit in range(8):
            value = value >> 1 ^ (_REFLECTED_GENERATOR if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _make_table()


class RunningCrc64:
    """The checksum of everything fed so far; some 3 MB of memory, however long the stream is."""

    def __init__(self) -> None:
        self._blocks: list[int] = []  # the last SPAN blocks, with all that came before added to them
        self._rest = bytearray()  # not yet in blocks

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        self._rest += data
        if len(self._rest) >= _BATCH:
            whole = len(self._rest) // _BLOCK * _BLOCK
            for start in range(0, whole, _BATCH):
                self._blocks = _fold(self._blocks, bytes(self._rest[start : min(start + _BATCH, whole)]), size=_BLOCK)
            del self._rest[:whole]

    def value(self) -> int:
        """The checksum; more bytes may follow."""
        data = b"".join(block.to_bytes(_BLOCK, "little") for block in self._blocks) + bytes(self._rest)
        for size in _SMALLER_BLOCKS:
            if len(data) > SPAN * size:
                # Zeros in front don't change a checksum that starts at 0.
                padded = bytes(-len(data) % size) + data
                data = b"".join(block.to_bytes(size, "little") for block in _fold([], padded, size=size))
        value = 0
        for byte in data:
            value = _TABLE[(value ^ byte) & 0xFF] ^ value >> 8
        return value

    def copy(self) -> RunningCrc64:
        """Another one in the same state."""
        other = RunningCrc64()
        other._blocks = list(self._blocks)
        other._rest = bytearray(self._rest)
        return other


def crc64(data: bytes) -> int:
    """The checksum of *data*."""
    running = RunningCrc64()
    running.update(data)
    return running.value()


def _fold(before: list[int], data: bytes, *, size: int) -> list[int]:
    """The last SPAN blocks of *before* and *data*, with all earlier blocks added to them; *data* is whole blocks."""
    read = int.from_bytes
    blocks = before + [read(data[start : start + size], "little") for start in range(0, len(data), size)]
    a, b, c, d, e, f, g, h = SHIFTS
    for index in range(len(blocks) - SPAN):
        block = blocks[index]
        if block:
            blocks[index + a] ^= block
            blocks[index + b] ^= block
            blocks[index + c] ^= block
            blocks[index + d] ^= block
            blocks[index + e] ^= block
            blocks[index + f] ^= block
            blocks[index + g] ^= block
            blocks[index + h] ^= block
    return blocks[-SPAN:]
