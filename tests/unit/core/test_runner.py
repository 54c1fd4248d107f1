# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short commands: real processes, a deadline that holds for everything they started, errors that name the way out."""

from __future__ import annotations

import os
import pathlib
import signal
import stat
import threading
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    CommandFailed,
    CommandTimedOut,
    Interrupted,
    ToolMissing,
    ToolTooOld,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import (
    SubprocessRunner,
    find_program,
    program_version,
    require_version,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import stopping_on_signals

RUNNER = SubprocessRunner()


def script(path: pathlib.Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def is_alive(pid: int) -> bool:
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition: t.Callable[[], bool], *, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def test_output_error_and_status_come_back() -> None:
    completed = RUNNER.run(["sh", "-c", "cat; echo oops >&2; exit 3"], stdin=b"in", check=False)
    assert (completed.status, completed.output, completed.error) == (3, b"in", b"oops\n")


def test_bytes_that_are_not_utf_8_are_replaced_in_the_text() -> None:
    assert RUNNER.run(["printf", r"a\377b"]).text == "a\ufffdb"


def test_nothing_is_expanded_as_a_shell_would() -> None:
    assert RUNNER.run(["printf", "%s", "$HOME *"]).text == "$HOME *"


def test_messages_are_in_plain_english_and_the_environment_is_added_to_ours() -> None:
    completed = RUNNER.run(["sh", "-c", 'echo "$LC_ALL $EXTRA $HOME"'], environment={"EXTRA": "more"})
    assert completed.text == f"C more {os.environ['HOME']}\n"


def test_a_failure_is_an_error_with_the_status_and_the_last_lines_that_it_printed() -> None:
    with pytest.raises(CommandFailed, match=r"sh ended with status 7: line 13\n(.*\n)*the reason") as raised:
        RUNNER.run(["sh", "-c", "for i in $(seq 19); do echo line $i; done >&2; echo the reason >&2; exit 7"])
    assert raised.value.details == {"command": "sh", "status": 7}


def test_the_error_never_holds_the_arguments() -> None:
    with pytest.raises(CommandFailed) as raised:
        RUNNER.run(["sh", "-c", "exit 1 # hunter2"])
    assert "hunter2" not in f"{raised.value!r} {raised.value} {raised.value.as_dict()}"


def test_a_timeout_kills_the_whole_process_group(tmp_path: pathlib.Path) -> None:
    pids = tmp_path / "pids"
    started = time.monotonic()
    with pytest.raises(CommandTimedOut, match=r"sh did not end within 0\.5 seconds"):
        RUNNER.run(["sh", "-c", f"sleep 60 & echo $! $$ > {pids}; wait"], timeout=0.5)
    assert time.monotonic() - started < 10
    family = [int(pid) for pid in pids.read_text(encoding="ascii").split()]
    assert len(family) == 2
    assert wait_until(lambda: not any(is_alive(pid) for pid in family))


def test_an_interruption_kills_the_whole_process_group(tmp_path: pathlib.Path) -> None:
    pids = tmp_path / "pids"

    def when_it_runs() -> None:
        if wait_until(lambda: pids.exists() and pids.read_text(encoding="ascii").endswith("\n"), seconds=20):
            time.sleep(0.3)  # until run() waits for its end
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=when_it_runs)
    thread.start()
    started = time.monotonic()
    with pytest.raises(Interrupted), stopping_on_signals():
        RUNNER.run(["sh", "-c", f"sleep 60 & echo $! $$ > {pids}; wait"], timeout=55)
    thread.join()
    assert time.monotonic() - started < 30
    family = [int(pid) for pid in pids.read_text(encoding="ascii").split()]
    assert wait_until(lambda: not any(is_alive(pid) for pid in family))


def test_a_missing_tool_names_the_package_that_has_it() -> None:
    with pytest.raises(ToolMissing, match="pg_basebackup is not on this host") as raised:
        RUNNER.run(["/nowhere/pg_basebackup", "--version"])
    assert raised.value.hint == "Install it, on Debian: apt-get install postgresql-client"
    assert raised.value.details == {"tool": "pg_basebackup", "package": "postgresql-client"}


def test_a_file_that_may_not_be_run_counts_as_missing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n", encoding="utf-8")
    with pytest.raises(ToolMissing):
        find_program(str(tmp_path / "tool"))
    with pytest.raises(ToolMissing):
        find_program("tool", directories=[str(tmp_path)])


def test_folders_of_the_caller_come_before_the_path(tmp_path: pathlib.Path) -> None:
    mine = script(tmp_path / "cat", "exit 0")
    assert find_program("cat", directories=[str(tmp_path)]) == mine
    assert find_program("cat") != mine


@pytest.mark.parametrize(
    ("prints", "expected"),
    [
        ("echo 'pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'", (15, 18)),
        ("echo '*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***'", (1, 5, 4)),
        ("echo 'version: 100.12.0' >&2", (100, 12, 0)),
        ("echo 'v1.1.1'", (1, 1, 1)),
        ("echo 'pg_dump (PostgreSQL) 18rc1 (Ubuntu 18~rc1-1.pgdg22.04+1)'", (18,)),
        ("echo 'Redis server v=7.0.15 sha=00000000:0 bits=64'", (7, 0, 15)),
        ("echo 'unknown'", ()),
    ],
)
def test_the_version_is_the_first_number_that_stands_alone(
    prints: str, expected: tuple[int, ...], tmp_path: pathlib.Path
) -> None:
    assert program_version(script(tmp_path / "tool", prints), runner=RUNNER) == expected


def test_a_tool_that_is_too_old_is_refused_with_the_reason() -> None:
    require_version("pg_dump", found=(15, 18), at_least=(15,), reason="it can't read the server")
    with pytest.raises(ToolTooOld, match=r"pg_dump is version 13\.2, but 15\.1 is needed: it can't read") as raised:
        require_version("pg_dump", found=(13, 2), at_least=(15, 1), reason="it can't read the server")
    assert raised.value.details == {"tool": "pg_dump", "found": [13, 2], "needed": [15, 1]}
    with pytest.raises(ToolTooOld, match="is version unknown"):
        require_version("pg_dump", found=(), at_least=(15,), reason="it can't read the server")
