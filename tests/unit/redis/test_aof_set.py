# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set is of one moment: whatever changes between the first name and the last length makes it begin again."""

from __future__ import annotations

import io
import os
import pathlib
import tarfile
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RedisFilesUnreachable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis import aof_set
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_set import (
    Vanished,
    open_set,
    open_single,
)
from tests.unit.redis.made_files import command, make_rdb

MANIFEST = b"file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n"
NEXT = b"file a.2.base.rdb seq 2 type b\nfile a.2.incr.aof seq 2 type i\n"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    made = tmp_path / "dir"
    made.mkdir()
    (made / "a.manifest").write_bytes(MANIFEST)
    (made / "a.1.base.rdb").write_bytes(make_rdb(keys={"a": b"1"}))
    (made / "a.1.incr.aof").write_bytes(command("SELECT", "0"))
    return made


def open_it(folder: pathlib.Path) -> aof_set.AofSet:
    return open_set(data_folder=str(folder.parent), folder_name="dir", file_name="a")


def test_in_order_with_the_manifest_last(folder: pathlib.Path) -> None:
    found = open_it(folder)
    output = io.BytesIO()
    checked = found.write_tar(output)
    found.close()
    output.seek(0)
    with tarfile.open(fileobj=output) as archive:
        assert archive.getnames() == ["dir/a.1.base.rdb", "dir/a.1.incr.aof", "dir/a.manifest"]
    assert checked["dir/a.1.incr.aof"].commands == 1


@pytest.mark.parametrize("change", ["manifest", "file", "all"])
def test_a_rewrite_while_the_files_are_opened(
    folder: pathlib.Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is injected as the first file is opened: a server replaces the set just then."""
    real_open = os.open

    def open_and_change(path: t.Any, *arguments: t.Any, **options: t.Any) -> int:
        descriptor = real_open(path, *arguments, **options)
        if str(path).endswith(".base.rdb"):
            if change in ("manifest", "all"):
                (folder / "a.manifest").write_bytes(NEXT)
            if change in ("file", "all"):
                (folder / "a.1.incr.aof").unlink()
        return descriptor

    monkeypatch.setattr(aof_set.os, "open", open_and_change)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Vanished):
        open_it(folder)
    assert len(os.listdir("/proc/self/fd")) == before


def test_history_is_left_out(folder: pathlib.Path) -> None:
    (folder / "a.manifest").write_bytes(b"file a.0.incr.aof seq 0 type h\n" + MANIFEST)
    found = open_it(folder)
    assert [file.name for file in found.files] == ["dir/a.1.base.rdb", "dir/a.1.incr.aof"]
    found.close()
    found.close()


def test_what_grows_later_is_not_in_the_tar(folder: pathlib.Path) -> None:
    found = open_it(folder)
    with open(folder / "a.1.incr.aof", "ab") as file:
        file.write(command("SET", "later", "1"))
    output = io.BytesIO()
    assert found.write_tar(output)["dir/a.1.incr.aof"].commands == 1
    found.close()


def test_one_file_of_old_servers(tmp_path: pathlib.Path) -> None:
    (tmp_path / "appendonly.aof").write_bytes(command("SELECT", "0"))
    found = open_single(data_folder=str(tmp_path), file_name="appendonly.aof")
    assert (found.manifest_name, found.length, found.files[0].kind) == (None, 23, "single")
    found.close()
    with pytest.raises(RedisFilesUnreachable):
        open_single(data_folder=str(tmp_path), file_name="absent.aof")
