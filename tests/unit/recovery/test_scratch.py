# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing of a scratch instance is left, whatever happens to the run: neither its folder nor any process of it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ScratchUnusable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery import scratch as room
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.scratch import (
    PREFIX,
    Scratch,
    free_bytes,
    scratch_instance,
    sweep_scratch,
)
from tests.support.children import ENGINE, child, line_of
from tests.support.waiting import wait_for

MIB = 1024 * 1024
# A server with a child, a grandchild whose parent ends, and one that forgets its environment as PostgreSQL's do.
SERVER = "sleep 600 & (setsid sleep 600 & ) ; env -i sleep 600 & echo ready; wait"
RUN = f"""
import sys
from {ENGINE}.core.journal import MemoryJournal
from {ENGINE}.recovery.scratch import scratch_instance
user = sys.argv[3] or None
with scratch_instance(sys.argv[1], memory_limit=1, journal=MemoryJournal()) as scratch:
    scratch.spawn(["sh", "-c", sys.argv[2]], log="log", user=user)
    print(scratch.folder, flush=True)
    sys.stdin.read()
"""


GREEDY = "import sys; block = bytearray(int(sys.argv[1])); print('got it', len(block))"


@pytest.mark.thorough
@pytest.mark.parametrize(("limit", "needed", "enough"), [(8, 0, 900), (8, 400, 1700), (0, 0, 1700)])
def test_the_kernel_holds_a_server_to_its_memory(directory: str, limit: int, needed: int, enough: int) -> None:
    with scratch_instance(directory, memory_limit=limit * MIB, journal=MemoryJournal()) as scratch:

        def status_of(mebibytes: int) -> int:
            argv = scratch.within_memory([sys.executable, "-c", GREEDY, str(mebibytes * MIB)], needed=needed * MIB)
            return int(scratch.spawn(argv, log="greedy").wait())

        assert status_of(enough) == 0
        assert (status_of(2 * max(limit, needed) + 1100) == 0) is (limit == 0)
        said = pathlib.Path(scratch.path("greedy")).read_text()
        assert ("MemoryError" in said) is (limit > 0)


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> t.Iterator[str]:
    for path in (tmp_path, *tmp_path.parents):
        if os.stat(path).st_uid == os.geteuid() and path != pathlib.Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    yield str(tmp_path / "scratch")
    assert sleepers(str(tmp_path)) == []


def sleepers(folder: str) -> list[int]:
    """Every living process with its working folder in *folder*."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(path / "cwd").startswith(folder) and "State:\tZ" not in (path / "status").read_text():
                found.append(int(path.name))
    return found


def test_a_scratch_folder_is_made_and_gone_with_all_that_runs_in_it(directory: str) -> None:
    with scratch_instance(directory, memory_limit=5 * MIB, journal=MemoryJournal()) as scratch:
        process = scratch.spawn(["sh", "-c", SERVER], log="server.log", environment={"COLOUR": "blue"})
        wait_for(lambda: "ready" in pathlib.Path(scratch.path("server.log")).read_text())
        assert len(sleepers(scratch.folder)) >= 4
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
        assert scratch.memory_limit == 5 * MIB
        assert os.stat(scratch.folder).st_mode & 0o777 == 0o711
        assert b"COLOUR=blue" in pathlib.Path(f"/proc/{process.pid}/environ").read_bytes()
    assert os.listdir(directory) == []
    assert sleepers(directory) == []


def test_an_error_in_the_middle_leaves_nothing_either(directory: str) -> None:
    def verify() -> None:
        with scratch_instance(directory, memory_limit=1, journal=MemoryJournal()) as scratch:
            scratch.spawn(["sleep", "600"], log="log")
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        verify()
    assert os.listdir(directory) == []


def test_a_process_that_does_not_listen_is_killed(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_STOP_SECONDS", 0.5)
    with scratch_instance(directory, memory_limit=1, journal=MemoryJournal()) as scratch:
        # Its parent listens and ends: then nothing but our memory says whose it is.
        stubborn = "trap '' TERM; echo ready; while :; do sleep 1; done"
        scratch.spawn(["sh", "-c", 'env -i sh -c "$1" & wait', "sh", stubborn], log="log")
        wait_for(lambda: "ready" in pathlib.Path(scratch.path("log")).read_text())
    assert os.listdir(directory) == []


@pytest.mark.parametrize("user", ["", "nobody"])
def test_the_next_run_removes_what_a_killed_one_left(user: str, directory: str) -> None:
    if user and os.geteuid() != 0:
        pytest.skip("only root starts processes of other users")
    with child(RUN, directory, SERVER, user) as run:
        folder = line_of(run)
        wait_for(lambda: "ready" in pathlib.Path(folder, "log").read_text())
        assert sweep_scratch(directory, journal=MemoryJournal()) == []  # it is in use
        assert len(sleepers(folder)) >= 4
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    assert len(sleepers(folder)) >= 4
    journal = MemoryJournal()
    with scratch_instance(directory, memory_limit=1, journal=journal) as scratch:
        assert os.listdir(directory) == [os.path.basename(scratch.folder)]
        assert sleepers(folder) == []
    assert f"Removed the scratch instance of a run that died: {folder}" in str(vars(journal))


def test_on_request_the_folder_is_kept_without_its_processes_and_no_run_removes_it(directory: str) -> None:
    journal = MemoryJournal()
    with scratch_instance(directory, memory_limit=1, journal=journal, keep=True) as scratch:
        pathlib.Path(scratch.path("data")).write_text("to look at")
        scratch.spawn(["sleep", "600"], log="log")
    assert sweep_scratch(directory, journal=journal) == []
    (kept,) = os.listdir(directory)
    assert not kept.startswith(PREFIX)
    assert pathlib.Path(directory, kept, "data").read_text() == "to look at"
    assert f"rm -r {directory}/{kept}" in str(vars(journal))
    assert sleepers(directory) == []


def test_what_was_only_just_spawned_is_stopped_though_its_environment_can_not_be_read_yet(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a program replaces another one in a process, the kernel shows an empty environment."""
    monkeypatch.setattr(room, "_processes_in", lambda _folder, _known=(): {})
    with scratch_instance(directory, memory_limit=1, journal=MemoryJournal()) as scratch:
        process = scratch.spawn(["sleep", "600"], log="log")
    assert process.poll() == -signal.SIGTERM


def test_what_is_not_ours_is_left_alone(directory: str, tmp_path: pathlib.Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for path in (elsewhere, pathlib.Path(directory, "data"), pathlib.Path(directory, PREFIX + "being-made")):
        path.mkdir(parents=True)
        (path / "file").write_text("mine")
    pathlib.Path(directory, PREFIX + "link").symlink_to(elsewhere)
    pathlib.Path(directory, PREFIX + "file").write_text("a file")
    before = sorted(os.listdir(directory))
    assert sweep_scratch(directory, journal=MemoryJournal()) == []
    assert sorted(os.listdir(directory)) == before
    assert (elsewhere / "file").exists()
    # One that has had no lock for hours was never finished: its run died as it made it.
    made = pathlib.Path(directory, PREFIX + "being-made")
    long_ago = made.stat().st_mtime - 7200
    os.utime(made, (long_ago, long_ago))
    assert sweep_scratch(directory, journal=MemoryJournal()) == [str(made)]


def test_a_folder_that_is_just_being_made_is_never_taken_for_a_dead_run_s(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = room.fcntl.flock
    swept = []

    def at_this_moment(lock: t.Any, how: int) -> None:
        if not swept:
            swept.append(None)
            assert sweep_scratch(directory, journal=MemoryJournal()) == []
        flock(lock, how)

    monkeypatch.setattr(room.fcntl, "flock", at_this_moment)
    with scratch_instance(directory, memory_limit=1, journal=MemoryJournal()) as scratch:
        assert sweep_scratch(directory, journal=MemoryJournal()) == []
        assert os.path.isdir(scratch.folder)
    assert swept


def test_a_folder_that_can_not_be_used_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ScratchUnusable, match="Not a directory") as raised,
        scratch_instance(str(tmp_path / "file" / "below"), memory_limit=1, journal=MemoryJournal()),
    ):
        pass
    assert "scratch_directory" in (raised.value.hint or "")


def test_free_space_is_that_of_what_will_hold_the_folder(tmp_path: pathlib.Path) -> None:
    there, absent = free_bytes(str(tmp_path)), free_bytes(str(tmp_path / "not" / "there"))
    assert there > 0
    assert abs(there - absent) < 64 * MIB
    with pytest.raises(FileNotFoundError):
        subprocess.run([str(tmp_path / "not" / "there")], check=False)
    assert Scratch(folder="/x", memory_limit=1).path("y") == "/x/y"
