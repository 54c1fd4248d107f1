# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores that are killed at every change of the disk and every command, then taken back or finished by another run.

Between death and the next run the host may have been rebooted, so that a server came up on half of the files, and
somebody wrote to it. What is written while the old data is still in its place belongs to the old data.
"""

from __future__ import annotations

import itertools
import pathlib
import shutil
import subprocess
import typing as t
from dataclasses import dataclass, field

import pytest
import redis

from tests.integration.redis.conftest import DaemonStarter, Starter
from tests.integration.redis.daemons import Daemon
from tests.integration.redis.restore_nursery import Nursery
from tests.integration.redis.rig import Restore, Rig
from tests.integration.redis.servers import admin, digest, fill, keyspace
from tests.support.children import processes_that_name

pytestmark = pytest.mark.slow


@dataclass
class Ordeal:
    """Restores of one backup in place of what *target* holds, each of which dies somewhere."""

    rig: Rig
    place: t.Any
    target: Daemon
    wanted: str
    nursery: Nursery
    numbers: t.Iterator[int] = field(default_factory=itertools.count)

    def restore(self) -> Restore:
        options = {
            "connection": {"port": self.target.port},
            "in_place": True,
            "service_control": self.target.control,
            "start_timeout": 10,
        }
        number = next(self.numbers)
        return Restore(rig=self.rig, place=self.place, options=options, restore_id=f"20261121T12{number:04d}Z-abcdef")

    def places(self) -> list[str]:
        """Where a restore can die, in order. The very first one also makes the folder of the notes: it is no model."""
        for _turn in range(2):
            self.prepare()
            restore = self.restore()
            ending = self.nursery.run(restore)
            assert not ending.was_killed
            assert digest(self.target) == self.wanted
            restore.discard()
        return list(ending.places)

    def prepare(self) -> None:
        """The target runs, and holds what it never held before: in memory, in its files, or both."""
        with admin(self.target) as client:
            client.flushall()
        fill(self.target, keys=20)

    def die(self, deadly: str, *, reboot: bool, finish: bool) -> None:
        """Die there; then, after a *reboot* or not, *finish* it or take it back, and look at what the target holds."""
        where = f"death at {deadly}{', reboot' if reboot else ''}, {'finished' if finish else 'taken back'}"
        self.prepare()
        held, wanted = digest(self.target), self.wanted
        restore = self.restore()
        assert self.nursery.run(restore, deadly=deadly).was_killed, f"{where}: there is no such place"
        if reboot and not self.target.answers():
            held, wanted = self.reboot(held, wanted)
        if restore.state.read("restores", f"{restore.restore_id}.json") is None:
            assert digest(self.target) == held, where
            return
        if finish:
            restore.resume()
            assert digest(self.target) == wanted, where
            assert self.kept(restore) == held, f"{where}: what is kept aside is not what was held"
            restore.discard()
        else:
            restore.roll_back()
            assert digest(self.target) == held, where
            restore.roll_back()
            assert digest(self.target) == held, f"{where}, taken back twice"
        self.clear(where)

    def reboot(self, held: str, wanted: str) -> tuple[str, str]:
        """The server comes up on what lies there, and somebody writes: to the old data, the new, or neither.

        What is held, and what is wanted, from now on.
        """
        self.target.start()
        before = digest(self.target)
        with admin(self.target) as client:
            client.set("written by somebody in the middle", "x")
        after = digest(self.target)
        return (after if before == held else held), (after if before == wanted else wanted)

    def kept(self, restore: Restore) -> str:
        """The digest of what was moved aside, by a server that is given it."""
        second = Daemon(folder=self.rig.folder / "kept", append_only=self.target.append_only)
        mark = f".before-{restore.restore_id}"
        for name in self.target.names():
            if name.endswith(mark) and ".last-save." not in name:
                subprocess.run(["cp", "-a", self.target.data / name, second.data / name.removesuffix(mark)], check=True)
        try:
            return digest(second.start())
        finally:
            second.kill()
            shutil.rmtree(second.folder)

    def clear(self, where: str) -> None:
        """Nothing of ours is left; what a server wrote in the middle is, and is removed here."""
        assert {name for name in self.target.names() if "lifeboat" in name} == set(), where
        for name in self.target.names():
            if ".before-" in name:
                assert name.rpartition(".")[2].isdigit() or ".last-save." in name, f"{where}: {name}"
                subprocess.run(["rm", "-r", str(self.target.data / name)], check=True)


@pytest.fixture(scope="module")
def nursery() -> t.Iterator[Nursery]:
    with Nursery() as made:
        yield made


@pytest.fixture(params=[True, False], ids=["append-only", "snapshots"])
def ordeal(
    start: Starter, daemon: DaemonStarter, tmp_path: pathlib.Path, nursery: Nursery, request: pytest.FixtureRequest
) -> Ordeal:
    rig = Rig(folder=tmp_path)
    source = start()
    fill(source, keys=40)
    place = rig.back_up(source)
    target = daemon(append_only=request.param, save="3600 1" if request.param else '""')
    return Ordeal(rig=rig, place=place, target=target, wanted=digest(source), nursery=nursery)


def test_a_restore_in_place(ordeal: Ordeal) -> None:
    """Places from the first that changes more than the notes, once; another way to go on at each.

    Without append-only files each restore waits a second for a save of its own, so every second place must do here.
    """
    places = ordeal.places()
    deadly = [place for place in places if place.partition(".")[0] in ("keep", "stop", "aside", "place", "start")]
    assert len(deadly) >= 15
    ways = itertools.cycle(itertools.product((True, False), (False, True)))
    for place, (reboot, finish) in zip(deadly[:: 1 if ordeal.target.append_only else 2], ways, strict=False):
        ordeal.die(place, reboot=reboot, finish=finish)


# The server was stopped, nothing was moved yet, and it came up again: what is written then belongs to the old data.
# At place.3 it came up on the new data, all of it.
WRITTEN = (("stop.3", False), ("stop.3", True), ("aside.1", True), ("aside.2", False), ("place.3", True))


def test_what_is_written_after_a_reboot_stays(ordeal: Ordeal) -> None:
    """Each of these lost writes once, or was thought to."""
    for deadly, finish in WRITTEN:
        ordeal.die(deadly, reboot=True, finish=finish)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_restore_in_place_everywhere_in_every_way(ordeal: Ordeal) -> None:
    for place in ordeal.places():
        for reboot, finish in itertools.product((True, False), (False, True)):
            ordeal.die(place, reboot=reboot, finish=finish)


def test_a_restore_beside(start: Starter, tmp_path: pathlib.Path, nursery: Nursery) -> None:
    rig = Rig(folder=tmp_path)
    source = start(append_only=True)
    fill(source, keys=40)
    place = rig.back_up(source, kind="aof")
    folder = tmp_path / "beside"

    def restore(number: int) -> Restore:
        options = {"data_directory": str(folder)}
        return Restore(rig=rig, place=place, options=options, restore_id=f"20261121T12{number:04d}Z-abcdef")

    first = restore(0)
    nursery.run(first)  # the folder of the notes is made by the first one
    first.roll_back()
    places = nursery.run(restore(1)).places
    assert keyspace_at(folder) == keyspace(source)
    restore(1).roll_back()
    assert len(places) > 15
    for number, (deadly, change) in enumerate(places.items(), start=2):
        where = f"death at {deadly}, before {change}"
        one = restore(number)
        assert nursery.run(one, deadly=deadly).was_killed, where
        if one.state.read("restores", f"{one.restore_id}.json") is not None:
            if number % 2:
                one.resume()
                assert keyspace_at(folder) == keyspace(source), where
            one.roll_back()
        assert not folder.exists(), where
    assert processes_that_name(str(folder)) == []


def keyspace_at(folder: pathlib.Path) -> dict[str, t.Any]:
    with redis.Redis(unix_socket_path=str(folder / "redis.sock")) as client:
        found = client.info("keyspace")
        return {name: {key: found[name][key] for key in ("keys", "expires")} for name in found}
