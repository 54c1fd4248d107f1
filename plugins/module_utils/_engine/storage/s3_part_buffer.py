# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory in which one part of an object is kept until it is stored."""

from __future__ import annotations

import io
import mmap


class PartBuffer:
    """A file object of at most *capacity* bytes, as botocore takes it for a request's body.

    Its memory comes from the kernel and goes back to it with close(). A growing BytesIO is copied as it grows, and what
    it leaves stays with the process: with parts of 8 MiB, four on their way, that came to twice their size.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._memory = mmap.mmap(-1, capacity)
        self._length = 0
        self._position = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more goes in."""
        return self._length == self._capacity

    def append(self, data: memoryview) -> int:
        """Take as much of *data* (bytes) as there is room for; how much that was."""
        count = min(len(data), self._capacity - self._length)
        self._memory[self._length : self._length + count] = data[:count]
        self._length += count
        return count

    def __len__(self) -> int:
        return self._length

    def tell(self) -> int:
        """Where the next read() begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to *offset* bytes from the beginning, the position or the end."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, at most *size* of them when that is given and not negative."""
        end = self._length if size is None or size < 0 else min(self._length, self._position + size)
        found = self._memory[self._position : end]
        self._position += len(found)
        return found

    def close(self) -> None:
        """Give the memory back; may be called more than once."""
        self._memory.close()
