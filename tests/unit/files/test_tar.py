# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written as tar is read again, by Python's own tarfile too; and what no backup has is refused."""

from __future__ import annotations

import io
import tarfile
import typing as t
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    FilesArchiveInvalid,
    HostileArchive,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.entry import (
    CHARACTER,
    FILE,
    FOLDER,
    HARD_LINK,
    LINK,
    Entry,
    entry_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.extended import (
    ACCESS,
    access_list_text,
    access_list_value,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.tar_reader import TarReader
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.tar_writer import (
    ending,
    header,
    padded,
    sparse_header,
)
from tests.support.file_trees import ACCESS_LIST

TIME = 1_600_000_000_123_456_789
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=150).filter(
    lambda name: name not in (".", "..")
)


def entry(path: str, kind: str = FILE, **more: t.Any) -> Entry:
    return replace(Entry(path=path, kind=kind, mode=0o644, user=0, group=0, modified=TIME), **more)


def tar(*members: bytes) -> bytes:
    body = b"".join(members)
    whole: bytes = body + ending(len(body))
    return whole


def read(data: bytes) -> list[tuple[Entry, bytes]]:
    found: list[tuple[Entry, bytes]] = []

    def take(member: Entry, pieces: t.Iterator[tuple[int, bytes]]) -> None:
        content = bytearray(member.size)
        for offset, piece in pieces:
            content[offset : offset + len(piece)] = piece
        found.append((member, bytes(content)))

    assert TarReader(io.BytesIO(data)).read(take) == len(found)
    return found


def test_every_kind_comes_back() -> None:
    members = [
        entry("etc", FOLDER),
        entry("etc/link", LINK, target="/etc/passwd"),
        entry("etc/name", HARD_LINK, target="etc/file"),
        entry("etc/tty", CHARACTER, device=(4, 64)),
        entry("etc/big", user=3_000_000, group=2**31, extended={"user.a": b"\0\n=\xff", ACCESS: ACCESS_LIST}),
        entry("etc/caf\udce9"),
        entry("etc/" + "n" * 240),
        replace(entry("etc/before"), modified=-1_500_000_000),
    ]
    assert [found for found, _content in read(tar(*map(header, members)))] == members


def test_a_file_with_holes_comes_back_and_tarfile_agrees() -> None:
    member = entry("srv/disk.img", size=100_000)
    extents = [(10_000, 512), (50_000, 3), (100_000, 0)]
    data = tar(sparse_header(member, extents) + padded(b"a" * 512 + b"bcd"))
    wanted = bytes(10_000) + b"a" * 512 + bytes(50_000 - 10_512) + b"bcd" + bytes(100_000 - 50_003)
    assert read(data) == [(member, wanted)]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        (found,) = archive.getmembers()
        assert found.name == member.path
        file = archive.extractfile(found)
        assert file is not None
        assert file.read() == wanted


@given(path=st.lists(NAMES, min_size=1, max_size=4).map("/".join), content=st.binary(max_size=2000))
@settings(max_examples=60, deadline=None)
def test_any_name_and_content_comes_back(path: str, content: bytes) -> None:
    member = entry(path, size=len(content))
    assert read(tar(header(member) + padded(content))) == [(member, content)]


@given(data=st.binary(max_size=3000), position=st.integers(0, 5000), bit=st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_damage_is_told_and_never_anything_else(data: bytes, position: int, bit: int) -> None:
    whole = bytearray(tar(header(entry("etc", FOLDER)), header(entry("etc/f", size=len(data))) + padded(data)))
    whole[position % len(whole)] ^= 1 << bit
    try:
        read(bytes(whole))
    except (FilesArchiveInvalid, HostileArchive):
        pass


@pytest.mark.parametrize("length", [1, 511, 512, 1024, 1100, 2000])
def test_a_tar_that_was_cut_short_is_damaged(length: int) -> None:
    whole = tar(header(entry("etc", FOLDER)), header(entry("etc/f", size=700)) + padded(b"x" * 700))
    with pytest.raises(FilesArchiveInvalid, match="cut short"):
        read(whole[:length])


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//b", ".", "a/./b", "a/.."])
def test_names_that_lead_out_are_hostile(path: str) -> None:
    with pytest.raises(HostileArchive, match="leads out"):
        read(tar(header(entry(path))))
    with pytest.raises(HostileArchive, match="leads out"):
        read(tar(header(entry("a", HARD_LINK, target=path))))


def test_other_types_and_endless_headers_are_hostile() -> None:
    info = tarfile.TarInfo("x")
    info.type = tarfile.CONTTYPE
    with pytest.raises(HostileArchive, match="the type"):
        read(tar(info.tobuf(tarfile.USTAR_FORMAT)))
    info.type, info.size = tarfile.XHDTYPE, 100 * 1024 * 1024
    with pytest.raises(HostileArchive, match="header of"):
        read(tar(info.tobuf(tarfile.USTAR_FORMAT)))
    folder = tarfile.TarInfo("x")
    folder.type, folder.size = tarfile.DIRTYPE, 512
    with pytest.raises(HostileArchive, match="with a body"):
        read(tar(folder.tobuf(tarfile.USTAR_FORMAT) + bytes(512)))


@pytest.mark.parametrize("extents", [[(0, 20), (10, 20)], [(90, 20)], [(50, 1), (0, 1)]])
def test_a_map_of_holes_that_lies_is_hostile(extents: list[tuple[int, int]]) -> None:
    body = b"x" * sum(length for _offset, length in extents)
    with pytest.raises(HostileArchive, match="map of holes"):
        read(tar(sparse_header(entry("f", size=100), extents) + padded(body)))


def test_a_map_of_holes_without_an_end_is_told_at_once() -> None:
    member = entry("f", size=50_000_000)
    body = sparse_header(member, [(0, 50_000_000)])[:-512]  # the header, and then no map but the file itself
    with pytest.raises(FilesArchiveInvalid, match="has no numbers"):
        read(body + bytes(50_000_000))


def test_the_same_entry_gives_the_same_bytes() -> None:
    one = entry("a", extended={"user.b": b"1", "user.a": b"2"})
    other = entry("a", extended={"user.a": b"2", "user.b": b"1"})
    assert header(one) == header(other)


def test_an_access_list_as_text_and_back() -> None:
    text = access_list_text(ACCESS_LIST)
    assert text == "user::rwx,user:1000:r--,group::r-x,mask::r-x,other::r-x"
    assert access_list_value(text) == ACCESS_LIST
    assert access_list_text(b"") is None
    assert access_list_text(ACCESS_LIST[:-1]) is None
    assert access_list_value("user:root:rwx") is None
    assert access_list_value("nobody::rwx") is None


def test_a_line_of_the_list_and_back() -> None:
    whole = entry("caf\udce9", size=3, sha256="ab", links=2, extended={"user.a": b"\xff"})
    assert entry_from(whole.as_line()) == whole
    for line in (
        b"",
        b"{}",
        b"[]",
        b'{"path": 1}',
        b'{"path":"a","kind":"x"}',
        whole.as_line().replace(b"file", b"fish"),
    ):
        with pytest.raises(FilesArchiveInvalid):
            entry_from(line)
