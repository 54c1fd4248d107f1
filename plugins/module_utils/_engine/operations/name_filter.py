# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of millions of names were never seen, in 16 MiB of memory: a Bloom filter.

What it calls unseen was not seen. Of what was not seen it calls a few seen: one in a hundred thousand when a million
were seen, one in a hundred with ten millions; others each time when *salt* differs.
"""

from __future__ import annotations

import hashlib
import struct
import typing as t

_BITS = 27
_PLACES = struct.Struct("<3I")


class NameFilter:
    """Takes names, and tells those that it never took. The same names and *salt* give the same answers."""

    def __init__(self, *, salt: str, bits: int = _BITS) -> None:
        self._salt = hashlib.blake2b(salt.encode("utf-8"), digest_size=16).digest()
        # As many pages of it take memory as names fall into.
        self._bits = bytearray(1 << (bits - 3))
        self._last = (1 << bits) - 1

    def add(self, names: t.Iterable[str]) -> None:
        """Note names."""
        bits, last = self._bits, self._last
        for places in self._places(names):
            for place in places:
                place &= last  # noqa: PLW2901 - a million of them
                bits[place >> 3] |= 1 << (place & 7)

    def unseen(self, names: t.Sequence[str]) -> list[str]:
        """Those of *names* that were certainly never added, in order."""
        bits, last = self._bits, self._last
        return [
            name
            for name, places in zip(names, self._places(names))
            if not all(bits[(place & last) >> 3] >> (place & 7) & 1 for place in places)
        ]

    def _places(self, names: t.Iterable[str]) -> t.Iterator[tuple[int, ...]]:
        unpack, blake2b, salt, size = _PLACES.unpack, hashlib.blake2b, self._salt, _PLACES.size
        return (unpack(blake2b(name.encode("utf-8"), digest_size=size, salt=salt).digest()) for name in names)
