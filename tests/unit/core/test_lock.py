# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time for each source: the kernel holds the lock, so it is free however its holder ends."""

from __future__ import annotations

import fcntl
import os
import pathlib
import threading
import time

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LockHeld,
    StateDirectoryUnusable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import (
    SourceLock,
    StateDirectory,
    running_jobs,
)
from tests.support.children import ENGINE, child, line_of
from tests.support.clocks import FakeClock

HOLDER = f"""
import sys
from {ENGINE}.core.clock import SystemClock
from {ENGINE}.core.state import SourceLock, StateDirectory
lock = SourceLock(state=StateDirectory(path=sys.argv[1]), name="family.main", clock=SystemClock())
lock.acquire(holder={{"job": "family/main/full", "id": "20261121T020000Z-4f2c91"}}, timeout=0)
lock.show({{"stage": "dumping", "bytes_done": 5}})
print("held", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def state(tmp_path: pathlib.Path) -> StateDirectory:
    return StateDirectory(path=str(tmp_path / "state"))


def lock_of(state: StateDirectory, name: str = "family.main") -> SourceLock:
    return SourceLock(state=state, name=name, clock=SystemClock())


def test_a_second_process_is_told_who_holds_the_lock_and_how_far_it_is(state: StateDirectory) -> None:
    with child(HOLDER, state.path) as holder:
        assert line_of(holder) == "held"
        with pytest.raises(LockHeld) as raised:
            lock_of(state).acquire(holder={"job": "family/main/full"}, timeout=0)
    error = raised.value
    assert error.message.startswith(f"family/main is being worked on by process {holder.pid} on {os.uname().nodename}")
    assert "family/main/full, dumping" in error.message
    assert "lifeboat status" in error.hint
    assert error.details["pid"] == holder.pid
    assert error.details["id"] == "20261121T020000Z-4f2c91"
    assert error.details["progress"]["bytes_done"] == 5


def test_another_source_is_not_held_up(state: StateDirectory) -> None:
    with child(HOLDER, state.path) as holder:
        assert line_of(holder) == "held"
        other = lock_of(state, "acme.main")
        other.acquire(holder={}, timeout=0)
        other.release()


def test_whoever_waits_gets_the_lock_when_it_is_released(state: StateDirectory) -> None:
    with child(HOLDER, state.path) as holder:
        assert line_of(holder) == "held"
        timer = threading.Timer(0.3, lambda: holder.stdin and holder.stdin.write("\n") and holder.stdin.flush())
        timer.start()
        started = time.monotonic()
        lock = lock_of(state)
        lock.acquire(holder={"job": "mine"}, timeout=10)
        assert 0.2 < time.monotonic() - started < 5
        assert [job["job"] for job in running_jobs(state)] == ["mine"]
        lock.release()
        timer.join()


def test_whoever_waits_too_long_is_told_how_long_he_waited(state: StateDirectory) -> None:
    with child(HOLDER, state.path) as holder:
        assert line_of(holder) == "held"
        clock = FakeClock()
        with pytest.raises(LockHeld, match=r"\(waited 30 s\)"):
            SourceLock(state=state, name="family.main", clock=clock).acquire(holder={}, timeout=30)
        assert 29.99 < sum(clock.slept) < 31


def test_the_lock_of_a_holder_that_was_killed_is_free_at_once(state: StateDirectory) -> None:
    with child(HOLDER, state.path) as holder:
        assert line_of(holder) == "held"
        holder.kill()
        holder.wait()
    assert state.names("running") == ["family.main.json"]  # its note is still there
    assert running_jobs(state) == []
    lock = lock_of(state)
    lock.acquire(holder={"job": "next"}, timeout=0)
    assert [job["job"] for job in running_jobs(state)] == ["next"]
    lock.release()


def test_what_a_killed_holder_was_writing_is_cleaned_by_the_next(state: StateDirectory) -> None:
    rest = pathlib.Path(state.folder("running"), ".family.main.json.x8x8x8x8")
    of_another = pathlib.Path(state.folder("running"), ".acme.main.json.x8x8x8x8")
    for path in (rest, of_another):
        path.write_text("{", encoding="utf-8")
    lock = lock_of(state)
    lock.acquire(holder={}, timeout=0)
    lock.release()
    assert not rest.exists()
    assert of_another.exists()


def test_what_runs_is_shown_with_its_progress_while_it_runs_and_not_after(state: StateDirectory) -> None:
    assert running_jobs(state) == []
    with child(HOLDER, state.path) as holder:
        assert line_of(holder) == "held"
        (job,) = running_jobs(state)
        assert (job["job"], job["pid"]) == ("family/main/full", holder.pid)
        assert job["progress"] == {"stage": "dumping", "bytes_done": 5}
        assert job["since"].endswith("Z")
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert line_of(holder) == "released"
        assert running_jobs(state) == []


def test_a_look_at_what_runs_never_keeps_a_run_from_starting(state: StateDirectory) -> None:
    """To see whether a note is of a dead run, running_jobs() holds the lock for an instant."""
    looking = os.open(os.path.join(state.folder("locks"), "family.main.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(looking, fcntl.LOCK_SH)

    class LookEnds(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            fcntl.flock(looking, fcntl.LOCK_UN)

    lock = SourceLock(state=state, name="family.main", clock=LookEnds())
    lock.acquire(holder={}, timeout=0)
    lock.release()
    os.close(looking)


def test_releasing_twice_or_never_having_it_does_nothing(state: StateDirectory) -> None:
    lock = lock_of(state)
    lock.release()
    lock.acquire(holder={}, timeout=0)
    lock.release()
    lock.release()
    other = lock_of(state)
    other.acquire(holder={}, timeout=0)
    lock.release()
    with pytest.raises(LockHeld):
        lock_of(state).acquire(holder={}, timeout=0)
    other.release()


def test_a_lock_whose_note_can_not_be_written_is_not_kept(state: StateDirectory) -> None:
    state.folder("locks")
    blocked = pathlib.Path(state.path, "running")
    blocked.write_text("in the way", encoding="utf-8")
    with pytest.raises(StateDirectoryUnusable):
        lock_of(state).acquire(holder={}, timeout=0)
    blocked.unlink()
    lock = lock_of(state)
    lock.acquire(holder={}, timeout=0)
    lock.release()


def test_a_lock_file_that_can_not_be_opened_is_an_error_with_the_way_out(state: StateDirectory) -> None:
    os.mkdir(os.path.join(state.folder("locks"), "family.main.lock"))
    with pytest.raises(StateDirectoryUnusable, match=r"family\.main\.lock"):
        lock_of(state).acquire(holder={}, timeout=0)


def test_the_holder_leaves_no_descriptor_open(state: StateDirectory) -> None:
    before = len(os.listdir("/proc/self/fd"))
    lock = lock_of(state)
    lock.acquire(holder={}, timeout=0)
    with pytest.raises(LockHeld):
        SourceLock(state=state, name="family.main", clock=FakeClock()).acquire(holder={}, timeout=1)
    running_jobs(state)
    lock.release()
    assert len(os.listdir("/proc/self/fd")) == before
