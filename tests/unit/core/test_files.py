# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that others read is replaced in one step, or left as it was."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import OutputUnwritable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.files import replace_file


def test_a_file_is_replaced_whole_and_who_has_the_old_one_open_reads_it_on(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "status page.html"
    replace_file(str(path), b"old")
    with path.open("rb") as reader:
        replace_file(str(path), b"newer")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"newer"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == [path.name]


def test_what_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.html"
    replace_file(str(path), b"old")

    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputUnwritable, match="No space left") as raised:
        replace_file(str(path), b"new")
    assert raised.value.exit_status == 2
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]
