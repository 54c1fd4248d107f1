# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks like a finished save and is none, on real servers: each is named, and no old file is taken for it."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RdbInvalid,
    RedisRestarted,
    RedisSaveFailed,
    RedisSaveTimedOut,
    RedisUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.bgsave import BackgroundSave, Save
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.facts import read_facts
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.resp import RespClient, Word
from sandbox.redis import RedisServer
from tests.integration.redis.conftest import Starter
from tests.integration.redis.servers import (
    admin,
    child_of,
    configure,
    connect,
    digest,
    fill,
    keyspace,
    meanwhile,
    open_files,
    persistence,
    restored_rdb,
    take,
)
from tests.support.waiting import wait_for

FLAVOURS = ["redis", "valkey", "redis_6", "redis_8"]


def slow(of: RedisServer, *, seconds: float = 2, keys: int = 100) -> None:
    """Keys that take *seconds* to save."""
    fill(of, keys=keys)
    configure(of, rdb_key_save_delay=str(int(seconds * 1_000_000 / keys)))


def seconds_of(of: RedisServer) -> int:
    """What the server's clock says, as saves are stamped."""
    with admin(of) as client:
        return int(client.time()[0])


def save(of: RedisServer, *, timeout: float = 30) -> Save:
    client = connect(of)
    try:
        clock = SystemClock()
        run_id = read_facts(client).run_id
        return BackgroundSave(
            client=client, clock=clock, progress=Progress(clock=clock), timeout=timeout, run_id=run_id
        ).run()
    finally:
        client.close()


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("ending", [signal.SIGUSR1, signal.SIGKILL])
def test_a_killed_child(start: Starter, tmp_path: pathlib.Path, flavour: str, ending: signal.Signals) -> None:
    source = start(flavour=flavour)
    slow(source)
    old = source.data_directory / "dump.rdb"
    old.write_bytes(b"an older snapshot")

    def kill() -> None:
        os.kill(wait_for(lambda: child_of(source)), ending)

    with meanwhile(kill), pytest.raises(RedisSaveFailed) as caught:
        take(source, tmp_path / "backup", method="bgsave")
    # The trap: after SIGUSR1, nothing in INFO says that there is no new file.
    expected = "ok" if ending == signal.SIGUSR1 else "err"
    assert persistence(source)["rdb_last_bgsave_status"] == expected == caught.value.details["status"]
    assert old.read_bytes() == b"an older snapshot"
    assert not list((tmp_path / "backup").iterdir())


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("points", ['""', "3600 1"])
def test_flushall_during_the_save(start: Starter, tmp_path: pathlib.Path, flavour: str, points: str) -> None:
    """With save points the server even writes a new, empty file with a good status."""
    source = start(flavour=flavour, settings={"save": points})
    slow(source)

    def flush() -> None:
        wait_for(lambda: child_of(source))
        with admin(source) as client:
            client.flushall()

    with meanwhile(flush), pytest.raises(RedisSaveFailed, match="FLUSHALL"):
        take(source, tmp_path / "backup", method="bgsave")
    assert persistence(source)["rdb_last_bgsave_status"] == "ok"
    assert (source.data_directory / "dump.rdb").exists() == (points != '""')
    assert not list((tmp_path / "backup").iterdir())


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_saves_that_follow_each_other_in_a_second(start: Starter, flavour: str) -> None:
    source = start(flavour=flavour)
    fill(source, keys=10)
    ended = [save(source).ended for _turn in range(3)]
    assert ended[0] < ended[1] < ended[2], "a time that does not move would prove nothing"


def test_a_save_of_somebody_else_is_not_ours(start: Starter, tmp_path: pathlib.Path) -> None:
    """It shows an earlier moment: what is written while it runs must be in ours."""
    source = start()
    slow(source, seconds=1.5)
    with admin(source) as client:
        client.bgsave()
        client.set("written while the other save ran", "1")
    configure(source, rdb_key_save_delay="0")  # the running child keeps its delay
    taken = take(source, tmp_path / "backup", method="bgsave")
    assert persistence(source)["rdb_saves"] == 2
    with restored_rdb(taken.rdb, tmp_path / "restored") as second:
        assert digest(second) == digest(source)


@pytest.mark.slow
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("rival", ["BGSAVE", "BGREWRITEAOF"])
def test_somebody_who_is_faster_by_a_hair(
    start: Starter, flavour: str, rival: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rival's command is injected between our look, which found nothing running, and our BGSAVE."""
    source = start(flavour=flavour, append_only=True)
    slow(source, seconds=2.2)
    real_pipeline, rivals = RespClient.pipeline, [rival]

    def pipeline(self: RespClient, *commands: t.Sequence[Word]) -> list[t.Any]:
        if commands[0][0] == "BGSAVE" and rivals:
            with admin(source) as client:
                client.execute_command(rivals.pop())
                client.set("after the rival", "1")
            configure(source, rdb_key_save_delay="0")
        return real_pipeline(self, *commands)

    monkeypatch.setattr(RespClient, "pipeline", pipeline)
    saved = save(source)
    assert not rivals
    assert saved.keyspace == keyspace(source)
    if rival == "BGSAVE":
        # Whole seconds: ours takes none, or lies across the end of one; the rival's takes two or three.
        assert saved.ended - saved.started <= 1, "it must be ours, and not the rival's"


@pytest.mark.slow
def test_saves_of_somebody_else_all_the_time(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start()
    fill(source, keys=200)
    until = time.monotonic() + 4

    def disturb() -> None:
        with admin(source) as client:
            while time.monotonic() < until:
                client.execute_command("BGSAVE", "SCHEDULE") if child_of(source) is None else time.sleep(0.01)

    with meanwhile(disturb):
        for turn in range(3):
            taken = take(source, tmp_path / f"backup{turn}", method="bgsave")
            assert taken.content["keyspace"] == keyspace(source)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_rewrite_of_the_append_only_file_is_waited_for(start: Starter, tmp_path: pathlib.Path, flavour: str) -> None:
    source = start(flavour=flavour, append_only=True)
    slow(source, seconds=1)
    with admin(source) as client:
        client.bgrewriteaof()
        assert client.info("persistence")["aof_rewrite_in_progress"] == 1
    configure(source, rdb_key_save_delay="0")
    taken = take(source, tmp_path / "backup", method="bgsave")
    assert taken.content["keyspace"] == keyspace(source)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_replicas_first_copy_is_waited_for(start: Starter, tmp_path: pathlib.Path, flavour: str) -> None:
    """BGSAVE is refused as "already in progress" while the copy goes over the wire and writes no file at all."""
    source, replica = start(flavour=flavour, settings={"repl-diskless-sync": "yes"}), start(flavour=flavour)
    slow(source, seconds=1.5)
    with admin(replica) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", source.port)
    wait_for(lambda: persistence(source)["rdb_bgsave_in_progress"])
    assert not (source.data_directory / "dump.rdb").exists()
    configure(source, rdb_key_save_delay="0")
    taken = take(source, tmp_path / "backup", method="bgsave")
    with restored_rdb(taken.rdb, tmp_path / "restored", flavour=flavour) as second:
        assert digest(second) == digest(source)


def test_a_save_that_takes_too_long(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start()
    slow(source, seconds=20)
    # A server that has just begun stamps its beginning as a save, and the second after it is waited for.
    wait_for(lambda: persistence(source)["rdb_last_save_time"] + 1 < seconds_of(source))
    started = time.monotonic()
    with pytest.raises(RedisSaveTimedOut, match="within 1 seconds"):
        take(source, tmp_path / "backup", method="bgsave", timeout=1)
    with pytest.raises(RedisSaveTimedOut, match="another save"):
        take(source, tmp_path / "backup", method="bgsave", timeout=1)
    assert time.monotonic() - started < 5


def test_a_folder_that_is_gone(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start()
    fill(source, keys=10)
    shutil.rmtree(source.data_directory)
    with pytest.raises(RedisSaveFailed, match="err"):
        save(source)


def test_a_server_that_is_killed_during_the_save(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start()
    slow(source)

    def kill() -> None:
        wait_for(lambda: child_of(source))
        source.kill()

    with meanwhile(kill), pytest.raises(RedisUnreachable):
        take(source, tmp_path / "backup", method="bgsave")


def test_a_server_that_was_restarted_since_the_plan(start: Starter) -> None:
    source = start()
    fill(source, keys=10)
    client = connect(source)
    run_id = read_facts(client).run_id
    client.close()
    source.stop()
    source.start()
    clock = SystemClock()
    again = connect(source)
    with pytest.raises(RedisRestarted):
        BackgroundSave(client=again, clock=clock, progress=Progress(clock=clock), timeout=9, run_id=run_id).run()
    again.close()


@pytest.mark.parametrize("damage", ["flip", "cut", "grow"])
def test_a_file_that_was_damaged_on_the_disk(
    start: Starter, tmp_path: pathlib.Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is injected between the server's rename and our opening: the server's disk is what is faulty."""
    source = start()
    fill(source, keys=100)
    file = source.data_directory / "dump.rdb"
    real_run = BackgroundSave.run

    def run_and_damage(self: BackgroundSave) -> Save:
        found = real_run(self)
        data = bytearray(file.read_bytes())
        if damage == "flip":
            data[len(data) // 2] ^= 1
        file.write_bytes({"flip": bytes(data), "cut": bytes(data[:-1]), "grow": bytes(data) + b"\0"}[damage])
        return found

    monkeypatch.setattr(BackgroundSave, "run", run_and_damage)
    before = open_files()
    with pytest.raises(RdbInvalid):
        take(source, tmp_path / "backup", method="auto")
    assert open_files() == before
    assert not list((tmp_path / "backup").iterdir())
