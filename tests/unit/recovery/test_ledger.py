# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore's notes are durable before anything is changed, and damaged ones are not taken for notes."""

from __future__ import annotations

import json
import os
import pathlib
import threading
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RestoreLedgerInvalid,
    StateDirectoryUnusable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ledger import (
    DONE,
    FINISHED,
    INTENDED,
    ROLLED_BACK,
    RUNNING,
    UNDONE,
    Ledger,
    unfinished_restores,
)
from tests.support.clocks import FakeClock

ID = "20261121T020000Z-4f2c91"


@pytest.fixture
def state(tmp_path: pathlib.Path) -> StateDirectory:
    return StateDirectory(path=str(tmp_path / "state"))


def begun(state: StateDirectory, restore_id: str = ID, target: str = "family") -> Ledger:
    return Ledger.begin(
        state=state, clock=FakeClock(), restore_id=restore_id, target=target, request={"backup": "newest"}
    )


def loaded(state: StateDirectory, restore_id: str = ID) -> Ledger:
    return Ledger.load(state=state, clock=FakeClock(), restore_id=restore_id)


def path_of(state: StateDirectory, restore_id: str = ID) -> pathlib.Path:
    return pathlib.Path(state.path, "restores", f"{restore_id}.json")


def test_what_was_noted_is_read_again_by_the_next_run(state: StateDirectory) -> None:
    ledger = begun(state)
    assert (loaded(state).step_state("move"), loaded(state).facts("move")) == (None, {})
    ledger.intend("move", {"aside": "data.before"})
    assert (loaded(state).step_state("move"), loaded(state).facts("move")) == (INTENDED, {"aside": "data.before"})
    ledger.done("move", {"files": 3})
    assert (loaded(state).step_state("move"), loaded(state).facts("move")) == (
        DONE,
        {"aside": "data.before", "files": 3},
    )
    ledger.undone("move")
    again = loaded(state)
    assert (again.step_state("move"), again.restore_id, again.target) == (UNDONE, ID, "family")
    assert (again.request, again.state, again.state_directory) == ({"backup": "newest"}, RUNNING, state.path)
    assert again.as_dict() == ledger.as_dict()


def test_a_change_is_on_disk_and_not_only_written_when_the_call_returns(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = begun(state)
    calls: list[str] = []
    for name in ("fsync", "replace"):
        plain = getattr(os, name)

        def noted(*arguments: t.Any, name: str = name, plain: t.Callable[..., t.Any] = plain) -> t.Any:
            what = ""
            if name == "fsync":
                what = " folder" if os.path.isdir(f"/proc/self/fd/{arguments[0]}") else " file"
            calls.append(name + what)
            return plain(*arguments)

        monkeypatch.setattr(os, name, noted)
    ledger.intend("move")
    assert calls == ["fsync file", "replace", "fsync folder"]


def test_only_the_owner_may_read_notes(state: StateDirectory) -> None:
    begun(state)
    assert path_of(state).stat().st_mode & 0o777 == 0o600
    assert path_of(state).parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path_of(state).parent) == [f"{ID}.json"]


DAMAGES: dict[str, t.Callable[[dict[str, t.Any]], t.Any]] = {
    "another's": lambda document: {**document, "id": "20261121T020000Z-000000"},
    "no steps": lambda document: {key: value for key, value in document.items() if key != "steps"},
    "steps are no list": lambda document: {**document, "steps": {"move": "done"}},
    "a step is no record": lambda document: {**document, "steps": ["move"]},
    "a step has no name": lambda document: {**document, "steps": [{"state": "done", "facts": {}}]},
    "a step has a strange state": lambda document: {
        **document,
        "steps": [{"name": "move", "state": "half", "facts": {}}],
    },
    "a step has no facts": lambda document: {**document, "steps": [{"name": "move", "state": "done"}]},
    "no target": lambda document: {**document, "target": None},
    "no request": lambda document: {**document, "request": []},
    "a strange state": lambda document: {**document, "state": "fine"},
    "a list": lambda document: [document],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_notes_are_refused(damage: str, state: StateDirectory) -> None:
    begun(state).done("move")
    document = json.loads(path_of(state).read_text())
    path_of(state).write_text(json.dumps(DAMAGES[damage](document)))
    with pytest.raises(RestoreLedgerInvalid, match=ID):
        loaded(state)


def test_notes_that_are_torn_at_any_byte_are_refused(state: StateDirectory) -> None:
    begun(state).done("move")
    whole = path_of(state).read_bytes()
    for length in range(len(whole)):
        path_of(state).write_bytes(whole[:length])
        with pytest.raises(RestoreLedgerInvalid):
            loaded(state)
    path_of(state).write_bytes(b"\xff" + whole)
    with pytest.raises(RestoreLedgerInvalid):
        loaded(state)
    path_of(state).unlink()
    with pytest.raises(RestoreLedgerInvalid, match="There are no notes") as raised:
        loaded(state)
    assert "lifeboat restore --list" in (raised.value.hint or "")


def test_what_neither_finished_nor_was_rolled_back_is_unfinished(state: StateDirectory) -> None:
    assert unfinished_restores(state) == []
    ids = [f"20261121T02000{number}Z-4f2c91" for number in range(4)]
    ledgers = [begun(state, each, "family" if number else "shop") for number, each in enumerate(ids)]
    ledgers[1].close(FINISHED, {"seconds": 3})
    ledgers[2].close(ROLLED_BACK)
    (path_of(state).parent / ".left-by-a-dead-writer").write_text("{")
    assert [document["id"] for document in unfinished_restores(state)] == [ids[0], ids[3]]
    assert [document["id"] for document in unfinished_restores(state, target="family")] == [ids[3]]
    assert loaded(state, ids[1]).as_dict()["outcome"] == {"seconds": 3}
    assert loaded(state, ids[2]).state == ROLLED_BACK


def test_restores_at_the_same_time_do_not_disturb_each_other(state: StateDirectory) -> None:
    ids = [f"20261121T02000{number}Z-4f2c91" for number in range(4)]

    def work(restore_id: str) -> None:
        ledger = begun(state, restore_id)
        for number in range(20):
            ledger.intend(f"step {number}", {"mine": restore_id})
            ledger.done(f"step {number}")

    threads = [threading.Thread(target=work, args=(each,)) for each in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in ids:
        steps = loaded(state, each).as_dict()["steps"]
        assert len(steps) == 20
        assert {step["facts"]["mine"] for step in steps} == {each}


def test_notes_that_can_not_be_written_are_an_error_and_the_old_ones_stay(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = begun(state)
    before = path_of(state).read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateDirectoryUnusable, match="No space left"):
        ledger.intend("move")
    assert path_of(state).read_bytes() == before
    assert os.listdir(path_of(state).parent) == [f"{ID}.json"]
