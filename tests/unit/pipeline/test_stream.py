# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipeline runs real processes: every exit status counts, and nothing of it stays behind."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    Interrupted,
    PipelineFailed,
    RedisUnreachable,
    StorageForbidden,
    ToolMissing,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import stopping_on_signals
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import PayloadInput
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.stream import stream
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transform,
)

LINES = b"a line of some text that compresses\n" * 200_000  # 7 MB, more than all pipes hold
ZSTD: tuple[Transform, ...] = (Compression(level=3, threads=1),)


def run(payload: PayloadInput, transforms: t.Sequence[Transform] = ()) -> tuple[bytes, int | None, Progress]:
    progress = Progress(clock=SystemClock())
    out = bytearray()
    plain = stream(payload, transforms=transforms, consume=out.extend, progress=progress)
    return bytes(out), plain, progress


def unzstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout


def children() -> set[str]:
    found = subprocess.run(
        ["ps", "--no-headers", "--ppid", str(os.getpid()), "-o", "comm"], stdout=subprocess.PIPE, check=False
    )
    return {line.strip() for line in found.stdout.decode().splitlines()} - {"ps"}


@pytest.fixture
def lines_file(tmp_path: pathlib.Path) -> t.Iterator[int]:
    path = tmp_path / "lines"
    path.write_bytes(LINES)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def inputs(descriptor: int, path: str) -> dict[str, PayloadInput]:
    return {
        "process": PayloadInput(name="lines", media="text", argv=("cat", path)),
        "writer": PayloadInput(name="lines", media="text", write=lambda pipe: pipe.write(LINES) and None),
        "file": PayloadInput(name="lines", media="text", file=descriptor),
    }


@pytest.mark.parametrize("kind", ["process", "writer", "file"])
@pytest.mark.parametrize("compressed", [False, True])
def test_every_byte_of_every_kind_of_input_arrives_and_is_counted(
    kind: str, compressed: bool, lines_file: int, tmp_path: pathlib.Path
) -> None:
    out, plain, progress = run(inputs(lines_file, str(tmp_path / "lines"))[kind], ZSTD if compressed else ())
    assert (unzstd(out) if compressed else out) == LINES
    assert plain == len(LINES)
    assert progress.bytes_done == len(LINES)
    assert progress.bytes_stored == len(out)


def test_compression_comes_before_encryption_and_both_are_undone_by_the_stock_tools(tmp_path: pathlib.Path) -> None:
    identity = tmp_path / "identity.txt"
    subprocess.run(["age-keygen", "-o", str(identity)], check=True, stderr=subprocess.DEVNULL)
    recipient = (
        subprocess.run(["age-keygen", "-y", str(identity)], check=True, stdout=subprocess.PIPE).stdout.decode().strip()
    )
    payload = PayloadInput(name="lines", media="text", write=lambda pipe: pipe.write(LINES) and None)
    out, plain, _progress = run(payload, (*ZSTD, Encryption(recipients=(recipient,))))
    assert out.startswith(b"age-encryption.org/")
    opened = subprocess.run(["age", "-d", "-i", str(identity)], input=out, stdout=subprocess.PIPE, check=True).stdout
    assert unzstd(opened) == LINES
    assert plain == len(LINES)


def test_a_source_that_fails_after_its_last_byte_fails_the_payload() -> None:
    payload = PayloadInput(name="x", media="text", argv=("sh", "-c", "echo all of it; echo 'disk on fire' >&2; exit 3"))
    with pytest.raises(PipelineFailed, match=r"sh ended with status 3.*disk on fire") as raised:
        run(payload, ZSTD)
    assert raised.value.details["status"] == 3


def test_a_source_that_is_killed_in_mid_stream_fails_the_payload() -> None:
    payload = PayloadInput(name="x", media="text", argv=("sh", "-c", "head -c 3000000 /dev/zero; kill -9 $$"))
    with pytest.raises(PipelineFailed, match="killed by signal 9"):
        run(payload, ZSTD)


def test_a_transform_that_fails_is_blamed_and_not_the_source_that_it_cut_off() -> None:
    payload = PayloadInput(name="x", media="text", argv=("cat", "/dev/zero"))
    with pytest.raises(PipelineFailed, match="age ended with status 1"):
        run(payload, (Encryption(recipients=("age1notakey",)),))
    assert not children()


def test_a_transform_that_fails_is_blamed_and_not_the_python_writer() -> None:
    payload = PayloadInput(name="x", media="text", write=lambda pipe: pipe.write(LINES * 10) and None)
    with pytest.raises(PipelineFailed, match="age ended with status 1"):
        run(payload, (Encryption(recipients=("age1notakey",)),))


def test_what_a_python_writer_raises_comes_out_and_its_stream_is_not_taken_for_whole() -> None:
    def write(pipe: t.BinaryIO) -> None:
        pipe.write(LINES)
        raise RedisUnreachable("the server went away")

    with pytest.raises(RedisUnreachable):
        run(PayloadInput(name="x", media="text", write=write), ZSTD)
    assert not children()


def test_what_the_consumer_raises_ends_every_process() -> None:
    def consume(_data: memoryview) -> None:
        raise StorageForbidden("no")

    payload = PayloadInput(name="x", media="text", argv=("cat", "/dev/zero"))
    with pytest.raises(StorageForbidden):
        stream(payload, transforms=ZSTD, consume=consume, progress=Progress(clock=SystemClock()))
    assert not children()


def test_a_missing_program_is_named_before_anything_is_started() -> None:
    with pytest.raises(ToolMissing, match="no-such-dump"):
        run(PayloadInput(name="x", media="text", argv=("no-such-dump",)), ZSTD)
    assert not children()


def test_lines_of_standard_error_reach_their_reader_and_its_error_comes_out() -> None:
    seen: list[str] = []
    run(PayloadInput(name="x", media="text", argv=("sh", "-c", "echo one >&2; echo two >&2"), on_stderr=seen.append))
    assert seen == ["one", "two"]

    def refuse(line: str) -> None:
        raise RedisUnreachable(line)

    noisy = ("sh", "-c", "i=0; while [ $i -lt 9000 ]; do echo 'more than a pipe holds' >&2; i=$((i+1)); done")
    with pytest.raises(RedisUnreachable):
        run(PayloadInput(name="x", media="text", argv=noisy, on_stderr=refuse))


def test_the_stream_leaves_no_descriptor_open(lines_file: int, tmp_path: pathlib.Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for payload in inputs(lines_file, str(tmp_path / "lines")).values():
        run(payload, ZSTD)
    with pytest.raises(PipelineFailed):
        run(PayloadInput(name="x", media="text", argv=("false",)), ZSTD)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_signal_while_the_end_of_the_pipe_is_closed_ends_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, signalled = os.close, []

    def close(descriptor: int) -> None:
        plain(descriptor)
        if consumed and not signalled:
            signalled.append(descriptor)
            os.kill(os.getpid(), signal.SIGTERM)

    consumed: list[int] = []
    monkeypatch.setattr(os, "close", close)
    payload = PayloadInput(name="x", media="text", argv=("sh", "-c", "echo all; exec >&-; sleep 60"))
    with pytest.raises(Interrupted), stopping_on_signals():
        stream(
            payload,
            transforms=(),
            consume=lambda data: consumed.append(len(data)),
            progress=Progress(clock=SystemClock()),
        )
    assert signalled
    assert not children()
