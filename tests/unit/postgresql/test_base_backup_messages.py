# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream of a base backup as messages: read whole, or refused; never half an archive taken for a whole one."""

from __future__ import annotations

import contextlib
import io
import struct
import tarfile

import pytest
from hypothesis import given, settings, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import PostgresStreamIncomplete
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.base_backup_archives import (
    DataFolderTar,
    TablespaceTar,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.base_backup_messages import (
    BaseBackupMessages,
)

LABEL = b"START WAL LOCATION: 0/3000028 (file 000000010000000000000003)\nSTART TIMELINE: 1\n"


class Parts:
    """Notes what it is told; the pieces of one thing joined."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []
        self.bytes: list[bytes] = []

    def archive(self, name: str, location: str) -> None:
        self.told.append(("archive", name, location))
        self.bytes.append(b"")

    def data(self, piece: memoryview) -> None:
        self.bytes[-1] += bytes(piece)

    def manifest(self) -> None:
        self.told.append(("manifest",))
        self.bytes.append(b"")


def tar_of(members: dict[str, bytes]) -> bytes:
    """As PostgreSQL ends it: two empty blocks, and no more."""
    stream = io.BytesIO()
    for name, content in members.items():
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        stream.write(entry.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512))
    return stream.getvalue() + bytes(1024)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = [*sorted(cut for cut in set(cuts) if cut < len(data)), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends)]


CUTS = strategies.lists(strategies.integers(min_value=1, max_value=6000), max_size=10)


@settings(max_examples=200)
@given(content=strategies.binary(max_size=3000), listed=strategies.binary(max_size=2000), cuts=CUTS)
def test_however_it_is_cut(content: bytes, listed: bytes, cuts: list[int]) -> None:
    parts = Parts()
    messages = BaseBackupMessages(parts)
    messages.write(b"n16384.tar\0/srv/fast disk\0")
    for piece in pieces(content, cuts):
        messages.write(b"d" + piece)
        messages.write(b"p" + struct.pack("!q", 1))
    messages.write(b"nbase.tar\0\0")
    messages.write(b"m")
    for piece in pieces(listed, cuts):
        messages.write(b"d" + piece)
    messages.finish()
    assert parts.told == [("archive", "16384.tar", "/srv/fast disk"), ("archive", "base.tar", ""), ("manifest",)]
    assert parts.bytes == [content, b"", listed]


@pytest.mark.parametrize(
    "stream",
    [
        [b""],
        [b"d"],
        [b"dtoo early"],
        [b"m"],
        [b"p" + bytes(8), b"d..."],
        [b"n"],
        [b"n16384.tar"],
        [b"n16384.tar\0"],
        [b"n16384.tar\0/srv"],
        [b"n16384.tar\0/srv\0more"],
        [b"n16384.tar\0/srv\0\0"],
        [b"n\0/srv\0"],
        [b"n\xff.tar\0/srv\0"],
        [b"nbase.tar\0\0", b"p\0\0\0"],
        [b"nbase.tar\0\0", b"p"],
        [b"nbase.tar\0\0", b"x"],
        [b"nbase.tar\0\0", b"m", b"m"],
        [b"nbase.tar\0\0", b"mmore"],
        [b"nbase.tar\0\0", b"m", b"n16384.tar\0/srv\0"],
    ],
)
def test_what_the_protocol_does_not_know_is_refused(stream: list[bytes]) -> None:
    messages = BaseBackupMessages(Parts())
    for message in stream[:-1]:
        with contextlib.suppress(PostgresStreamIncomplete):
            messages.write(message)
    with pytest.raises(PostgresStreamIncomplete):
        messages.write(stream[-1])


def test_a_stream_without_a_manifest_is_not_whole() -> None:
    messages = BaseBackupMessages(Parts())
    messages.write(b"nbase.tar\0\0")
    messages.write(b"d" + tar_of({"backup_label": LABEL}))
    with pytest.raises(PostgresStreamIncomplete):
        messages.finish()


@settings(max_examples=200)
@given(other=strategies.binary(max_size=3000), manifest=strategies.binary(max_size=3000), cuts=CUTS)
def test_the_manifest_gets_into_the_tar_of_the_data_folder(other: bytes, manifest: bytes, cuts: list[int]) -> None:
    output = io.BytesIO()
    archive = DataFolderTar(output)
    for piece in pieces(tar_of({"backup_label": LABEL, "base/1/2": other}), cuts):
        archive.write(memoryview(piece))
    archive.finish_with(name="backup_manifest", manifest=io.BytesIO(manifest))
    assert archive.label == LABEL
    assert len(output.getvalue()) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(output.getvalue())) as found:
        contents = {one.name: (found.extractfile(one) or io.BytesIO()).read() for one in found.getmembers()}
        assert found.getmember("backup_manifest").mode == 0o600
    assert contents == {"backup_label": LABEL, "base/1/2": other, "backup_manifest": manifest}
    assert list(contents)[-1] == "backup_manifest"


@given(cut=strategies.integers(min_value=0, max_value=4095))
def test_a_tar_that_is_cut_off_is_not_whole(cut: int) -> None:
    whole = tar_of({"backup_label": LABEL, "base/1/2": b"x" * 700})
    cut %= len(whole) - 512  # one of the two empty blocks is enough for every reader
    tablespace, data_folder = TablespaceTar(io.BytesIO()), DataFolderTar(io.BytesIO())
    tablespace.write(memoryview(whole)[:cut])
    data_folder.write(memoryview(whole)[:cut])
    with pytest.raises(PostgresStreamIncomplete):
        tablespace.finish()
    with pytest.raises(PostgresStreamIncomplete):
        data_folder.finish_with(name="backup_manifest", manifest=io.BytesIO())


def test_a_tar_that_goes_on_or_is_none_is_refused() -> None:
    for data in (tar_of({"a": b"b"}) + b"more" + bytes(508), b"?" * 512):
        archive = TablespaceTar(io.BytesIO())
        *before, last = pieces(data, [512, 1024, 1536, 2048])
        for piece in before:
            archive.write(memoryview(piece))
        with pytest.raises(PostgresStreamIncomplete):
            archive.write(memoryview(last))


def test_a_data_folder_without_its_label_is_refused() -> None:
    archive = DataFolderTar(io.BytesIO())
    archive.write(memoryview(tar_of({"base/1/2": b"x"})))
    with pytest.raises(PostgresStreamIncomplete, match="backup_label"):
        archive.finish_with(name="backup_manifest", manifest=io.BytesIO())


def test_a_tablespace_passes_as_it_is() -> None:
    output, data = io.BytesIO(), tar_of({"PG_15_202209061/5/1": b"x" * 5000})
    archive = TablespaceTar(output)
    for piece in pieces(data, [1, 700, 6000]):
        archive.write(memoryview(piece))
    archive.finish()
    assert output.getvalue() == data
