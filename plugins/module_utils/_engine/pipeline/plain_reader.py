# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain bytes of a payload for consumers in Python: counted, and stopped where they never end."""

from __future__ import annotations

import io
import os
import typing as t

from ..core.errors import PayloadTooLarge
from ..core.progress import Progress
from .processes import CHUNK


class PlainReader(io.RawIOBase):
    """The reading end of the last pipe. Raises PayloadTooLarge behind *limit* bytes."""

    def __init__(self, descriptor: int, *, limit: int | None, name: str, progress: Progress) -> None:
        super().__init__()
        self.count = 0
        self.ended = False
        self.is_too_long = False
        self._descriptor = descriptor
        self._limit = limit
        self._name = name
        self._progress = progress

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        count = os.readv(self._descriptor, [buffer])
        self.count += count
        self.ended = self.ended or count == 0
        self._progress.add(done=count)
        if self._limit is not None and self.count > self._limit:
            self.is_too_long = True
            raise too_large(self._name, self._limit)
        return count


def drain(reader: PlainReader) -> None:
    """Read what the consumer left."""
    buffer = bytearray(CHUNK)
    while reader.readinto(buffer):
        pass


def too_large(name: str, limit: int) -> PayloadTooLarge:
    """For a decompression bomb."""
    return PayloadTooLarge(
        f"{name} gives more than the {limit} plain bytes that its manifest says; it was stopped there.",
        hint="Don't restore it; look at who could write to the repository.",
        details={"payload": name, "limit": limit},
    )
