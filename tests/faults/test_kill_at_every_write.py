# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run into a folder dies at every single step: what it leaves never passes for a backup, and the next run removes it.

Nothing is simulated: the process that makes the backup is killed by SIGKILL.
"""

from __future__ import annotations

import pathlib
import typing as t
from dataclasses import replace

import pytest

from tests.support.backup_child import Nursery
from tests.support.backups import make_source
from tests.support.death import Rig, die_at_any_byte, make_rig

SIZE = 200_000


@pytest.fixture
def local(nursery: Nursery, tmp_path: pathlib.Path) -> Rig:
    make_source(tmp_path / "source", size=SIZE)
    (tmp_path / "repository").mkdir()
    return make_rig(nursery, tmp_path, {"type": "file", "path": str(tmp_path / "repository")}, {})


@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
def test_a_run_into_a_folder_dies_at_every_call_to_the_repository(local: Rig, answer_lost: bool) -> None:
    local.die_everywhere("at_call", answer_lost=answer_lost, at_least=15)


def test_a_run_into_a_folder_dies_at_every_change_of_a_file(local: Rig) -> None:
    local.die_everywhere("at_system_call", at_least=50)


def test_a_run_into_a_folder_dies_at_every_change_of_a_file_while_it_sweeps(
    local: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    die = local.die

    def leave_and_die(**where: t.Any) -> bool:
        local.leave_something()
        return die(**where)

    monkeypatch.setattr(local, "die", leave_and_die)
    local.die_everywhere("at_system_call", at_least=60)


def test_a_run_into_a_folder_dies_at_any_byte_of_the_stream(local: Rig) -> None:
    local.plain = replace(local.plain, copied=None)
    die_at_any_byte(local, size=SIZE)
