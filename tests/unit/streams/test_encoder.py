# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file through zstd, once for all who take it: what its name says is what is inside, and no memory is kept."""

from __future__ import annotations

import hashlib
import itertools
import os
import pathlib
import random
import subprocess
import sys
import threading
import typing as t

import pytest
import zstandard

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    PipelineFailed,
    StreamSegmentGone,
    StreamSpoolUnusable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import PayloadInput
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams import encoder, library_zstd
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.encoder import SegmentEncoder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import Spool, SpoolEntry

MIB = 1024 * 1024
NOTHING = Transforms(compression=None)


@pytest.fixture(autouse=True, params=["library", "programs"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each promise holds with the library zstandard, and on a host whose Python does not have it."""
    if request.param == "programs":
        monkeypatch.setitem(sys.modules, "zstandard", None)
    return str(request.param)


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    """What happens around the reading of a file, whoever reads it."""
    hooks = Reading()
    real_stream, real_begin = encoder.stream, encoder.begin_compressing

    def streamed(payload: PayloadInput, **options: t.Any) -> int | None:
        if payload.file is None:  # age alone: zstd's library reads
            return real_stream(payload, **options)
        hooks.before()
        read = real_stream(payload, **options)
        hooks.after()
        return read

    def begun(level: int) -> t.Any:
        real = real_begin(level)
        return None if real is None else _Watched(real, hooks)

    monkeypatch.setattr(encoder, "stream", streamed)
    monkeypatch.setattr(encoder, "begin_compressing", begun)
    return hooks


class Reading:
    def __init__(self) -> None:
        self.count = 0
        self.first: t.Callable[[], t.Any] = lambda: None
        self.last: t.Callable[[], t.Any] = lambda: None

    def before(self) -> None:
        self.count += 1
        self.first()

    def after(self) -> None:
        self.last()


class _Watched:
    def __init__(self, real: library_zstd.Compressing, hooks: Reading) -> None:
        self._real, self._hooks = real, hooks
        hooks.before()

    def compress(self, data: bytes) -> bytes:
        return self._real.compress(data)

    def flush(self) -> bytes:
        self._hooks.after()
        return self._real.flush()


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size // 2) + b"x" * (size - size // 2)


@pytest.fixture
def spool(tmp_path: pathlib.Path) -> Spool:
    return Spool(path=str(tmp_path), budget=1 << 40)


def put(spool: Spool, data: bytes, *, name: str = "one") -> SpoolEntry:
    pathlib.Path(spool.path, name).write_bytes(data)
    return next(entry for entry in spool.entries() if entry.name == name)


def encoder_of(transforms: Transforms | None = None, *, repositories: int = 1) -> SegmentEncoder:
    return SegmentEncoder(
        transforms=transforms or Transforms(),
        progress=Progress(clock=SystemClock()),
        parallel=2,
        repositories=repositories,
    )


def decoded(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("size", [0, 1, 4096, 256 * 1024, 3 * MIB + 17])
@pytest.mark.parametrize("transforms", [Transforms(), Transforms(compression=Compression(level=3)), NOTHING], ids=str)
def test_the_hashes_are_those_of_the_bytes(spool: Spool, size: int, transforms: Transforms) -> None:
    data = content(size)
    found = encoder_of(transforms).encode(put(spool, data))
    assert found.data is not None
    assert (found.plain_size, found.plain_sha256) == (size, hashlib.sha256(data).hexdigest())
    assert found.sha256 == hashlib.sha256(found.data).hexdigest()
    assert (decoded(found.data) if transforms.compression else found.data) == data


def test_what_is_streamed_is_the_same(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "LARGEST_KEPT", 1000)
    data = content(2 * MIB)
    entry, sent = put(spool, data), bytearray()
    one = encoder_of()
    found = one.encode(entry)
    size, sha256 = one.send(entry, found, sent.extend)
    assert found.data is None
    assert found.plain_sha256 == hashlib.sha256(data).hexdigest()
    assert (size, sha256) == (len(sent), hashlib.sha256(sent).hexdigest())
    assert decoded(bytes(sent)) == data


def age_key(folder: pathlib.Path) -> tuple[str, pathlib.Path]:
    """A recipient, and the file of its identity."""
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True, timeout=60).stdout
    key = folder / "outside" / "key"
    key.parent.mkdir(exist_ok=True)
    key.write_text(made)
    return made.partition("public key: ")[2].split("\n", 1)[0], key


@pytest.mark.parametrize("size", [0, MIB])
def test_an_encrypted_one_is_hashed_before_and_after(spool: Spool, tmp_path: pathlib.Path, size: int) -> None:
    recipient, key = age_key(tmp_path)
    found = encoder_of(Transforms(encryption=Encryption(recipients=(recipient,)))).encode(put(spool, content(size)))
    assert found.data is not None
    plain = subprocess.run(
        ["age", "-d", "-i", str(key)], input=found.data, capture_output=True, check=True, timeout=60
    ).stdout
    assert decoded(plain) == content(size)
    assert found.plain_sha256 == hashlib.sha256(content(size)).hexdigest()


def _changed(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


def _longer(path: pathlib.Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _shorter(path: pathlib.Path) -> None:
    os.truncate(path, 100)


@pytest.mark.parametrize("transforms", [Transforms(), NOTHING], ids=["zstd", "plain"])
@pytest.mark.parametrize("change", [_changed, _longer, _shorter])
@pytest.mark.parametrize("when", ["first", "last"])
def test_a_file_that_is_written_to_meanwhile_is_refused(
    spool: Spool,
    reading: Reading,
    when: str,
    change: t.Callable[[pathlib.Path], None],
    transforms: Transforms,
) -> None:
    """Between the moment when it was opened and the one when both have read it, whatever is changed."""
    entry = put(spool, content(2 * MIB))
    os.utime(entry.path, (1, 1))
    setattr(reading, when, lambda: change(pathlib.Path(entry.path)))
    one = encoder_of(transforms)
    with pytest.raises(StreamSegmentGone, match="was changed while it was being stored"):
        one.encode(entry)
    setattr(reading, when, lambda: None)
    now = pathlib.Path(entry.path).read_bytes()
    assert one.encode(entry).plain_sha256 == hashlib.sha256(now).hexdigest()


def test_who_read_another_number_of_bytes_is_not_believed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The fault: zstd read less than what is hashed."""
    real, pieces = encoder.stream, encoder._Hashing.pieces
    if way == "programs":
        monkeypatch.setattr(encoder, "stream", lambda *args, **options: (real(*args, **options) or 1) - 1)
    else:
        turns = iter([lambda hashing: itertools.islice(pieces(hashing), 1), pieces])

        def pieces_of_the_next_turn(hashing: encoder._Hashing) -> t.Iterator[bytes]:
            turn = next(turns)
            return turn(hashing)

        monkeypatch.setattr(encoder._Hashing, "pieces", pieces_of_the_next_turn)
    with pytest.raises(StreamSegmentGone):
        encoder_of().encode(put(spool, content(MIB)))


def test_bytes_are_counted_before_and_after(spool: Spool, tmp_path: pathlib.Path) -> None:
    recipient, _key = age_key(tmp_path)
    for transforms in (Transforms(), NOTHING, Transforms(encryption=Encryption(recipients=(recipient,)))):
        progress = Progress(clock=SystemClock())
        one = SegmentEncoder(transforms=transforms, progress=progress, parallel=2)
        found = one.encode(put(spool, content(2 * MIB)))
        assert found.data is not None
        assert (progress.bytes_done, progress.bytes_stored) == (2 * MIB, len(found.data))


def test_what_the_library_can_not_do_is_told(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault: a library that fails in the middle."""

    class Failing:
        def compress(self, data: bytes) -> bytes:
            raise zstandard.ZstdError("out of luck")

        def flush(self) -> bytes:
            return b""

    monkeypatch.setattr(
        encoder, "begin_compressing", lambda level: library_zstd._ByLibrary(Failing(), zstandard.ZstdError)
    )
    one, entry = encoder_of(), put(spool, content(5000))
    with pytest.raises(PipelineFailed, match="out of luck"):
        one.encode(entry)
    monkeypatch.undo()
    assert one.encode(entry).plain_size == 5000


def test_a_file_that_is_gone_is_told(spool: Spool) -> None:
    entry = put(spool, b"x")
    os.unlink(entry.path)
    one = encoder_of()
    for ask in (one.encode, one.plain_sha256):
        with pytest.raises(StreamSegmentGone, match="removed from the spool"):
            ask(entry)


@pytest.mark.parametrize("make", [os.mkdir, lambda path: os.symlink("/etc/passwd", path)], ids=["folder", "link"])
def test_what_is_no_file_of_its_own_is_no_segment(spool: Spool, make: t.Callable[[str], None]) -> None:
    entry = put(spool, b"x")
    os.unlink(entry.path)
    make(entry.path)
    with pytest.raises(StreamSpoolUnusable, match="can't be read"):
        encoder_of().encode(entry)


def test_several_who_ask_at_once_share_one_reading(spool: Spool, reading: Reading) -> None:
    one, entry = encoder_of(repositories=3), put(spool, content(MIB))
    threads = [threading.Thread(target=one.encode, args=(entry,)) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reading.count == 1


def test_the_memory_is_free_when_all_have_it_and_not_before(spool: Spool, reading: Reading) -> None:
    one, entry = encoder_of(repositories=2), put(spool, content(5000))
    first = one.encode(entry)
    one.taken(entry)
    assert one.encode(entry) is first
    one.taken(entry)
    assert reading.count == 1
    assert one.encode(entry) == first  # made again
    assert reading.count == 2


def test_the_plain_hash_alone_needs_no_compression(spool: Spool, reading: Reading) -> None:
    assert encoder_of().plain_sha256(put(spool, content(MIB))) == hashlib.sha256(content(MIB)).hexdigest()
    assert reading.count == 0


def test_one_that_failed_is_tried_again(spool: Spool, reading: Reading) -> None:
    def fails() -> t.NoReturn:
        raise PipelineFailed("killed")

    one, entry = encoder_of(), put(spool, content(5000))
    reading.first = fails
    with pytest.raises(PipelineFailed):
        one.encode(entry)
    reading.first = lambda: None
    assert one.encode(entry).plain_sha256 == hashlib.sha256(content(5000)).hexdigest()
