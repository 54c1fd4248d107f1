# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions of the agent may go: never the one in use, nor one that a process still runs from."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "roles/agent/files/unused_versions.sh"


@pytest.fixture
def installed(tmp_path: pathlib.Path) -> pathlib.Path:
    """Five versions, the oldest first; the fourth is in use."""
    for age, name in enumerate(["0.1.0-e", "0.1.0-d", "0.1.0-c", "0.1.0-b", "0.1.0-a"]):
        folder = tmp_path / "versions" / name / "bin"
        folder.mkdir(parents=True)
        (folder / "python").symlink_to(sys.executable)
        (folder.parent / "complete").touch()
        os.utime(folder.parent, (1_000_000 + age, 1_000_000 + age))
    (tmp_path / "current").symlink_to("versions/0.1.0-b")
    return tmp_path


def unused(folder: pathlib.Path, kept: int) -> list[str]:
    command = ["/bin/sh", "-c", SCRIPT.read_text(encoding="utf-8"), str(folder), str(kept)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("kept", "gone"),
    [(0, ["0.1.0-a", "0.1.0-c", "0.1.0-d", "0.1.0-e"]), (1, ["0.1.0-c", "0.1.0-d", "0.1.0-e"]), (9, [])],
)
def test_the_current_one_and_the_newest_stay(installed: pathlib.Path, kept: int, gone: list[str]) -> None:
    assert unused(installed, kept) == gone


def test_what_did_not_come_to_its_end_is_none_to_go_back_to(installed: pathlib.Path) -> None:
    (installed / "versions/0.1.0-a/complete").unlink()
    assert unused(installed, 1) == ["0.1.0-a", "0.1.0-d", "0.1.0-e"]


def test_one_that_a_process_runs_from_stays(installed: pathlib.Path) -> None:
    program = installed / "versions/0.1.0-d/bin/python"
    child = subprocess.Popen(
        [str(program), "-c", "import sys; print(1, flush=True); sys.stdin.read()"], stdin=-1, stdout=-1
    )
    try:
        assert child.stdout is not None
        child.stdout.read(1)
        assert unused(installed, 0) == ["0.1.0-a", "0.1.0-c", "0.1.0-e"]
    finally:
        child.communicate(b"")
    assert unused(installed, 0) == ["0.1.0-a", "0.1.0-c", "0.1.0-d", "0.1.0-e"]
