# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a restore fails at or dies of, it can be taken back and it can be gone on with; no old data is ever lost."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import pathlib
import signal
import tempfile
import typing as t
from dataclasses import dataclass

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RestoreError,
    RestoreIncomplete,
    RestoreRollBackFailed,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import Stop
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ledger import UNDONE, Ledger
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.steps import (
    Step,
    roll_back,
    run_steps,
)
from tests.support.clocks import FakeClock

ID = "20261121T020000Z-4f2c91"
NAMES = ("stage", "move", "swap")
# What changes a file system, and so may be the last thing that a process did.
CHANGES = ("write", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir")


@dataclass
class Restore:
    """A restore of a folder as real ones are: load beside, move the old one away, put the new one there."""

    base: pathlib.Path

    def begin(self) -> None:
        (self.base / "data").mkdir(parents=True)
        (self.base / "data" / "value").write_text("old")
        Ledger.begin(state=self._state, clock=FakeClock(), restore_id=ID, target="data", request={})

    @property
    def ledger(self) -> Ledger:
        return Ledger.load(state=self._state, clock=FakeClock(), restore_id=ID)

    @property
    def steps(self) -> list[Step]:
        target, staged = self.base / "data", self.base / "staged"

        def stage(_facts: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
            remove(staged)
            os.mkdir(staged)
            with open(staged / "value", "wb", buffering=0) as file:
                os.write(file.fileno(), b"n")
                os.write(file.fileno(), b"ew")
            return {"bytes": 3}

        def move(facts: t.Mapping[str, t.Any]) -> None:
            if not (self.base / facts["aside"]).exists():
                os.rename(target, self.base / facts["aside"])

        def move_back(facts: t.Mapping[str, t.Any]) -> None:
            if (self.base / facts["aside"]).exists():
                os.rename(self.base / facts["aside"], target)

        def swap(_facts: t.Mapping[str, t.Any]) -> None:
            if staged.exists():
                os.rename(staged, target)

        def swap_back(_facts: t.Mapping[str, t.Any]) -> None:
            if target.exists() and not staged.exists():
                os.rename(target, staged)

        return [
            Step(name="stage", title="load it beside", do=stage, undo=lambda _facts: remove(staged)),
            Step(
                name="move",
                title="move the old away",
                do=move,
                undo=move_back,
                plan=lambda: {"aside": f"data.before-{ID}"},
            ),
            Step(name="swap", title="put the new there", do=swap, undo=swap_back),
        ]

    def go_on(self) -> None:
        run_steps(self.steps, ledger=self.ledger, journal=MemoryJournal(), progress=Progress(clock=SystemClock()))

    def take_back(self) -> None:
        roll_back(self.steps, ledger=self.ledger, journal=MemoryJournal(), progress=Progress(clock=SystemClock()))

    def assert_restored(self) -> None:
        assert self._found() == {"data": "new", f"data.before-{ID}": "old"}
        assert {self.ledger.step_state(name) for name in NAMES} == {"done"}

    def assert_as_before(self) -> None:
        assert self._found() == {"data": "old"}
        assert {self.ledger.step_state(name) for name in NAMES} <= {None, UNDONE}

    def assert_old_data_is_there(self) -> None:
        assert "old" in self._found().values()

    def _found(self) -> dict[str, str]:
        return {
            path.name: (path / "value").read_text() if (path / "value").exists() else ""
            for path in self.base.iterdir()
            if path.name != "state"
        }

    @property
    def _state(self) -> StateDirectory:
        return StateDirectory(path=str(self.base / "state"))


def remove(folder: pathlib.Path) -> None:
    if folder.exists():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder / "value")
        os.rmdir(folder)


def dies(work: t.Callable[[], None], *, at: int) -> bool:
    """Do *work* in a process that kills itself before the *at*-th change of a file; whether it came so far."""
    child = os.fork()
    if child == 0:
        try:
            numbers = itertools.count(1)
            for name in CHANGES:
                plain = getattr(os, name)

                def counted(*arguments: t.Any, plain: t.Callable[..., t.Any] = plain, **options: t.Any) -> t.Any:
                    if next(numbers) == at:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return plain(*arguments, **options)

                setattr(os, name, counted)
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 whatever it is, the test must not run on in this copy of it
            os._exit(70)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


@pytest.fixture
def places() -> t.Iterator[t.Iterator[Restore]]:
    """A new restore each time; in memory where that can be, for it is processes that die here, not disks."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="lifeboat-steps-", dir=memory) as folder:
        yield (begun(pathlib.Path(folder, str(number))) for number in itertools.count())


def begun(base: pathlib.Path) -> Restore:
    made = Restore(base)
    made.begin()
    return made


def test_steps_are_done_in_order_and_can_be_taken_back(places: t.Iterator[Restore]) -> None:
    restore = next(places)
    restore.go_on()
    restore.assert_restored()
    assert restore.ledger.facts("stage") == {"bytes": 3}
    restore.go_on()  # does nothing again
    restore.assert_restored()
    restore.take_back()
    restore.assert_as_before()
    restore.take_back()
    restore.assert_as_before()
    restore.go_on()
    restore.assert_restored()


@pytest.mark.thorough
def test_after_a_death_at_any_change_it_can_be_taken_back_or_gone_on_with(places: t.Iterator[Restore]) -> None:
    deaths = 0
    for at in itertools.count(1):
        back, forth = next(places), next(places)
        if not dies(back.go_on, at=at):
            break
        deaths += 1
        back.assert_old_data_is_there()
        back.take_back()
        back.assert_as_before()
        assert dies(forth.go_on, at=at)
        forth.go_on()
        forth.assert_restored()
        forth.take_back()
        forth.assert_as_before()
    assert deaths >= 25, "each of six notes and each change has a death of its own"


@pytest.mark.thorough
def test_after_a_death_while_it_is_taken_back_it_can_be_taken_back_or_gone_on_with(
    places: t.Iterator[Restore],
) -> None:
    deaths = 0
    for first in itertools.count(7, 9):
        if not dies(next(places).go_on, at=first):
            break
        for second in itertools.count(1):
            back, forth = next(places), next(places)
            dies(back.go_on, at=first)
            if not dies(back.take_back, at=second):
                break
            deaths += 1
            back.assert_old_data_is_there()
            back.take_back()
            back.assert_as_before()
            dies(forth.go_on, at=first)
            dies(forth.take_back, at=second)
            forth.go_on()
            forth.assert_restored()
    assert deaths >= 20


class Notes:
    """Steps that only say what happens; *fails* names what raises."""

    def __init__(self, state: StateDirectory, *, fails: t.Mapping[str, BaseException]) -> None:
        self.said: list[str] = []
        self._fails = fails
        self.ledger = Ledger.begin(state=state, clock=FakeClock(), restore_id=ID, target="it", request={})

    def run(self) -> None:
        steps = [
            Step(name=name, title=name, do=self._sayer("do", name), undo=self._sayer("undo", name))
            for name in ("one", "two", "three")
        ]
        run_steps(steps, ledger=self.ledger, journal=MemoryJournal(), progress=Progress(clock=SystemClock()))

    def _sayer(self, what: str, name: str) -> t.Callable[[t.Mapping[str, t.Any]], None]:
        def say(_facts: t.Mapping[str, t.Any]) -> None:
            # Durable before: who comes after a death knows that it was begun.
            expected = "intended" if what == "do" else None
            assert expected in (None, self.ledger.step_state(name))
            self.said.append(f"{what} {name}")
            if f"{what} {name}" in self._fails:
                raise self._fails[f"{what} {name}"]

        return say


@pytest.mark.parametrize("error", [RestoreIncomplete("half"), ValueError("it"), Stop("SIGTERM")], ids=repr)
@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_a_failure_at_any_step_undoes_all_in_reverse_and_comes_out(
    name: str, error: BaseException, tmp_path: pathlib.Path
) -> None:
    notes = Notes(StateDirectory(path=str(tmp_path)), fails={f"do {name}": error})
    with pytest.raises(type(error)) as raised:
        notes.run()
    assert raised.value is error
    done = ["one", "two", "three"][: ["one", "two", "three"].index(name) + 1]
    assert notes.said == [f"do {each}" for each in done] + [f"undo {each}" for each in reversed(done)]
    assert {notes.ledger.step_state(each) for each in done} == {UNDONE}


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OSError(errno.EXDEV, "Invalid cross-device link", "/var/lib/data"), "without in_place"),
        (OSError(errno.ENOSPC, "No space left on device", "/var/lib/data"), "Make room"),
        (OSError(errno.EACCES, "Permission denied", "/var/lib/data"), "Mend that"),
    ],
)
def test_what_the_system_refuses_is_named_with_the_step_and_undone(
    error: OSError, hint: str, tmp_path: pathlib.Path
) -> None:
    notes = Notes(StateDirectory(path=str(tmp_path)), fails={"do two": error})
    with pytest.raises(RestoreError) as raised:
        notes.run()
    assert raised.value.code == "restore.error"
    assert raised.value.message.startswith(f"two: {error.strerror} (/var/lib/data). What was there before is there")
    assert hint in (raised.value.hint or "")
    assert raised.value.__cause__ is error
    assert notes.said == ["do one", "do two", "undo two", "undo one"]


@pytest.mark.parametrize("error", [RestoreIncomplete("half"), OSError("disk"), Stop("SIGTERM")], ids=repr)
def test_a_way_back_that_fails_is_loud_and_is_gone_on_with_from_there(
    error: BaseException, tmp_path: pathlib.Path
) -> None:
    fails = {"do three": RestoreIncomplete("first reason"), "undo two": error}
    notes = Notes(StateDirectory(path=str(tmp_path)), fails=fails)
    with pytest.raises(RestoreRollBackFailed, match="first reason") as raised:
        notes.run()
    assert f"lifeboat restore --roll-back {ID}" in (raised.value.hint or "")
    assert notes.said[-2:] == ["undo three", "undo two"]
    assert [notes.ledger.step_state(each) for each in ("one", "two", "three")] == ["done", "intended", "undone"]
