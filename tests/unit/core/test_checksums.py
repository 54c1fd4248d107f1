# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The library computes what the formats mean, in pieces of any size."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given, settings, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.checksums import (
    CRC64_REDIS,
    CRC64_XZ,
    crc_function,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LibraryMissing
from tests.unit.redis.made_files import bitwise_crc64


def test_the_catalogue_values() -> None:
    assert crc_function(CRC64_REDIS)(b"123456789", 0) == 0xE9C6D914C4B8D9CA
    assert crc_function(CRC64_XZ)(b"123456789", 0) == 0x995DC9BBDF1939FA


@pytest.mark.parametrize("model", [CRC64_REDIS, CRC64_XZ])
def test_nothing_has_the_checksum_zero(model: str) -> None:
    assert crc_function(model)(b"", 0) == 0


@pytest.mark.parametrize("size", [1, 63, 4096, 100_001])
def test_equal_to_the_definition(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert crc_function(CRC64_REDIS)(data, 0) == bitwise_crc64(data)


@given(strategies.lists(strategies.binary(max_size=200), max_size=8), strategies.sampled_from([CRC64_REDIS, CRC64_XZ]))
@settings(max_examples=100)
def test_pieces_of_any_size_and_kind_give_the_checksum_of_the_whole(pieces: list[bytes], model: str) -> None:
    calculate = crc_function(model)
    running = 0
    for number, piece in enumerate(pieces):
        running = calculate((bytes, bytearray, memoryview)[number % 3](piece), running)
    assert running == calculate(b"".join(pieces), 0)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anycrc", None)
    with pytest.raises(LibraryMissing, match="anycrc") as raised:
        crc_function(CRC64_XZ)
    assert "pip install anycrc" in raised.value.hint
