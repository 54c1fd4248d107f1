# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tars of base backups are read strictly: whatever comes in, a member, the end, or a named error comes out."""

from __future__ import annotations

import io
import tarfile
import typing as t

import pytest
from hypothesis import given, settings, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    HostileArchive,
    LifeboatError,
    PostgresStreamIncomplete,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.base_listing import BaseListing
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.base_tar import BaseTar


def tar_of(members: t.Sequence[tuple[str, bytes]], **facts: t.Any) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for key, value in facts.items():
                setattr(entry, key, value)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


class Slowly(io.RawIOBase):
    """A stream that gives few bytes at a time, as pipes do."""

    def __init__(self, data: bytes, *, step: int) -> None:
        self._data = io.BytesIO(data)
        self._step = step

    def readinto(self, buffer: t.Any) -> int:
        return self._data.readinto(memoryview(buffer)[: self._step])


def read(data: bytes, *, step: int = 1 << 20) -> list[tuple[str, bytes]]:
    tar = BaseTar(t.cast("t.Any", Slowly(data, step=step)))
    return [(member.path, b"".join(map(bytes, tar.content()))) for member in tar]


NAMES = strategies.text(alphabet="abc/", min_size=1, max_size=20).filter(
    lambda name: all(part for part in name.split("/"))
)


@settings(max_examples=200, deadline=None)
@given(
    members=strategies.lists(strategies.tuples(NAMES, strategies.binary(max_size=1500)), max_size=5),
    step=strategies.integers(1, 3000),
)
def test_what_was_written_is_read(members: list[tuple[str, bytes]], step: int) -> None:
    assert read(tar_of(members), step=step) == members


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "base/../../up", "base//double", "./../up", "base/.", "..", "a/./b"]
)
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(HostileArchive):
        read(tar_of([(name, b"x")]))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"x", b"L", b"S"]
)
def test_anything_but_files_and_folders(kind: bytes) -> None:
    with pytest.raises(HostileArchive):
        read(tar_of([("pg_wal", b"")], type=kind, linkname="/etc"))


def test_the_folder_that_postgresql_writes_in_another_way() -> None:
    assert read(tar_of([("./pg_wal/archive_status/", b"")], type=tarfile.DIRTYPE)) == [("pg_wal/archive_status", b"")]


def test_what_follows_the_end() -> None:
    data = tar_of([("a", b"x")])
    with pytest.raises(HostileArchive, match="after its end"):
        read(data + tar_of([("b", b"x")]))


@settings(max_examples=100, deadline=None)
@given(cut=strategies.integers(0, 3 * 512 - 1))
def test_a_stream_that_ends_early(cut: int) -> None:
    with pytest.raises(PostgresStreamIncomplete):
        read(tar_of([("a", b"x" * 600)])[:cut])


SEED: bytes = tar_of(
    [
        ("backup_label", b"START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"),
        ("PG_VERSION", b"15\n"),
        ("pg_wal/000000010000000000000002", b"x" * 600),
        ("backup_manifest", b'{ "PostgreSQL-Backup-Manifest-Version": 1,\n"Files": [\n],\n'),
    ]
)


@pytest.mark.thorough
@settings(max_examples=1500, deadline=None)
@given(
    data=strategies.one_of(
        strategies.binary(max_size=3000),
        strategies.tuples(strategies.integers(0, 4000), strategies.integers(0, 255)).map(
            lambda change: bytes(
                [*SEED[: change[0]], change[1], *SEED[change[0] + 1 :]],
            )
        ),
    )
)
def test_nothing_but_named_errors(data: bytes) -> None:
    listing = BaseListing()
    try:
        listing.read(t.cast("t.Any", io.BytesIO(data)))
    except LifeboatError:
        return
    raise AssertionError("neither random bytes nor a seed without WAL are a backup")
