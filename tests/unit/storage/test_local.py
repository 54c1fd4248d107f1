# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is particular to a repository made of files: modes, links, durability, threads."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import stat
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageBucketMissing,
    StorageError,
    StorageExists,
    StorageForbidden,
    StorageKeyInvalid,
    StorageNotFound,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Unfinished
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "repository"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def storage(root: pathlib.Path) -> LocalStorage:
    return LocalStorage(path=str(root))


def mode_of(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- modes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o700, 0o600), (0o750, 0o640), (0o755, 0o644)])
def test_modes_are_those_of_the_options_whatever_the_umask(
    tmp_path: pathlib.Path, umask: int, folder_mode: int, file_mode: int
) -> None:
    root = tmp_path / "made" / "here"
    storage = LocalStorage(path=str(root), create=True, folder_mode=folder_mode, file_mode=file_mode)
    before = os.umask(umask)
    try:
        storage.put("a/b/c", b"x")
    finally:
        os.umask(before)
    assert mode_of(root / "a/b/c") == file_mode
    assert {mode_of(path) for path in (tmp_path / "made", root, root / "a", root / "a/b")} == {folder_mode}


def test_modes_keep_others_out_by_default(storage: LocalStorage, root: pathlib.Path) -> None:
    storage.put("a/b", b"x")
    assert (mode_of(root / "a"), mode_of(root / "a/b")) == (0o700, 0o600)


def test_a_group_that_folders_inherit_is_kept(storage: LocalStorage, root: pathlib.Path) -> None:
    root.chmod(0o2770)
    LocalStorage(path=str(root), folder_mode=0o770, file_mode=0o660).put("a/b", b"x")
    assert mode_of(root / "a") == 0o2770


# --- the root --------------------------------------------------------------------------------------------------------


def test_without_its_root_every_call_says_so(tmp_path: pathlib.Path) -> None:
    storage = LocalStorage(path=str(tmp_path / "not mounted"))
    calls: list[t.Callable[[], object]] = [
        storage.check,
        lambda: storage.put("a", b"x"),
        lambda: storage.writer("a"),
        lambda: storage.get("a"),
        lambda: storage.read("a"),
        lambda: storage.stat("a"),
        lambda: list(storage.list()),
        lambda: list(storage.list_folders()),
        lambda: list(storage.unfinished()),
        lambda: storage.delete(["a"]),
    ]
    for call in calls:
        with pytest.raises(StorageBucketMissing) as caught:
            call()
        assert str(tmp_path / "not mounted") in caught.value.message
        assert "install -d" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_root(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageBucketMissing):
        LocalStorage(path=str(tmp_path / "file")).check()


def test_the_root_is_made_by_the_first_write_where_that_is_wanted(tmp_path: pathlib.Path) -> None:
    storage = LocalStorage(path=str(tmp_path / "a/b"), create=True)
    assert list(storage.list()) == []
    assert list(storage.list_folders()) == []
    assert storage.delete(["x"]).deleted == ("x",)
    with pytest.raises(StorageNotFound):
        storage.stat("x")
    assert not (tmp_path / "a").exists()
    storage.check()
    storage.put("x", b"1")
    assert (tmp_path / "a/b/x").read_bytes() == b"1"


def test_the_root_itself_may_be_a_link(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to(root)
    LocalStorage(path=str(tmp_path / "link")).put("a/b", b"x")
    assert (root / "a/b").read_bytes() == b"x"


# --- links and strangers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["outside", "repository/inside"])
def test_no_folder_is_entered_through_a_link(
    storage: LocalStorage, root: pathlib.Path, tmp_path: pathlib.Path, target: str
) -> None:
    (tmp_path / target).mkdir()
    victim = tmp_path / target / "victim"
    victim.write_bytes(b"precious")
    (root / "link").symlink_to(tmp_path / target)
    calls: list[t.Callable[[], object]] = [
        lambda: storage.get("link/victim"),
        lambda: storage.stat("link/victim"),
        lambda: storage.put("link/new", b"x"),
        lambda: storage.put("link/victim", b"x", if_absent=False),
        lambda: storage.put("link/folder/new", b"x"),
        lambda: list(storage.list()),
        lambda: list(storage.list("link/")),
        lambda: list(storage.list_folders()),
        lambda: list(storage.unfinished()),
        lambda: storage.abort_unfinished(
            Unfinished(key="link/b", token="link/.lifeboat-tmp-1-b", started=storage_time(victim))
        ),
    ]
    for call in calls:
        with pytest.raises(StorageForbidden, match="symbolic link"):
            call()
    report = storage.delete(["link/victim", "fine"])
    assert report.deleted == ("fine",)
    assert "symbolic link" in report.refused["link/victim"]
    assert victim.read_bytes() == b"precious"
    assert os.listdir(tmp_path / target) == ["victim"]


def storage_time(path: pathlib.Path) -> t.Any:
    return LocalStorage(path=str(path.parent)).stat(path.name).modified


def test_no_file_is_read_written_or_deleted_through_a_link(
    storage: LocalStorage, root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (root / "link").symlink_to(victim)
    for call in (storage.get, storage.stat, storage.read):
        with pytest.raises(StorageForbidden, match="symbolic link"):
            call("link")
    with pytest.raises(StorageExists):
        storage.put("link", b"x")
    assert "symbolic link" in storage.delete(["link"]).refused["link"]
    # What replaces it takes the name away from the link.
    storage.put("link", b"x", if_absent=False)
    assert storage.get("link") == b"x"
    assert victim.read_bytes() == b"precious"


def test_what_is_no_object_is_not_listed(storage: LocalStorage, root: pathlib.Path) -> None:
    storage.put("a/b", b"x")
    (root / "a/notes of the operator.txt").write_bytes(b"")
    (root / "a/b~").write_bytes(b"")
    (root / "lost+found").mkdir()
    (root / "lost+found/#123").write_bytes(b"")
    (root / "empty/folder").mkdir(parents=True)
    os.mkfifo(root / "a/pipe")
    assert [info.key for info in storage.list()] == ["a/b"]
    assert list(storage.list_folders()) == ["a"]
    with pytest.raises(StorageNotFound):  # and does not wait for somebody to write into the pipe
        storage.get("a/pipe")
    with pytest.raises(StorageNotFound):
        storage.get("a")


def test_a_name_is_an_object_or_a_folder(storage: LocalStorage) -> None:
    storage.put("a/b", b"x")
    for key in ("a/b/c", "a"):
        with pytest.raises(StorageKeyInvalid):
            storage.put(key, b"y")
        with pytest.raises(StorageKeyInvalid):
            storage.put(key, b"y", if_absent=False)
    assert [info.key for info in storage.list()] == ["a/b"]
    assert list(storage.unfinished()) == []


def test_an_aborted_writer_takes_its_empty_folders_with_it(storage: LocalStorage, root: pathlib.Path) -> None:
    storage.put("kept/a", b"x")
    for key in ("a/b/c", "kept/b/c"):
        writer = storage.writer(key)
        writer.write(b"x")
        writer.abort()
    assert sorted(path.name for path in root.rglob("*")) == ["a", "kept"]


def test_the_longest_name_can_be_stored(storage: LocalStorage) -> None:
    storage.put("a/" + "x" * 255, b"1")
    assert storage.get("a/" + "x" * 255) == b"1"


def test_only_temporary_files_can_be_aborted(storage: LocalStorage) -> None:
    storage.put("a/b", b"x")
    for token in ("a/b", "b", "", "a/.lifeboat-tmp-1-c", "../a/.lifeboat-tmp-1-b"):
        with pytest.raises(StorageError):
            storage.abort_unfinished(Unfinished(key="a/b", token=token, started=storage.stat("a/b").modified))
    assert storage.get("a/b") == b"x"


def test_a_file_that_shrinks_while_it_is_read_is_no_silent_end(storage: LocalStorage, root: pathlib.Path) -> None:
    storage.put("a", bytes(3_000_000))
    pieces = storage.read("a")
    next(pieces)
    os.truncate(root / "a", 1_500_000)
    with pytest.raises(StorageUnreachable, match="cut short"):
        list(pieces)


# --- durability ------------------------------------------------------------------------------------------------------


def test_everything_is_synced_before_the_next_step_relies_on_it(
    storage: LocalStorage, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watches the real calls; what they are told is looked up by descriptor."""
    steps: list[str] = []

    def watch(name: str, describe: t.Callable[..., str]) -> None:
        real = getattr(os, name)

        def call(*arguments: t.Any, **keywords: t.Any) -> t.Any:
            result = real(*arguments, **keywords)
            steps.append(f"{name} {describe(*arguments, **keywords)}")
            return result

        monkeypatch.setattr(os, name, call)

    def path_of(descriptor: int) -> str:
        found = os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), root)
        return "the file" if ".lifeboat-tmp-" in found else found

    watch("mkdir", lambda name, mode, dir_fd: name)
    watch("fsync", path_of)
    watch("link", lambda source, target, **_folders: target)
    watch("replace", lambda source, target, **_folders: target)
    storage.put("a/b/c", b"x")
    assert steps == ["mkdir a", "fsync .", "mkdir b", "fsync a", "fsync the file", "link c", "fsync a/b"]
    steps.clear()
    storage.put("a/b/c", b"y", if_absent=False)
    assert steps == ["fsync the file", "replace c", "fsync a/b"]
    steps.clear()
    storage.put("a/b/d", b"y")
    steps.clear()
    storage.delete(["a/b/c"])
    assert steps == ["fsync a/b"]


def test_an_object_whose_folder_could_not_be_synced_is_not_there(
    storage: LocalStorage, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync() of a folder is made to fail."""
    real = os.fsync

    def fail_for_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        real(descriptor)

    (root / "a").mkdir()
    monkeypatch.setattr(os, "fsync", fail_for_folders)
    with pytest.raises(StorageError, match="Input/output error"):
        storage.put("a/b", b"x")
    monkeypatch.undo()
    assert list(storage.list()) == []
    assert list(storage.unfinished()) == []


def test_an_object_that_could_not_be_synced_is_not_there(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync() of the file is made to fail."""

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    (writer := storage.writer("b")).write(b"x")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        writer.commit()
    monkeypatch.undo()
    assert list(storage.list()) == []
    assert list(storage.unfinished()) == []


# --- threads ---------------------------------------------------------------------------------------------------------


def test_folders_may_vanish_and_come_back_while_others_write(storage: LocalStorage) -> None:
    def come_and_go(number: int) -> None:
        for turn in range(150):
            storage.put(f"a/b/c/{number}-{turn}", b"x")
            list(storage.list())
            assert storage.delete([f"a/b/c/{number}-{turn}"]).refused == {}

    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(come_and_go, range(4)))
    assert list(storage.list()) == []
    assert list(storage.list_folders()) == []
