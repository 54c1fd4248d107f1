# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``archive_command``: what the script takes, what it refuses and how, and what is left when it dies anywhere.

Faults are injected by programs of the same name in front on PATH; all else is the real thing.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import subprocess
import typing as t
from dataclasses import dataclass

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_archive_script import (
    SpoolSettings,
    write_archive_script,
    write_spool_settings,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_restore_script import (
    write_restore_script,
)
from tests.support.wal import IDENTIFIER, MEBIBYTE, plain_segment

NAME = "000000010000000000000003"
NEXT = "000000010000000000000004"
HISTORY = b"1\t0/300100\tno recovery target specified\n"
PROGRAMS = ("od", "dd", "touch", "mv", "sync")


@dataclass(frozen=True)
class Rig:
    """A data directory with a ``pg_wal``, a spool, and the script."""

    folder: pathlib.Path

    @property
    def script(self) -> pathlib.Path:
        return self.folder / "archive-wal"

    @property
    def spool(self) -> pathlib.Path:
        return self.folder / "the spool"

    @property
    def data(self) -> pathlib.Path:
        return self.folder / "data"

    def wal(self, name: str, content: bytes) -> str:
        """A file in pg_wal; its path as PostgreSQL gives it."""
        path = self.data / "pg_wal" / name
        path.write_bytes(content)
        os.utime(path, (1763726400, 1763726400))
        return f"pg_wal/{name}"

    def run(
        self, path: str, name: str, *, spool: str | None = None, shims: pathlib.Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """As PostgreSQL does it: from inside of the data directory."""
        search = f"{shims}:{os.environ['PATH']}" if shims else os.environ["PATH"]
        return subprocess.run(
            ["sh", str(self.script), str(self.spool) if spool is None else spool, path, name],
            cwd=self.data,
            env={"PATH": search, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def names(self) -> list[str]:
        """What is in the spool, hidden files too, but for the settings."""
        return sorted(path.name for path in self.spool.iterdir() if path.name != ".settings")

    def shim(self, program: str, body: str) -> pathlib.Path:
        """A folder for the front of PATH in which *program* is replaced; {real} is the one that it replaces."""
        folder = self.folder / "shims"
        folder.mkdir(exist_ok=True)
        script = folder / program
        script.write_text("#!/bin/sh\n" + body.replace("{real}", str(shutil.which(program))))
        script.chmod(0o755)
        return folder


@pytest.fixture
def rig(tmp_path: pathlib.Path) -> Rig:
    made = Rig(tmp_path)
    (made.data / "pg_wal").mkdir(parents=True)
    made.spool.mkdir()
    write_archive_script(str(made.script))
    write_spool_settings(str(made.spool), SpoolSettings(system_identifier=IDENTIFIER, budget_mib=3))
    return made


def refused(done: subprocess.CompletedProcess[str], word: str) -> None:
    """Status 1 (PostgreSQL asks again), the word, a sentence, and what to type."""
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("lifeboat-archive-wal:")]
    assert re.fullmatch(rf"lifeboat-archive-wal: \[{word}\] .{{20,}}", lines[0]), done.stderr
    assert re.fullmatch(r"lifeboat-archive-wal: next: .{5,}", lines[1])


# --- what is taken ----------------------------------------------------------------------------------------------------


def test_a_segment_is_taken_whole_with_its_time(rig: Rig) -> None:
    content = plain_segment(NAME)
    done = rig.run(rig.wal(NAME, content), NAME)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert rig.names() == [NAME]
    assert (rig.spool / NAME).read_bytes() == content
    assert (rig.spool / NAME).stat().st_mtime == 1763726400
    assert (rig.spool / NAME).stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (f"{NAME}.partial", plain_segment(NAME)),
        (f"{NAME}.00000028.backup", b"START WAL LOCATION: 0/300028\n"),
        ("00000002.history", HISTORY),
    ],
)
def test_the_other_files_of_an_archive_are_taken(rig: Rig, name: str, content: bytes) -> None:
    assert rig.run(rig.wal(name, content), name).returncode == 0
    assert (rig.spool / name).read_bytes() == content


def test_the_same_again_is_taken_again(rig: Rig) -> None:
    path = rig.wal(NAME, plain_segment(NAME))
    assert [rig.run(path, NAME).returncode for _time in range(2)] == [0, 0]
    assert rig.names() == [NAME]


def test_segments_of_sixteen_mebibytes_and_high_numbers(rig: Rig) -> None:
    write_spool_settings(str(rig.spool), SpoolSettings(system_identifier=IDENTIFIER, budget_mib=64))
    name = "0000000A0000001600000FFF"
    assert rig.run(rig.wal(name, plain_segment(name)), name).returncode == 0
    usual = "0000000A00000016000000B3"
    content = plain_segment(usual, segment_size=16 * MEBIBYTE)
    assert rig.run(rig.wal(usual, content), usual).returncode == 0
    assert rig.names() == sorted([name, usual])


def test_a_note_is_held_against_the_control_file_of_its_server(rig: Rig) -> None:
    (rig.data / "global").mkdir()
    control = rig.data / "global" / "pg_control"
    path = rig.wal("00000002.history", HISTORY)
    control.write_bytes(int(IDENTIFIER).to_bytes(8, "little") + bytes(100))
    assert rig.run(path, "00000002.history").returncode == 0
    control.write_bytes((42).to_bytes(8, "little") + bytes(100))
    refused(rig.run(path, "00000002.history"), "foreign-cluster")


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (bytes(MEBIBYTE), "damaged"),
        (b"", "damaged"),
        (plain_segment(NAME)[:20], "damaged"),
        (b"x" * MEBIBYTE, "foreign-cluster"),
        (plain_segment(NAME, identifier="42"), "foreign-cluster"),
        (plain_segment(NAME)[: MEBIBYTE // 2], "truncated"),
        (plain_segment(NAME)[:-1], "truncated"),
        (plain_segment(NAME) + b"x", "truncated"),
        (plain_segment(NEXT), "misnamed"),
        (plain_segment("000000020000000000000003"), "misnamed"),
        (plain_segment("000000010000000100000003"), "misnamed"),
    ],
)
def test_what_is_not_this_segment_of_this_cluster_is_refused(rig: Rig, content: bytes, word: str) -> None:
    refused(rig.run(rig.wal(NAME, content), NAME), word)
    assert rig.names() == []


@pytest.mark.parametrize(
    "name",
    [
        "00000001000000000000000",
        "00000001000000000000000g",
        "00000001000000000000000a",
        f"{NAME}.part",
        f"{NAME}.28.backup",
        "../000000010000000000000003",
        "history",
        "archive_status",
        "",
        "*",
    ],
)
def test_other_names_are_refused(rig: Rig, name: str) -> None:
    refused(rig.run(rig.wal(NAME, plain_segment(NAME)), name), "name")
    assert rig.names() == []


def test_arguments_that_can_t_be_are_refused(rig: Rig) -> None:
    refused(rig.run("pg_wal/x", NAME, spool="relative"), "usage")
    done = subprocess.run(["sh", str(rig.script), "/x"], capture_output=True, text=True, timeout=30, check=False)
    refused(done, "usage")


def test_a_spool_that_is_not_there_is_refused(rig: Rig) -> None:
    path = rig.wal(NAME, plain_segment(NAME))
    refused(rig.run(path, NAME, spool=str(rig.folder / "nowhere")), "spool")


@pytest.mark.parametrize(
    "text", [None, "", "system_identifier=42\n", "budget_mib=5\n", "system_identifier=4 2\nbudget_mib=5\n"]
)
def test_a_spool_that_nobody_told_whose_it_is_takes_nothing(rig: Rig, text: str | None) -> None:
    (rig.spool / ".settings").unlink()
    if text is not None:
        (rig.spool / ".settings").write_text(text)
    refused(rig.run(rig.wal(NAME, plain_segment(NAME)), NAME), "settings")


def test_a_file_that_is_not_there_is_refused(rig: Rig) -> None:
    refused(rig.run("pg_wal/nothing", NAME), "unreadable")
    refused(rig.run("pg_wal/nothing", "00000002.history"), "copy")
    assert rig.names() == []


def test_another_content_under_the_same_name_is_refused_and_the_first_one_stays(rig: Rig) -> None:
    first = plain_segment(NAME)
    other = first[:-1] + bytes([first[-1] ^ 1])
    assert rig.run(rig.wal(NAME, first), NAME).returncode == 0
    refused(rig.run(rig.wal(NAME, other), NAME), "conflict")
    assert (rig.spool / NAME).read_bytes() == first
    assert rig.names() == [NAME]


def test_whatever_has_the_name_is_never_replaced(rig: Rig) -> None:
    path = rig.wal(NAME, plain_segment(NAME))
    (rig.spool / NAME).mkdir()
    refused(rig.run(path, NAME), "unreadable")
    (rig.spool / NAME).rmdir()
    (rig.spool / NAME).symlink_to(rig.folder / "nowhere")
    refused(rig.run(path, NAME), "unreadable")
    assert rig.names() == [NAME]


def test_the_budget_holds_the_wal_back_until_there_is_room_again(rig: Rig) -> None:
    names = [f"00000001000000000000000{number}" for number in range(3, 8)]
    paths = {name: rig.wal(name, plain_segment(name)) for name in names}
    assert [rig.run(paths[name], name).returncode for name in names[:3]] == [0, 0, 0]
    done = rig.run(paths[names[3]], names[3])
    refused(done, "budget")
    assert "3 segments wait" in done.stderr
    # What is there already costs nothing, and neither do notes.
    assert rig.run(paths[names[0]], names[0]).returncode == 0
    assert rig.run(rig.wal("00000002.history", HISTORY), "00000002.history").returncode == 0
    (rig.spool / names[0]).unlink()
    assert rig.run(paths[names[3]], names[3]).returncode == 0
    refused(rig.run(paths[names[4]], names[4]), "budget")


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "body", "word"),
    [
        ("dd", "echo \"dd: error writing 'x': No space left on device\" >&2; exit 1", "no-space"),
        ("dd", "echo 'dd: fsync failed: Input/output error' >&2; exit 1", "copy"),
        ("dd", '{real} "$@" count=0', "truncated"),
        ("touch", "exit 1", "copy"),
        ("mv", "exit 1", "rename"),
        ("sync", "exit 1", "sync"),
        ("od", "exit 1", "unreadable"),
        ("od", "echo 1 2 3", "damaged"),
    ],
)
def test_a_program_that_fails_leaves_nothing_half(rig: Rig, program: str, body: str, word: str) -> None:
    path = rig.wal(NAME, plain_segment(NAME))
    refused(rig.run(path, NAME, shims=rig.shim(program, body)), word)
    # Only when all but the last sync was done, the file is there: whole, and taken again by the next attempt.
    assert rig.names() == ([NAME] if program == "sync" else [])
    assert rig.run(path, NAME).returncode == 0
    assert (rig.spool / NAME).read_bytes() == plain_segment(NAME)


def test_somebody_who_was_faster_is_not_replaced(rig: Rig) -> None:
    path = rig.wal(NAME, plain_segment(NAME))
    shims = rig.shim("touch", f'{{real}} "$@"; echo other >"{rig.spool}/{NAME}"')
    refused(rig.run(path, NAME, shims=shims), "raced")
    assert (rig.spool / NAME).read_text() == "other\n"
    assert rig.names() == [NAME]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_death_at_any_step_leaves_all_or_nothing_and_the_next_attempt_mends_it(
    rig: Rig, program: str, when: str
) -> None:
    content = plain_segment(NAME)
    path = rig.wal(NAME, content)
    body = "kill -9 $PPID" if when == "before" else '{real} "$@"; kill -9 $PPID'
    done = rig.run(path, NAME, shims=rig.shim(program, body))
    assert done.returncode == -signal.SIGKILL
    visible = [name for name in rig.names() if not name.startswith(".")]
    named = program == "sync" or (program, when) == ("mv", "after")
    assert visible == ([NAME] if named else [])
    if visible:
        assert (rig.spool / NAME).read_bytes() == content
    assert rig.run(path, NAME).returncode == 0
    # The next one cleans up behind it, unless there was nothing left to do.
    assert rig.names() == [NAME]
    assert (rig.spool / NAME).read_bytes() == content


def test_being_told_to_stop_leaves_nothing(rig: Rig) -> None:
    path = rig.wal(NAME, plain_segment(NAME))
    done = rig.run(path, NAME, shims=rig.shim("dd", 'kill -TERM $PPID; {real} "$@"'))
    assert done.returncode == 1
    assert rig.names() == []


def test_what_a_living_one_has_begun_is_left_alone(rig: Rig) -> None:
    living = rig.spool / f".tmp-wal.{NEXT}.{os.getpid()}"
    living.write_bytes(b"half")
    assert rig.run(rig.wal(NAME, plain_segment(NAME)), NAME).returncode == 0
    assert rig.names() == [living.name, NAME]


# --- the text itself --------------------------------------------------------------------------------------------------


def test_it_is_written_once(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "archive-wal"
    assert write_archive_script(str(path))
    assert not write_archive_script(str(path))
    assert path.stat().st_mode & 0o777 == 0o755
    path.chmod(0o644)
    assert write_archive_script(str(path))
    path.write_text("an older one")
    assert write_archive_script(str(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["archive-wal"]


@pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="shellcheck is not installed: apt-get install shellcheck"
)
@pytest.mark.parametrize("write", [write_archive_script, write_restore_script])
def test_shellcheck_has_nothing_to_say(tmp_path: pathlib.Path, write: t.Callable[[str], bool]) -> None:
    write(str(tmp_path / "script"))
    done = subprocess.run(
        ["shellcheck", "--severity=style", "--shell=dash", str(tmp_path / "script")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
