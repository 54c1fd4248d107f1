# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fast checksum is the slow one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.crc64 import (
    SHIFTS,
    SPAN,
    RunningCrc64,
    crc64,
)
from tests.unit.redis.made_files import bitwise_crc64

GENERATOR = 1 << 64 | 0xAD93D23594C935A9


def test_the_catalogue_value() -> None:
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    assert crc64(b"") == 0


def test_the_generator_divides_the_polynomial_of_nine_terms() -> None:
    polynomial = sum(1 << (SPAN - shift) for shift in SHIFTS) | 1 << SPAN
    assert bin(polynomial).count("1") == 9
    while polynomial.bit_length() >= GENERATOR.bit_length():
        polynomial ^= GENERATOR << (polynomial.bit_length() - GENERATOR.bit_length())
    assert polynomial == 0


# Around every size at which another level begins: 16 and 128 byte blocks, the batch.
@pytest.mark.parametrize("size", [1, 63, SPAN * 16 - 1, SPAN * 16 + 1, SPAN * 128 + 7, 512 * 1024, 512 * 1024 + 1])
def test_equal_to_the_definition(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert crc64(data) == bitwise_crc64(data)


def test_more_than_all_blocks_in_any_pieces() -> None:
    source = random.Random(7)
    data = source.randbytes(SPAN * 1024 + 700_001)
    running = RunningCrc64()
    offset = 0
    while offset < len(data):
        size = source.choice((1, 17, 1000, 300_000))
        running.update(memoryview(data)[offset : offset + size])
        offset += size
    assert running.value() == bitwise_crc64(data)
    assert running.value() == bitwise_crc64(data), "asking must not change the state"


def test_a_copy_goes_its_own_way() -> None:
    first = RunningCrc64()
    first.update(b"12345")
    second = first.copy()
    second.update(b"6789")
    assert second.value() == crc64(b"123456789")
    assert first.value() == crc64(b"12345")


@given(strategies.binary(max_size=300), strategies.integers(0, 299), strategies.integers(0, 7))
@settings(max_examples=200)
def test_every_flipped_bit_shows(data: bytes, byte: int, bit: int) -> None:
    if byte < len(data):
        changed = bytearray(data)
        changed[byte] ^= 1 << bit
        assert crc64(bytes(changed)) != crc64(data)
