# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scratch folder is checked, removed, and recognised when a crash left it."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    PostgresScratchTooSmall,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.scratch import (
    check_scratch,
    scratch_folder,
)
from tests.support.children import ENGINE, child, line_of


def test_room_is_asked_for(tmp_path: pathlib.Path) -> None:
    assert check_scratch(str(tmp_path), needed=1) > 0
    with pytest.raises(PostgresScratchTooSmall) as caught:
        check_scratch(str(tmp_path), needed=10**18)
    assert caught.value.details["needed"] == 10**18


def test_a_folder_that_is_not_there_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RequestInvalid) as caught:
        check_scratch(str(tmp_path / "none"), needed=1)
    assert caught.value.hint.startswith("Run: mkdir")


def test_it_is_private_and_gone_afterwards(tmp_path: pathlib.Path) -> None:
    with scratch_folder(str(tmp_path)) as folder:
        assert pathlib.Path(folder).stat().st_mode & 0o777 == 0o700
        (pathlib.Path(folder) / "dump").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_an_error_too(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder(str(tmp_path)):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


_HOLDER = f"""
import sys
from {ENGINE}.postgresql.scratch import scratch_folder
with scratch_folder(sys.argv[1]) as folder:
    open(folder + "/data", "w").close()
    print(folder, flush=True)
    sys.stdin.readline()
"""


def test_a_killed_runs_folder_is_removed_by_the_next_and_a_running_ones_is_not(tmp_path: pathlib.Path) -> None:
    (tmp_path / "lifeboat-pg_dump-but-a-file").touch()
    (tmp_path / "other").mkdir()
    with child(_HOLDER, str(tmp_path)) as process:
        held = pathlib.Path(line_of(process))
        with scratch_folder(str(tmp_path)):
            assert (held / "data").exists()
        assert (held / "data").exists()
        process.kill()
        process.wait()
    with scratch_folder(str(tmp_path)):
        assert not held.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lifeboat-pg_dump-but-a-file", "other"]
