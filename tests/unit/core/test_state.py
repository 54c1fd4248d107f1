# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's own notes: written in one step, read back whole, records that outlive crashes."""

from __future__ import annotations

import os
import pathlib
import stat

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StateDirectoryUnusable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory


@pytest.fixture
def state(tmp_path: pathlib.Path) -> StateDirectory:
    return StateDirectory(path=str(tmp_path / "state"))


def test_a_note_comes_back_as_it_was_written(state: StateDirectory) -> None:
    assert state.read("running", "a.json") is None
    assert state.names("running") == []
    state.write("running", "a.json", {"n": 1})
    state.write("running", "a.json", {"n": 2, "text": "é"})
    assert state.read("running", "a.json") == {"n": 2, "text": "é"}
    assert state.names("running") == ["a.json"]


def test_reading_makes_nothing(state: StateDirectory) -> None:
    state.read("running", "a.json")
    state.names("running")
    state.records("job")
    assert not os.path.exists(state.path)


def test_notes_are_readable_by_their_owner_only(state: StateDirectory) -> None:
    state.write("running", "a.json", {})
    state.append_record("job", {})
    for path in (state.path, f"{state.path}/running", f"{state.path}/running/a.json", f"{state.path}/runs/job.jsonl"):
        assert stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("content", [b"", b'{"n": ', b"[1]", b"\xff\xfe", b"null"])
def test_a_note_that_is_none_reads_as_none(state: StateDirectory, content: bytes) -> None:
    state.write("running", "a.json", {})
    pathlib.Path(state.path, "running", "a.json").write_bytes(content)
    assert state.read("running", "a.json") is None


def test_a_note_that_can_not_be_written_leaves_no_temporary_file(state: StateDirectory) -> None:
    os.makedirs(os.path.join(state.path, "running", "a.json", "in-the-way"))
    with pytest.raises(StateDirectoryUnusable):
        state.write("running", "a.json", {"n": 1})
    with pytest.raises(TypeError):
        state.write("running", "b.json", {"n": object()})
    assert os.listdir(os.path.join(state.path, "running")) == ["a.json"]


def test_records_come_back_oldest_first(state: StateDirectory) -> None:
    assert state.records("job") == []
    for number in range(3):
        state.append_record("job", {"n": number})
    assert [record["n"] for record in state.records("job")] == [0, 1, 2]


@pytest.mark.parametrize("torn", [b'{"n": 1, "st', b'{"n": 1', b'{"n": 1, "s": "\xc3', b"\0" * 300])
def test_a_record_that_a_crash_cut_short_is_left_out_and_takes_no_other_with_it(
    state: StateDirectory, torn: bytes
) -> None:
    state.append_record("job", {"n": 0})
    with open(os.path.join(state.path, "runs", "job.jsonl"), "ab") as file:
        file.write(torn)
    assert [record["n"] for record in state.records("job")] == [0]
    state.append_record("job", {"n": 2})
    assert [record["n"] for record in state.records("job")] == [0, 2]


def test_records_turn_over_at_one_mebibyte_and_one_old_file_is_kept(state: StateDirectory) -> None:
    padding = "x" * 100_000
    for number in range(40):
        state.append_record("job", {"n": number, "padding": padding})
    numbers = [record["n"] for record in state.records("job")]
    assert numbers == list(range(numbers[0], 40))
    assert len(numbers) >= 11
    assert sorted(os.listdir(os.path.join(state.path, "runs"))) == ["job.jsonl", "job.jsonl.1"]
    sizes = [os.path.getsize(os.path.join(state.path, "runs", name)) for name in ("job.jsonl", "job.jsonl.1")]
    assert max(sizes) < 1_048_576 + 2 * 100_100


def test_a_state_directory_that_can_not_be_made_is_an_error_with_the_way_out(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    state = StateDirectory(path=str(tmp_path / "file" / "state"))
    with pytest.raises(StateDirectoryUnusable, match=r"The state directory can't be used: .*Not a directory") as raised:
        state.write("running", "a.json", {})
    assert "state_directory" in raised.value.hint
    with pytest.raises(StateDirectoryUnusable):
        state.append_record("job", {})
    with pytest.raises(StateDirectoryUnusable):
        state.names("running")
    with pytest.raises(StateDirectoryUnusable):
        state.records("job")
