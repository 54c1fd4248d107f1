# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores that are killed at every change of the disk and every command, then taken back or finished by another run.

Between death and the next run the host may have been rebooted, so that a server came up on half of the files.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import signal
import subprocess
import typing as t

import pytest
import redis

from tests.integration.redis.conftest import DaemonStarter, Starter
from tests.integration.redis.daemons import Daemon
from tests.integration.redis.rig import Restore, Rig
from tests.integration.redis.servers import admin, digest, fill, keyspace
from tests.support.children import environment, python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# The audit hook is the fault: it kills the process before the n-th of the events that change something.
_CHILD = """
import json, os, pathlib, signal, sys
from tests.integration.redis.rig import Restore, Rig
from tests.support.resealing import parse_key

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "subprocess.Popen", "os.chmod", "shutil.rmtree"}
folder, key, options, restore_id, deadly = sys.argv[1:]
restore = Restore(
    rig=Rig(folder=pathlib.Path(folder)),
    place=parse_key(key).folder,
    options=json.loads(options),
    restore_id=restore_id,
)
restore.rig.source(restore.place)
count = 0

def look(event, arguments):
    global count
    if event in CHANGES:
        count += 1
        if count == int(deadly):
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(look)
restore.run()
"""


def dies(restore: Restore, number: int) -> bool:
    """Run the restore in a child that dies before its change *number*; False when it has fewer and got to its end."""
    arguments = (str(restore.rig.folder), restore.place.manifest_key, json.dumps(restore.options), restore.restore_id)
    done = subprocess.run(
        python(_CHILD, *arguments, str(number)),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == -signal.SIGKILL:
        return True
    assert done.returncode == 0, done.stderr
    return False


def begun(restore: Restore) -> bool:
    return (restore.state.read("restores", f"{restore.restore_id}.json")) is not None


def sweep(rig: Rig, place: t.Any, target: Daemon, wanted: str, options: dict[str, t.Any], *, first: int) -> int:
    """Die at every second change from *first* on; after each death the next process takes it back or finishes it."""
    deaths = 0
    for turn, number in enumerate(itertools.count(first, 2)):
        restore = Restore(rig=rig, place=place, options=options, restore_id=f"20261121T12{number:04d}Z-abcdef")
        held = digest(target)
        where = f"death before change {number}"
        if not dies(restore, number):
            assert digest(target) == wanted, where
            return deaths
        deaths += 1
        if turn % 4 >= 2 and not target.answers():
            target.start()  # the reboot
            with admin(target) as client:
                client.set("written by somebody in the middle", "x")
        if not begun(restore):
            assert digest(target) == held, where
            continue
        if turn % 2:
            restore.resume()
            assert digest(target) == wanted, where
            restore.discard()
            with admin(target) as client:
                client.flushall()
            fill(target, keys=20)
        else:
            restore.roll_back()
            assert digest(target) == held, where
            restore.roll_back()
            assert digest(target) == held, f"{where}, taken back twice"
        target.stop()
        assert {name for name in target.names() if "lifeboat" in name} == set(), where
        for name in target.names():
            if ".before-" in name:  # what a server wrote in the middle is kept, and nothing else
                assert name.rpartition(".")[2].isdigit() or ".last-save." in name, f"{where}: {name}"
                subprocess.run(["rm", "-r", str(target.data / name)], check=True)
        target.start()
    raise AssertionError("it never ends")


@pytest.mark.parametrize("append_only", [True, False], ids=["append-only", "snapshots"])
def test_a_restore_in_place(start: Starter, daemon: DaemonStarter, tmp_path: pathlib.Path, append_only: bool) -> None:
    rig = Rig(folder=tmp_path)
    source = start()
    fill(source, keys=40)
    place = rig.back_up(source)
    target = daemon(append_only=append_only, save="3600 1" if append_only else '""')
    fill(target, keys=20)
    options = {
        "connection": {"port": target.port},
        "in_place": True,
        "service_control": target.control,
        "start_timeout": 10,
    }
    deaths = sweep(rig, place, target, digest(source), options, first=1 + append_only)
    assert deaths >= 12


def test_a_restore_beside(start: Starter, tmp_path: pathlib.Path) -> None:
    rig = Rig(folder=tmp_path)
    source = start(append_only=True)
    fill(source, keys=40)
    place = rig.back_up(source, kind="aof")
    folder = tmp_path / "beside"
    options = {"data_directory": str(folder)}
    for turn, number in enumerate(itertools.count(1)):
        restore = Restore(rig=rig, place=place, options=options, restore_id=f"20261121T12{number:04d}Z-abcdef")
        died = dies(restore, number)
        if not died or begun(restore):
            if turn % 2 and died:
                restore.resume()
            if turn % 2 or not died:
                assert keyspace_at(folder) == keyspace(source), f"death before change {number}"
            restore.roll_back()
        assert not folder.exists(), f"death before change {number}"
        if not died:
            break
    assert number > 15


def keyspace_at(folder: pathlib.Path) -> dict[str, t.Any]:
    with redis.Redis(unix_socket_path=str(folder / "redis.sock")) as client:
        found = client.info("keyspace")
        return {name: {key: found[name][key] for key in ("keys", "expires")} for name in found}
