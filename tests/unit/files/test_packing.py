# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees into a tar: the same bytes for the same tree, in little memory, whatever happens to the files meanwhile."""

from __future__ import annotations

import io
import os
import pathlib
import sys
import tarfile
import tracemalloc
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import FilesMissing, RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.entry import entry_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.packing import (
    Packed,
    Packer,
    fingerprint_of,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.patterns import Patterns
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.reading import READINGS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.roots import resolve_roots
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.tar_reader import TarReader
from tests.support.file_trees import make_tree


def pack(base: pathlib.Path, *exclude: str) -> tuple[bytes, bytes, Packed]:
    output, listing = io.BytesIO(), io.BytesIO()
    packer = Packer(resolve_roots([str(base)], []), exclude=Patterns(exclude), clock=SystemClock())
    packed = packer.pack(output, listing)
    return output.getvalue(), listing.getvalue(), packed


def test_two_backups_of_one_tree_are_the_same_bytes(tmp_path: pathlib.Path) -> None:
    tree = make_tree(tmp_path / "tree")
    first, second = pack(tree), pack(tree)
    assert first == second
    (tree / "server.conf").write_text("listen 80;\nworkers 5;\n")
    assert pack(tree)[2].fingerprint != first[2].fingerprint


def test_the_fingerprint_sees_modes_and_names_and_not_times(tmp_path: pathlib.Path) -> None:
    tree = make_tree(tmp_path / "tree")
    roots = resolve_roots([str(tree)], [])

    def fingerprint() -> str:
        return str(fingerprint_of(roots, exclude=Patterns(()), clock=SystemClock()))

    first = fingerprint()
    os.utime(tree / "server.conf", (1, 1))
    assert fingerprint() == first == pack(tree)[2].fingerprint
    (tree / "server.conf").chmod(0o600)
    second = fingerprint()
    assert second != first
    (tree / "server.conf").chmod(0o644)
    assert fingerprint() == first
    (tree / "server.conf").rename(tree / "renamed.conf")
    assert fingerprint() != first
    (tree / "renamed.conf").rename(tree / "server.conf")
    os.setxattr(tree / "server.conf", "user.x", b"1")
    assert fingerprint() != first


def test_list_and_tar_have_one_order_and_folders_come_first(tmp_path: pathlib.Path) -> None:
    base = tmp_path / "tree"
    for name in ("a/x", "a.b/x", "a-b/x", "ab/x"):
        (base / name).parent.mkdir(parents=True)
        (base / name).write_text(name)
    data, listing, _packed = pack(base)
    listed = [entry_from(line).path for line in listing.splitlines()]
    members: list[str] = []
    TarReader(io.BytesIO(data)).read(lambda entry, pieces: members.append(entry.path))
    assert members == listed
    root = str(base).lstrip("/")
    tails = [path[len(root) :] for path in listed]
    assert tails == ["", "/a", "/a/x", "/a-b", "/a-b/x", "/a.b", "/a.b/x", "/ab", "/ab/x"]


def test_what_is_excluded_is_not_even_entered(tmp_path: pathlib.Path) -> None:
    tree = make_tree(tmp_path / "tree")
    _data, listing, packed = pack(tree, "conf.d", "*.key", f"{tree}/sparse.img")
    names = {entry_from(line).path.rpartition("/")[2] for line in listing.splitlines()}
    assert not names & {"conf.d", "one.conf", "secret.key", "sparse.img"}
    assert "server.conf" in names
    assert packed.notes.excluded == 3


def test_paths_globs_and_what_is_missing(tmp_path: pathlib.Path) -> None:
    tree = make_tree(tmp_path / "tree")
    (tmp_path / "odd[1]").write_text("x")
    roots = resolve_roots([f"{tree}/conf.d/*.conf", f"{tree}/server.conf", f"{tmp_path}/odd[1]"], [f"{tree}/none*"])
    assert [path.rpartition("/")[2] for path in roots.paths] == ["odd[1]", "one.conf", "same.conf", "server.conf"]
    assert roots.missing == (f"{tree}/none*",)
    with pytest.raises(FilesMissing, match=r"gone1.*gone2") as caught:
        resolve_roots([f"{tree}/gone1", str(tree), f"{tree}/gone2/*"], [])
    assert caught.value.details == {"missing": [f"{tree}/gone1", f"{tree}/gone2/*"]}
    with pytest.raises(FilesMissing):
        resolve_roots([], [f"{tree}/none"])
    assert resolve_roots([str(tree), f"{tree}/conf.d"], []).paths == (str(tree).lstrip("/"),)
    # The folder that a root lies in is free of links; a root that is a link is stored as one.
    assert resolve_roots([f"{tree}/current/one.conf"], []).paths == (f"{tree}/conf.d/one.conf".lstrip("/"),)
    assert resolve_roots([f"{tree}/current"], []).paths == (f"{tree}/current".lstrip("/"),)
    with pytest.raises(RequestInvalid, match="no UTF-8"):
        resolve_roots([f"{tree}/caf*"], [])


def disturb(path: pathlib.Path) -> None:
    with path.open("ab") as file:
        file.write(b"more\n")


@pytest.mark.parametrize("size", [100, 3_000_000])
@pytest.mark.parametrize("times", [1, 10 * READINGS])
def test_a_file_that_changes_is_read_again_and_then_doubted(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, size: int, times: int
) -> None:
    base = tmp_path / "tree"
    base.mkdir()
    log = base / "log"
    log.write_bytes(b"x" * size)
    (base / "next").write_text("next")
    read = os.fstat
    disturbances: list[int] = []

    def fstat(descriptor: int) -> os.stat_result:
        """A fault: right after a look at the opened file somebody writes to it."""
        status = read(descriptor)
        is_look = sys._getframe(1).f_code.co_name == "store_file"
        if is_look and len(disturbances) < times and os.path.samestat(status, log.stat()):
            disturbances.append(descriptor)
            disturb(log)
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    data, listing, packed = pack(base)
    monkeypatch.undo()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:  # whole, whatever happened
        names = [member.name.rpartition("/")[2] for member in archive]
    assert names[-1] == "next"
    (noted,) = [entry_from(line) for line in listing.splitlines() if entry_from(line).path.endswith("log")]
    if times == 1:
        assert packed.doubts() == []
        assert noted.size == log.stat().st_size
    else:
        assert packed.doubts() == [{"path": str(log), "reason": "changed at every reading"}]


def test_a_file_that_shrinks_leaves_the_tar_whole(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "tree"
    base.mkdir()
    big = base / "big"
    big.write_bytes(b"x" * 3_000_000)
    (base / "next").write_text("next")
    seek = io.FileIO.seek

    class Shrinking(io.FileIO):
        """A fault: it is cut short while it is read, each time."""

        def seek(self, *arguments: t.Any) -> int:
            os.truncate(big, 1000)
            return seek(self, *arguments)

    monkeypatch.setattr(
        "ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.reading.open",
        lambda descriptor, *_mode, **_more: Shrinking(descriptor, "rb"),
        raising=False,
    )
    data, _listing, packed = pack(base)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert [member.name.rpartition("/")[2] for member in archive][-1] == "next"
    assert packed.doubts() == []  # cut once only: the second reading is whole


def test_what_vanishes_meanwhile_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "tree"
    base.mkdir()
    for name in ("a", "b", "c"):
        (base / name).write_text(name)
    opened = os.open

    def vanish(path: t.Any, *arguments: t.Any, **more: t.Any) -> int:
        """A fault: the file is removed between the look and the opening."""
        if path == b"b":
            (base / "b").unlink(missing_ok=True)
        return opened(path, *arguments, **more)

    monkeypatch.setattr(os, "open", vanish)
    data, listing, packed = pack(base)
    monkeypatch.undo()
    assert packed.doubts() == [{"path": f"{base}/b", "reason": "vanished while it was read"}]
    assert [entry_from(line).path.rpartition("/")[2] for line in listing.splitlines()] == ["tree", "a", "c"]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert len(archive.getmembers()) == 3


def test_memory_does_not_grow_with_the_tree(tmp_path: pathlib.Path) -> None:
    base = tmp_path / "tree"
    base.mkdir()
    with (base / "big").open("wb") as file:
        for _turn in range(64):
            file.write(os.urandom(1024 * 1024))

    class Sink:
        def write(self, piece: bytes) -> int:
            return len(piece)

    packer = Packer(resolve_roots([str(base)], []), exclude=Patterns(()), clock=SystemClock())
    tracemalloc.start()
    try:
        packer.pack(t.cast("t.BinaryIO", Sink()))
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024
