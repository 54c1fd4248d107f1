# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file through zstd, once for all who take it: what its name says is what is inside, and no memory is kept."""

from __future__ import annotations

import hashlib
import os
import pathlib
import random
import subprocess
import threading
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    PipelineFailed,
    StreamSegmentGone,
    StreamSpoolUnusable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams import encoder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.encoder import SegmentEncoder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import Spool, SpoolEntry

MIB = 1024 * 1024
NOTHING = Transforms(compression=None)


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


def test_an_encrypted_one_is_hashed_before_and_after(spool: Spool, tmp_path: pathlib.Path) -> None:
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True, timeout=60).stdout
    recipient = made.partition("public key: ")[2].split("\n", 1)[0]
    found = encoder_of(Transforms(encryption=Encryption(recipients=(recipient,)))).encode(put(spool, content(MIB)))
    assert found.data is not None
    key = tmp_path / ".key"
    key.write_text(made)
    plain = subprocess.run(
        ["age", "-d", "-i", str(key)], input=found.data, capture_output=True, check=True, timeout=60
    ).stdout
    assert decoded(plain) == content(MIB)
    assert found.plain_sha256 == hashlib.sha256(content(MIB)).hexdigest()


def _changed(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


def _longer(path: pathlib.Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _shorter(path: pathlib.Path) -> None:
    os.truncate(path, 100)


@pytest.mark.parametrize("transforms", [Transforms(), NOTHING], ids=["zstd", "plain"])
@pytest.mark.parametrize("change", [_changed, _longer, _shorter])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_file_that_is_written_to_meanwhile_is_refused(
    spool: Spool,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    change: t.Callable[[pathlib.Path], None],
    transforms: Transforms,
) -> None:
    """Between the moment when it was opened and the one when both have read it, whatever is changed."""
    real = encoder.stream

    def disturbed(*args: t.Any, **options: t.Any) -> int | None:
        if when == "before":
            change(pathlib.Path(entry.path))
        read = real(*args, **options)
        if when == "after":
            change(pathlib.Path(entry.path))
        return read

    monkeypatch.setattr(encoder, "stream", disturbed)
    entry = put(spool, content(2 * MIB))
    os.utime(entry.path, (1, 1))
    one = encoder_of(transforms)
    with pytest.raises(StreamSegmentGone, match="was changed while it was being stored"):
        one.encode(entry)
    monkeypatch.setattr(encoder, "stream", real)
    now = pathlib.Path(entry.path).read_bytes()
    assert one.encode(entry).plain_sha256 == hashlib.sha256(now).hexdigest()


def test_a_process_that_read_another_number_of_bytes_is_not_believed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault: zstd says that it read less."""
    real = encoder.stream
    monkeypatch.setattr(encoder, "stream", lambda *args, **options: (real(*args, **options) or 1) - 1)
    with pytest.raises(StreamSegmentGone):
        encoder_of().encode(put(spool, content(5000)))


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


def test_several_who_ask_at_once_share_one_process(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    real, started = encoder.stream, []

    def counted(*args: t.Any, **options: t.Any) -> int | None:
        started.append(1)
        return real(*args, **options)

    monkeypatch.setattr(encoder, "stream", counted)
    one, entry = encoder_of(repositories=3), put(spool, content(MIB))
    threads = [threading.Thread(target=one.encode, args=(entry,)) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == 1


def test_the_memory_is_free_when_all_have_it_and_not_before(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    real, started = encoder.stream, []

    def counted(*args: t.Any, **options: t.Any) -> int | None:
        started.append(1)
        return real(*args, **options)

    monkeypatch.setattr(encoder, "stream", counted)
    one, entry = encoder_of(repositories=2), put(spool, content(5000))
    first = one.encode(entry)
    one.taken(entry)
    assert one.encode(entry) is first
    one.taken(entry)
    assert len(started) == 1
    assert one.encode(entry) == first  # made again
    assert len(started) == 2


def test_the_plain_hash_alone_needs_no_process(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "stream", None)
    assert encoder_of().plain_sha256(put(spool, content(MIB))) == hashlib.sha256(content(MIB)).hexdigest()


def test_one_that_failed_is_tried_again(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    real = encoder.stream

    def fails(*args: t.Any, **options: t.Any) -> t.NoReturn:
        raise PipelineFailed("killed")

    one, entry = encoder_of(), put(spool, content(5000))
    monkeypatch.setattr(encoder, "stream", fails)
    with pytest.raises(PipelineFailed):
        one.encode(entry)
    monkeypatch.setattr(encoder, "stream", real)
    assert one.encode(entry).plain_sha256 == hashlib.sha256(content(5000)).hexdigest()
