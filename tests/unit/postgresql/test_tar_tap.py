# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One member leaves a tar stream unharmed, however the stream is cut into pieces."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.tar_tap import TarTap


def tar_of(members: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def tap_of(stream: bytes, *, cuts: list[int]) -> tuple[TarTap, bytes]:
    target = io.BytesIO()
    tap = TarTap(wanted="backup_manifest", target=target)
    position = 0
    for cut in [*cuts, len(stream)]:
        if position < cut:
            tap.feed(memoryview(stream)[position:cut])
            position = cut
    return tap, target.getvalue()


@settings(max_examples=200)
@given(
    before=strategies.lists(strategies.binary(max_size=1500), max_size=4),
    wanted=strategies.binary(max_size=1500),
    cuts=strategies.lists(strategies.integers(min_value=1, max_value=20000), max_size=12).map(sorted),
)
def test_the_wanted_member_comes_out_whole(before: list[bytes], wanted: bytes, cuts: list[int]) -> None:
    members = [(f"base/5/{number}", content) for number, content in enumerate(before)]
    stream = tar_of([*members, ("backup_manifest", wanted)])
    tap, content = tap_of(stream, cuts=cuts)
    assert content == wanted
    assert tap.copied == len(wanted)
    assert tap.is_whole
    assert tap.members == len(before) + 1


def test_a_name_that_only_begins_like_it_is_another() -> None:
    tap, content = tap_of(tar_of([("backup_manifest.old", b"old"), ("base/backup_manifest", b"other")]), cuts=[])
    assert content == b""
    assert tap.copied is None
    assert not tap.is_whole


@pytest.mark.parametrize("missing", [1, 400, 511, 1000, 1500])
def test_a_stream_that_is_cut_short_is_not_whole(missing: int) -> None:
    stream = tar_of([("a", b"x" * 600), ("backup_manifest", b"y" * 1500)])
    member_end = 512 + 1024 + 512 + 1536
    assert stream[member_end:].strip(b"\0") == b""
    tap, _content = tap_of(stream[: member_end - missing], cuts=[])
    assert not tap.is_whole


def test_a_size_of_eight_gigabytes_and_more_is_read() -> None:
    entry = tarfile.TarInfo("base/5/16384")
    entry.size = 9 * 1024**3
    header = entry.tobuf(format=tarfile.GNU_FORMAT)  # the base-256 form, which PostgreSQL writes too
    tap, _content = tap_of(header, cuts=[])
    assert not tap.is_whole
    assert tap._content == 9 * 1024**3


def test_what_is_no_tar_is_told() -> None:
    with pytest.raises(ValueError, match="no tar header after 1 members"):
        tap_of(tar_of([("a", b"x" * 512)])[:1024] + b"x" * 512, cuts=[700])
