# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A part's buffer is the file object that botocore expects, and its memory goes back to the kernel."""

from __future__ import annotations

import io
import mmap
import os
import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3_part_buffer import PartBuffer

MIB = 1024**2


def test_it_takes_what_fits_and_says_how_much() -> None:
    buffer = PartBuffer(10)
    assert buffer.append(memoryview(b"abcdef")) == 6
    assert not buffer.is_full
    assert buffer.append(memoryview(b"ghijkl")) == 4
    assert buffer.is_full
    assert buffer.append(memoryview(b"m")) == 0
    assert (len(buffer), buffer.read()) == (10, b"abcdefghij")
    buffer.close()
    buffer.close()


def test_reading_ends_with_what_was_put_in_and_not_with_the_memory() -> None:
    buffer, plain = PartBuffer(2 * mmap.PAGESIZE), io.BytesIO(b"0123456789")
    buffer.append(memoryview(b"0123456789"))
    for step in ("read 3", "read 0", "tell", "read 99", "read 1", "seek 4 0", "read -1", "seek -3 2", "read 2"):
        name, *numbers = step.split()
        arguments = [int(number) for number in numbers]
        assert getattr(buffer, name)(*arguments) == getattr(plain, name)(*arguments), step
    assert (buffer.seek(-99, io.SEEK_CUR), buffer.seek(0, io.SEEK_END), buffer.read(None)) == (0, 10, b"")


def test_closing_gives_the_memory_back() -> None:
    def resident() -> int:
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    before = resident()
    buffers = [PartBuffer(8 * MIB) for _number in range(8)]
    for buffer in buffers:
        buffer.append(memoryview(bytes(8 * MIB)))
    assert resident() - before > 60 * MIB
    for buffer in buffers:
        buffer.close()
    assert resident() - before < 12 * MIB  # what this test took itself
    with pytest.raises(ValueError, match="closed"):
        buffers[0].read()
