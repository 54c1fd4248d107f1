# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles of git: whole ones are told from all others by their bytes alone."""

from __future__ import annotations

import io
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import FilesArchiveInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.bundle import read_bundle
from tests.support.git_repositories import Repository


@pytest.fixture
def whole(tmp_path: pathlib.Path) -> bytes:
    repository = Repository.make(tmp_path / "app")
    repository.git("bundle", "create", "-q", str(tmp_path / "app.bundle"), "--all", "HEAD")
    return (tmp_path / "app.bundle").read_bytes()


def test_it_says_its_refs_and_passes_every_byte_on(tmp_path: pathlib.Path, whole: bytes) -> None:
    passed: list[bytes] = []
    bundle = read_bundle(io.BytesIO(whole), passed.append)
    assert b"".join(passed) == whole
    assert bundle.refs == Repository(tmp_path / "app").refs()
    assert bundle.objects > 3


def test_it_is_read_in_pieces_of_any_size(whole: bytes) -> None:
    class Drop(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(7 if size and size > 12 else size)

    assert read_bundle(Drop(whole)).refs == read_bundle(io.BytesIO(whole)).refs


def cut(data: bytes) -> bytes:
    return data[:-1]


def without_pack(data: bytes) -> bytes:
    return data[: data.index(b"\n\nPACK") + 2]


def other_bit(data: bytes) -> bytes:
    place = data.index(b"PACK") + 40
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def needing_more(data: bytes) -> bytes:
    line, rest = data.split(b"\n", 1)
    return line + b"\n-" + b"0" * 40 + b" parent\n" + rest


def of_another_version(data: bytes) -> bytes:
    return data.replace(b"v2", b"v9", 1)


def filtered(data: bytes) -> bytes:
    return data.replace(b"# v2 git bundle\n", b"# v3 git bundle\n@filter=blob:none\n", 1)


@pytest.mark.parametrize(
    "spoil", [cut, without_pack, other_bit, needing_more, of_another_version, filtered, bytes.lower]
)
def test_what_is_not_whole_is_refused(whole: bytes, spoil: t.Callable[[bytes], bytes]) -> None:
    with pytest.raises(FilesArchiveInvalid):
        read_bundle(io.BytesIO(spoil(whole)))


@pytest.mark.parametrize("data", [b"", b"# v2 git bundle\n", b"# v2 git bundle\nnonsense\n\nPACK"])
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(FilesArchiveInvalid):
        read_bundle(io.BytesIO(data))
