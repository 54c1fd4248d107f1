# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every storage promises to those who read from it: one test a promise of ``storage/base.py``.

A subclass gives the fixture ``storage``, and ``seed`` where objects don't get in through the storage itself.
"""

from __future__ import annotations

import datetime
import functools
import random
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageError,
    StorageKeyInvalid,
    StorageNotFound,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import (
    ObjectInfo,
    Storage,
    Unfinished,
)

MIB = 1024 * 1024
Seed = t.Callable[[str, bytes], object]

BAD_KEYS = [
    "",
    "/",
    "/etc/passwd",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../../b",
    "a/./b",
    "a/..",
    "a b",
    "a\\b",
    "a\nb",
    "a\0b",
    "ä",
    "a*",
    "x" * 256,
    "a/.lifeboat-tmp-1-b",
]
BAD_PREFIXES = ["/", "/a", "../", "a/../", "a/../b", "a//", "a//b", "a b", "a\0"]


@functools.lru_cache(maxsize=4)
def noise(size: int, *, seed: int = 1) -> bytes:
    """Bytes that don't repeat, the same ones every time."""
    return random.Random(seed).getrandbits(8 * size).to_bytes(size, "little") if size else b""


def keys_of(found: t.Iterable[ObjectInfo]) -> list[str]:
    return [info.key for info in found]


class ReadingSuite:
    """Every test gets an empty storage."""

    #: Whether keys are listed byte by byte (else part by part).
    byte_order = True
    #: Whether times come from the wall clock, so that they can be compared with it.
    real_clock = True

    @pytest.fixture
    def storage(self) -> Storage:
        raise NotImplementedError

    @pytest.fixture
    def seed(self, storage: Storage) -> Seed:
        return storage.put

    def in_order(self, keys: t.Iterable[str]) -> list[str]:
        return sorted(keys) if self.byte_order else sorted(keys, key=lambda key: key.split("/"))

    # --- one object ------------------------------------------------------------------------------------------------

    def test_an_object_is_read_as_it_was_stored(self, storage: Storage, seed: Seed) -> None:
        data = noise(70_000)
        seed("family/main/full/one/dump.archive.zst", data)
        assert storage.get("family/main/full/one/dump.archive.zst") == data
        assert b"".join(storage.read("family/main/full/one/dump.archive.zst")) == data

    def test_stat_tells_size_and_time(self, storage: Storage, seed: Seed) -> None:
        before = datetime.datetime.now(tz=datetime.timezone.utc)
        seed("a/b", b"12345")
        info = storage.stat("a/b")
        assert (info.key, info.size) == ("a/b", 5)
        assert info.modified.utcoffset() == datetime.timedelta(0)
        if self.real_clock:
            # S3 keeps whole seconds.
            assert abs(info.modified - before) < datetime.timedelta(seconds=30)

    def test_an_empty_object_is_an_object(self, storage: Storage, seed: Seed) -> None:
        seed("empty", b"")
        assert storage.stat("empty").size == 0
        assert storage.get("empty") == b""
        assert b"".join(storage.read("empty")) == b""
        assert list(storage.read("empty", offset=1)) == []
        assert keys_of(storage.list()) == ["empty"]

    @pytest.mark.parametrize(
        ("offset", "length"),
        [
            (0, None),
            (0, 1),
            (1, 1),
            (0, 100),
            (99, 1),
            (99, None),
            (50, 1000),
            (7, 0),
            (100, None),
            (101, 5),
            (10**12, None),
        ],
    )
    def test_a_range_is_that_part_and_nothing_else(
        self, storage: Storage, seed: Seed, offset: int, length: int | None
    ) -> None:
        data = bytes(range(100))
        seed("a", data)
        expected = data[offset:] if length is None else data[offset : offset + length]
        assert b"".join(storage.read("a", offset=offset, length=length)) == expected

    def test_pieces_are_neither_empty_nor_larger_than_8_mib(self, storage: Storage, seed: Seed) -> None:
        data = noise(9 * MIB)
        seed("a", data)
        pieces = list(storage.read("a"))
        assert b"".join(pieces) == data
        assert all(0 < len(piece) <= 8 * MIB for piece in pieces)

    def test_a_read_can_be_left_at_any_moment(self, storage: Storage, seed: Seed) -> None:
        seed("a", noise(3 * MIB))
        storage.read("a")
        next(storage.read("a"))
        assert len(b"".join(storage.read("a"))) == 3 * MIB

    @pytest.mark.parametrize("key", ["missing", "a/missing", "a", "missing/b", "a/b/c"])
    def test_what_is_not_there_is_not_found_at_once(self, storage: Storage, seed: Seed, key: str) -> None:
        seed("a/b", b"x")
        with pytest.raises(StorageNotFound):
            storage.stat(key)
        with pytest.raises(StorageNotFound):
            storage.get(key)
        with pytest.raises(StorageNotFound):
            storage.read(key)  # not even asked for the first piece
        with pytest.raises(StorageNotFound):
            storage.read(key, offset=3, length=4)
        with pytest.raises(StorageNotFound):
            storage.read(key, length=0)

    def test_get_refuses_what_is_larger_than_its_limit(self, storage: Storage, seed: Seed) -> None:
        seed("a", b"x" * 1000)
        assert len(storage.get("a", limit=1000)) == 1000
        with pytest.raises(StorageError, match="999"):
            storage.get("a", limit=999)

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_no_name_leads_out_of_the_repository(self, storage: Storage, key: str) -> None:
        for call in (storage.stat, storage.get, storage.read, storage.writer):
            with pytest.raises(StorageKeyInvalid):
                call(key)
        with pytest.raises(StorageKeyInvalid):
            storage.put(key, b"x")
        with pytest.raises(StorageKeyInvalid):
            storage.delete(["fine", key])
        with pytest.raises(StorageKeyInvalid):
            storage.abort_unfinished(
                Unfinished(key=key, token=key, started=datetime.datetime.now(tz=datetime.timezone.utc))
            )

    @pytest.mark.parametrize("prefix", BAD_PREFIXES)
    def test_no_prefix_leads_out_of_the_repository(self, storage: Storage, prefix: str) -> None:
        for call in (storage.list, storage.list_folders, storage.unfinished):
            with pytest.raises(StorageKeyInvalid):
                list(call(prefix))

    # --- lists -----------------------------------------------------------------------------------------------------

    TREE = (
        "a-b",
        "a.b",
        "a/b",
        "a/b-c",
        "a/b.d",
        "a/bc",
        "a/c/d/e",
        "a/c-d/e",
        "a/c0/e",
        "a0",
        "ab",
        "Z",
        "+x",
        "@x",
        "_",
    )

    def test_a_list_is_complete_and_in_order(self, storage: Storage, seed: Seed) -> None:
        for key in self.TREE:
            seed(key, key.encode())
        found = list(storage.list())
        assert keys_of(found) == self.in_order(self.TREE)
        assert {info.key: info.size for info in found} == {key: len(key) for key in self.TREE}
        assert all(info.modified.utcoffset() == datetime.timedelta(0) for info in found)

    @pytest.mark.parametrize(
        "prefix", ["a", "a/", "a/b", "a/b-", "a/c", "a/c/", "a/c/d", "a/c/d/e", "a/c/d/e/", "A", "zz/", ""]
    )
    def test_a_prefix_is_the_beginning_of_a_key_and_no_folder(self, storage: Storage, seed: Seed, prefix: str) -> None:
        for key in self.TREE:
            seed(key, b"")
        expected = self.in_order(key for key in self.TREE if key.startswith(prefix))
        assert keys_of(storage.list(prefix)) == expected

    def test_nothing_is_listed_where_nothing_was_stored(self, storage: Storage) -> None:
        assert list(storage.list()) == []
        assert list(storage.list("a/b")) == []
        assert list(storage.list_folders()) == []
        assert list(storage.list_folders("a/")) == []
        assert list(storage.unfinished()) == []

    def test_folders_are_those_directly_below_that_hold_objects(self, storage: Storage, seed: Seed) -> None:
        for key in self.TREE:
            seed(key, b"")
        assert list(storage.list_folders()) == ["a"]
        assert list(storage.list_folders("a/")) == ["c", "c-d", "c0"]
        assert list(storage.list_folders("a/c/")) == ["d"]
        assert list(storage.list_folders("a/c/d/")) == []
        assert list(storage.list_folders("missing/")) == []

    def test_a_folder_is_named_with_a_slash_at_its_end(self, storage: Storage) -> None:
        with pytest.raises(StorageKeyInvalid):
            list(storage.list_folders("a"))

    def test_it_says_what_it_is(self, storage: Storage) -> None:
        assert storage.properties.kind in {"file", "s3", "memory"}
        assert storage.properties.url
        free = storage.free_bytes()
        assert free is None or free > 0
