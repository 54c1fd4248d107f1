# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every storage promises to those who write to it: one test a promise of ``storage/base.py``."""

from __future__ import annotations

import concurrent.futures
import hashlib
import threading

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageError,
    StorageExists,
    StorageKeyInvalid,
    StorageNotFound,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectWriter, Storage
from tests.conformance.reading_suite import MIB, ReadingSuite, keys_of, noise


class StorageSuite(ReadingSuite):
    """A subclass may change the figures for a storage that is slow or stores large objects in parts."""

    #: More than three parts, the last one smaller.
    big_bytes = 9 * MIB + 12_345
    #: Bytes after which an upload takes space in the storage.
    begun_bytes = 1
    racers = 8
    #: Whether of two large objects that are committed in the same moment only one can win.
    large_is_atomic = True

    def abandon(self, writer: ObjectWriter) -> None:
        """End *writer* as ``kill -9`` would: without a chance to clean up behind itself."""
        raise NotImplementedError

    def is_empty(self, storage: Storage) -> bool:
        return not [*storage.list(), *storage.list_folders(), *storage.unfinished()]

    # --- storing ---------------------------------------------------------------------------------------------------

    def test_nobody_sees_an_object_before_it_is_committed(self, storage: Storage) -> None:
        writer = storage.writer("a/b")
        for _piece in range(3):
            writer.write(noise(self.begun_bytes + 1))
            assert list(storage.list()) == []
            assert list(storage.list_folders()) == []
            with pytest.raises(StorageNotFound):
                storage.get("a/b")
            with pytest.raises(StorageNotFound):
                storage.stat("a/b")
        info = writer.commit()
        assert (info.key, info.size) == ("a/b", 3 * (self.begun_bytes + 1))
        assert storage.stat("a/b").size == info.size
        assert abs((storage.stat("a/b").modified - info.modified).total_seconds()) <= 2
        assert storage.get("a/b") == noise(self.begun_bytes + 1) * 3
        assert list(storage.unfinished()) == []

    def test_put_is_all_in_one(self, storage: Storage) -> None:
        info = storage.put("a/b", b"data")
        assert (info.key, info.size) == ("a/b", 4)
        assert storage.get("a/b") == b"data"
        assert list(storage.unfinished()) == []

    @pytest.mark.parametrize("expected", ["unknown", "right", "too small", "too large"])
    def test_an_object_of_any_size_comes_back_whole(self, storage: Storage, expected: str) -> None:
        data = noise(self.big_bytes)
        hints = {"unknown": None, "right": len(data), "too small": 1, "too large": 40 * len(data)}
        writer = storage.writer("big", expected_bytes=hints[expected])
        for start in range(0, len(data), 777_777):
            writer.write(memoryview(data)[start : start + 777_777])
        assert writer.commit().size == len(data)
        digest = hashlib.sha256()
        for piece in storage.read("big"):
            digest.update(piece)
        assert digest.digest() == hashlib.sha256(data).digest()
        middle = self.big_bytes // 2
        assert b"".join(storage.read("big", offset=middle, length=5 * MIB)) == data[middle : middle + 5 * MIB]

    def test_a_buffer_may_be_used_again_once_it_was_written(self, storage: Storage) -> None:
        buffer = bytearray(1000)
        writer = storage.writer("a")
        for value in range(5):
            buffer[:] = bytes([value]) * 1000
            writer.write(memoryview(buffer))
        buffer[:] = b"!" * 1000
        writer.commit()
        assert storage.get("a") == b"".join(bytes([value]) * 1000 for value in range(5))

    def test_many_small_writes_are_one_object(self, storage: Storage) -> None:
        writer = storage.writer("a")
        for number in range(5000):
            writer.write(b"%d " % number)
        writer.write(b"")
        writer.commit()
        assert storage.get("a").split() == [b"%d" % number for number in range(5000)]

    def test_a_writer_without_a_write_stores_an_empty_object(self, storage: Storage) -> None:
        assert storage.writer("a/empty").commit().size == 0
        assert storage.get("a/empty") == b""

    # --- ending ----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("size", ["nothing", "little", "much"])
    def test_abort_leaves_nothing(self, storage: Storage, size: str) -> None:
        writer = storage.writer("a/b/c")
        writer.write(noise({"nothing": 0, "little": 10, "much": self.big_bytes}[size]))
        writer.abort()
        writer.abort()
        assert self.is_empty(storage)
        with pytest.raises(StorageNotFound):
            storage.stat("a/b/c")

    def test_abort_after_commit_does_no_harm(self, storage: Storage) -> None:
        writer = storage.writer("a/b")
        writer.write(b"x")
        writer.commit()
        writer.abort()
        assert storage.get("a/b") == b"x"

    @pytest.mark.parametrize("end", ["commit", "abort"])
    def test_a_writer_ends_once(self, storage: Storage, end: str) -> None:
        writer = storage.writer("a")
        writer.write(b"x")
        getattr(writer, end)()
        with pytest.raises(StorageError):
            writer.write(b"y")
        with pytest.raises(StorageError):
            writer.commit()
        assert [info.size for info in storage.list()] == ([1] if end == "commit" else [])

    def test_a_forgotten_writer_leaves_nothing(self, storage: Storage) -> None:
        writer = storage.writer("a/b")
        writer.write(noise(self.begun_bytes))
        del writer
        assert self.is_empty(storage)

    # --- replacing -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("size", [3, "big"])
    def test_what_is_there_is_not_replaced_unless_it_is_said(self, storage: Storage, size: int | str) -> None:
        storage.put("a/b", b"old")
        data = noise(self.big_bytes if size == "big" else 3)
        with pytest.raises(StorageExists):
            storage.put("a/b", data)
        writer = storage.writer("a/b")
        writer.write(data)
        with pytest.raises(StorageExists):
            writer.commit()
        assert storage.get("a/b") == b"old"
        assert list(storage.unfinished()) == []
        storage.put("a/b", data, if_absent=False)
        assert storage.get("a/b") == data
        writer = storage.writer("a/b", if_absent=False)
        writer.write(b"newest")
        writer.commit()
        assert storage.get("a/b") == b"newest"
        assert keys_of(storage.list()) == ["a/b"]
        assert list(storage.unfinished()) == []

    @pytest.mark.parametrize("size", ["small", "begun"])
    def test_of_many_writers_at_once_exactly_one_wins(self, storage: Storage, size: str) -> None:
        barrier = threading.Barrier(self.racers)
        length = 1000 if size == "small" else self.begun_bytes + 1000

        def write(number: int) -> int | None:
            writer = storage.writer("lease")
            writer.write(bytes([number]) * length)
            barrier.wait()
            try:
                writer.commit()
            except StorageExists:
                return None
            return number

        with concurrent.futures.ThreadPoolExecutor(max_workers=self.racers) as pool:
            winners = [number for number in pool.map(write, range(self.racers)) if number is not None]
        if size == "small" or self.large_is_atomic:
            assert len(winners) == 1
        assert storage.get("lease") in [bytes([winner]) * length for winner in winners]
        assert list(storage.unfinished()) == []

    def test_a_reader_sees_the_old_or_the_new_object(self, storage: Storage) -> None:
        versions = [bytes([number]) * 300_000 for number in range(1, 9)]
        storage.put("a", versions[0])
        ended = threading.Event()

        def read() -> set[bytes]:
            seen: set[bytes] = set()
            while not ended.is_set():
                seen.add(storage.get("a"))
            return seen

        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            readers = [pool.submit(read) for _reader in range(2)]
            for version in versions * 3:
                storage.put("a", version, if_absent=False)
            ended.set()
            seen = set[bytes]().union(*(reader.result() for reader in readers))
        assert seen
        assert seen <= set(versions)

    def test_a_read_that_has_begun_never_mixes_two_objects(self, storage: Storage) -> None:
        old, new = noise(self.big_bytes, seed=1), noise(self.big_bytes, seed=2)
        storage.put("a", old)
        pieces = storage.read("a")
        first = next(pieces)
        storage.put("a", new, if_absent=False)
        try:
            data = first + b"".join(pieces)
        except StorageError:
            data = old  # saying that it can't go on is fine too
        assert data == old
        assert storage.get("a") == new

    # --- deleting --------------------------------------------------------------------------------------------------

    def test_delete_answers_for_every_key(self, storage: Storage) -> None:
        for key in ("a/b", "a/c", "d"):
            storage.put(key, b"x")
        report = storage.delete(["a/b", "missing", "no/such/folder", "d", "a/b", "a"])
        assert sorted(report.deleted) == ["a", "a/b", "d", "missing", "no/such/folder"]
        assert report.refused == {}
        assert keys_of(storage.list()) == ["a/c"]
        assert storage.get("a/c") == b"x"

    def test_an_invalid_key_among_others_deletes_nothing(self, storage: Storage) -> None:
        storage.put("a", b"x")
        with pytest.raises(StorageKeyInvalid):
            storage.delete(["a", "../a"])
        assert storage.get("a") == b"x"

    def test_delete_of_nothing_is_nothing(self, storage: Storage) -> None:
        report = storage.delete([])
        assert (tuple(report.deleted), dict(report.refused)) == ((), {})

    def test_a_folder_goes_with_its_last_object(self, storage: Storage) -> None:
        storage.put("a/b/c/d", b"x")
        storage.put("a/e", b"x")
        storage.delete(["a/b/c/d"])
        assert list(storage.list_folders("a/")) == []
        assert list(storage.list_folders()) == ["a"]
        storage.delete(["a/e"])
        assert self.is_empty(storage)

    def test_a_deleted_name_is_free_again(self, storage: Storage) -> None:
        storage.put("a/b", b"one")
        storage.delete(["a/b"])
        storage.put("a/b", b"two")
        assert storage.get("a/b") == b"two"

    @pytest.mark.slow
    def test_more_than_a_thousand_objects(self, storage: Storage) -> None:
        keys = [f"wal/{number:04d}" for number in range(1005)]
        with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(lambda key: storage.put(key, key.encode()), keys))
        assert keys_of(storage.list()) == keys
        assert keys_of(storage.list("wal/00")) == keys[:100]
        assert list(storage.list_folders()) == ["wal"]
        report = storage.delete([*keys, "wal/none"])
        assert len(report.deleted) == 1006
        assert report.refused == {}
        assert self.is_empty(storage)

    # --- what crashed writers leave --------------------------------------------------------------------------------

    def test_the_rest_of_a_crashed_writer_is_found_and_removed(self, storage: Storage) -> None:
        storage.put("a/done", b"x")
        writer = storage.writer("a/b/dump")
        writer.write(noise(self.begun_bytes))
        self.abandon(writer)
        del writer
        assert keys_of(storage.list()) == ["a/done"]
        assert list(storage.list_folders("a/")) == []
        assert list(storage.unfinished("other/")) == []
        assert list(storage.unfinished("a/done")) == []
        (upload,) = storage.unfinished()
        assert upload.key == "a/b/dump"
        assert upload.started.utcoffset() is not None
        assert [found.token for found in storage.unfinished("a/b/")] == [upload.token]
        assert [found.token for found in storage.unfinished("a/b/du")] == [upload.token]
        storage.abort_unfinished(upload)
        storage.abort_unfinished(upload)
        assert list(storage.unfinished()) == []
        assert keys_of(storage.list()) == ["a/done"]
        storage.put("a/b/dump", b"again")

    def test_the_rest_of_one_writer_is_not_that_of_another(self, storage: Storage) -> None:
        crashed = storage.writer("a/b")
        crashed.write(noise(self.begun_bytes))
        before = {upload.token for upload in storage.unfinished()}
        working = storage.writer("a/b")
        working.write(noise(self.begun_bytes, seed=2))
        self.abandon(crashed)
        for upload in list(storage.unfinished()):
            if upload.token in before:
                storage.abort_unfinished(upload)
        working.commit()
        assert storage.get("a/b") == noise(self.begun_bytes, seed=2)

    def test_an_upload_that_somebody_aborts_never_becomes_an_object(self, storage: Storage) -> None:
        writer = storage.writer("a/b")
        writer.write(noise(self.begun_bytes))
        for upload in list(storage.unfinished()):
            storage.abort_unfinished(upload)
        with pytest.raises(StorageError):
            writer.commit()
        assert self.is_empty(storage)

    # --- the repository as a whole ---------------------------------------------------------------------------------

    def test_check_proves_that_it_can_be_written_and_leaves_nothing(self, storage: Storage) -> None:
        storage.check()
        storage.check()
        assert self.is_empty(storage)
        assert storage.properties.conditional_put
