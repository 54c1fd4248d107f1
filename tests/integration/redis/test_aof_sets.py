# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Append-only files of one moment: they load to what the server held, whatever it does while we copy."""

from __future__ import annotations

import os
import pathlib
import tarfile
import threading
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    AofInvalid,
    AofUnstable,
    RdbInvalid,
    RedisAppendOnlyOff,
    RedisFilesUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import (
    PayloadInput,
    StoredPayload,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof import freeze
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.facts import read_facts
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.local_files import data_folder
from sandbox.redis import RedisServer
from tests.integration.redis.conftest import Starter
from tests.integration.redis.servers import (
    FileSink,
    admin,
    configure,
    connect,
    describe,
    digest,
    fill,
    open_files,
    persistence,
    producer,
    restored_aof,
    take,
)
from tests.support.waiting import wait_for

FLAVOURS = ["redis", "valkey", "redis_6", "redis_8"]


def rewrite(of: RedisServer) -> None:
    """BGREWRITEAOF, to its end."""
    with admin(of) as client:
        client.bgrewriteaof()
    wait_for(lambda: not rewriting(of))


def rewriting(of: RedisServer) -> bool:
    found = persistence(of)
    return bool(found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"])


class DisturbingSink(FileSink):
    """Does something to the server between the freezing of the lengths and the first byte that is copied."""

    disturb: t.Callable[[], None]

    def store(self, payload: PayloadInput) -> StoredPayload:
        self.disturb()
        return super().store(payload)


def disturbing(action: t.Callable[[], None]) -> type[DisturbingSink]:
    return type("Disturbing", (DisturbingSink,), {"disturb": staticmethod(action)})


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("state", ["fresh", "rewritten", "restarted", "plain"])
def test_a_set_restores(start: Starter, tmp_path: pathlib.Path, flavour: str, state: str) -> None:
    preamble = {"aof-use-rdb-preamble": "no"} if state == "plain" else {}
    source = start(flavour=flavour, append_only=True, settings=preamble)
    fill(source)
    if state != "fresh":
        rewrite(source)
        with admin(source) as client:
            client.incr("after the rewrite")
            client.transaction(lambda pipe: pipe.multi() or pipe.incr("n").incr("n"))
    if state == "restarted":
        source.stop()
        source.start()
    before = open_files()
    taken = take(source, tmp_path / "backup", kind="aof")
    assert open_files() == before
    files = taken.content["files"]
    assert sum(file["length"] for file in files) == sum(file["size"] for file in files)
    assert all(file["torn_bytes"] == 0 for file in files)
    if state in ("rewritten", "restarted"):
        assert files[0]["rdb"]["crc64"] is not None
    if state == "plain":
        assert all(file["rdb"] is None for file in files)
    with restored_aof(taken.tar, tmp_path / "restored", flavour=flavour) as second:
        assert digest(second) == digest(source)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_rewrite_in_the_middle_of_the_copy(start: Starter, tmp_path: pathlib.Path, flavour: str) -> None:
    """Every file is deleted or replaced under our hands, and the copy is still that of the moment."""
    source = start(flavour=flavour, append_only=True)
    fill(source)
    rewrite(source)
    with admin(source) as client:
        client.set("before", "1")
    expected = digest(source)
    frozen = {path.name: path.stat().st_ino for path in source.data_directory.rglob("*.aof*")}

    def disturb() -> None:
        with admin(source) as client:
            client.set("after", "1")
        rewrite(source)
        with admin(source) as client:
            client.set("later", "1")
        now = {path.name: path.stat().st_ino for path in source.data_directory.rglob("*.aof*")}
        assert all(now.get(name) != inode for name, inode in frozen.items()), "nothing was replaced"

    taken = take(source, tmp_path / "backup", kind="aof", sink=disturbing(disturb))
    with restored_aof(taken.tar, tmp_path / "restored", flavour=flavour) as second:
        assert digest(second) == expected
    assert digest(source) != expected


def test_what_is_written_after_the_moment_is_not_copied(start: Starter, tmp_path: pathlib.Path) -> None:
    """A hard link would have grown: it is the same file."""
    source = start(append_only=True)
    fill(source, keys=10)
    expected = digest(source)

    def disturb() -> None:
        fill(source, keys=1000)

    taken = take(source, tmp_path / "backup", kind="aof", sink=disturbing(disturb))
    with restored_aof(taken.tar, tmp_path / "restored") as second:
        assert digest(second) == expected


@pytest.mark.slow
@pytest.mark.parametrize("flavour", ["redis", "valkey"])
def test_under_load_and_rewrites_every_acknowledged_write_is_there(
    start: Starter, tmp_path: pathlib.Path, flavour: str
) -> None:
    """Each writer counts up; a restored counter is at least what was acknowledged before we began, and has no hole."""
    source = start(flavour=flavour, append_only=True)
    fill(source, keys=500)
    stop = threading.Event()
    acknowledged = [0, 0]

    def write(writer: int) -> None:
        with admin(source) as client:
            while not stop.is_set():
                acknowledged[writer] = client.rpush(f"ledger{writer}", acknowledged[writer] + 1)

    def keep_rewriting() -> None:
        while not stop.is_set():
            rewrite(source)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in (0, 1)]
    threads.append(threading.Thread(target=keep_rewriting))
    for thread in threads:
        thread.start()
    try:
        for turn in range(5):
            at_least = list(acknowledged)
            taken = take(source, tmp_path / f"backup{turn}", kind="aof")
            with (
                restored_aof(taken.tar, tmp_path / f"restored{turn}", flavour=flavour) as second,
                admin(second) as client,
            ):
                for writer in (0, 1):
                    ledger = [int(entry) for entry in client.lrange(f"ledger{writer}", 0, -1)]
                    assert ledger == list(range(1, len(ledger) + 1))
                    assert len(ledger) >= at_least[writer]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_first_rewrite_after_switching_on_is_waited_for(
    start: Starter, tmp_path: pathlib.Path, flavour: str
) -> None:
    """Until it has ended, the files that lie there are those of the time before it was switched off."""
    source = start(flavour=flavour, append_only=True)
    fill(source, keys=100)
    configure(source, appendonly="no")
    with admin(source) as client:
        client.set("written while it was off", "1")
    configure(source, rdb_key_save_delay="10000", appendonly="yes")
    assert rewriting(source)
    taken = take(source, tmp_path / "backup", kind="aof")
    with restored_aof(taken.tar, tmp_path / "restored", flavour=flavour) as second:
        assert digest(second) == digest(source)


def test_the_first_rewrite_is_not_waited_for_for_ever(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start()
    fill(source, keys=100)
    configure(source, rdb_key_save_delay="200000", appendonly="yes")
    with pytest.raises(AofUnstable, match="in time"):
        take(source, tmp_path / "backup", kind="aof", timeout=1)


@pytest.mark.parametrize(
    ("folder", "file"),
    [("appendonlydir", "a b'c.aof"), ("with space", "ä$(touch x).aof"), ('quo"te', "hash # and {brace}.aof")],
)
def test_names_with_odd_characters(start: Starter, tmp_path: pathlib.Path, folder: str, file: str) -> None:
    names = {"appenddirname": quoted(folder), "appendfilename": quoted(file)}
    source = start(append_only=True, settings=names)
    fill(source, keys=50)
    rewrite(source)
    fill(source, keys=50)
    taken = take(source, tmp_path / "backup", kind="aof")
    with tarfile.open(taken.tar) as archive:
        assert archive.getnames() == [
            f"{folder}/{file}.2.base.rdb",
            f"{folder}/{file}.2.incr.aof",
            f"{folder}/{file}.manifest",
        ]
    with restored_aof(taken.tar, tmp_path / "restored", settings=names) as second:
        assert digest(second) == digest(source)


def test_timestamps_are_recorded(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(append_only=True, settings={"aof-timestamp-enabled": "yes"})
    fill(source, keys=10)
    content = take(source, tmp_path / "backup", kind="aof").content
    assert content["timestamps"] is True
    newest = content["files"][-1]
    assert 1_700_000_000 < newest["first_timestamp"] <= newest["last_timestamp"]


def test_the_manifest_is_copied_byte_for_byte_and_last(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(append_only=True)
    taken = take(source, tmp_path / "backup", kind="aof")
    original = source.data_directory / "appendonlydir/appendonly.aof.manifest"
    with tarfile.open(taken.tar) as archive:
        last = archive.getmembers()[-1]
        copied = archive.extractfile(last)
        assert copied is not None
        assert copied.read() == original.read_bytes()
        assert (last.name, last.mode) == ("appendonlydir/appendonly.aof.manifest", 0o600)


def test_no_append_only_file(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start()
    for action in (producer(describe(source), kind="aof").inspect, lambda: take(source, tmp_path / "b", kind="aof")):
        with pytest.raises(RedisAppendOnlyOff, match="appendonly is no"):
            action()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_damage_in_the_files_is_found(start: Starter, tmp_path: pathlib.Path, flavour: str) -> None:
    source = start(flavour=flavour, append_only=True)
    fill(source, keys=200)
    rewrite(source)
    fill(source, keys=200)
    base, *_rest = sorted(source.data_directory.rglob("*.aof*"))
    flip(base, base.stat().st_size // 2 if flavour != "redis_6" else 1000)
    with pytest.raises((RdbInvalid, AofInvalid)):
        take(source, tmp_path / "backup", kind="aof")


def test_damage_in_the_increment_is_found(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(append_only=True)
    fill(source, keys=200)
    (increment,) = source.data_directory.rglob("*.incr.aof")
    flip(increment, increment.read_bytes().index(b"*", 500))
    with pytest.raises(AofInvalid, match=r"incr\.aof is damaged at byte"):
        take(source, tmp_path / "backup", kind="aof")


def test_a_command_that_was_being_written_is_recorded_and_loads(start: Starter, tmp_path: pathlib.Path) -> None:
    """The half command is put there through the server's own descriptor's file: a server's write can end anywhere."""
    source = start(append_only=True)
    fill(source, keys=10)
    expected = digest(source)
    (increment,) = source.data_directory.rglob("*.incr.aof")
    half = b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$10\r\n01234"
    clock = SystemClock()
    client = connect(source)
    facts = read_facts(client)
    found = freeze(client=client, facts=facts, folder=data_folder(client, facts), clock=clock, timeout=9)
    client.close()
    with open(increment, "ab") as file:
        file.write(half)
    grown = [
        type(one)(one.name, one.kind, one.descriptor, one.length + len(half) * (one.kind == "increment"), one.modified)
        for one in found.files
    ]
    torn = type(found)(files=grown, manifest_name=found.manifest_name, manifest=found.manifest)
    tar = tmp_path / "torn.tar"
    with open(tar, "wb") as output:
        checked = torn.write_tar(output)
    torn.close()
    assert checked[torn_name(checked)].torn == len(half)
    with restored_aof(tar, tmp_path / "restored") as second:
        assert digest(second) == expected


def test_a_file_that_shrinks(start: Starter, tmp_path: pathlib.Path) -> None:
    """A server takes back a write that the disk took half of."""
    source = start(append_only=True)
    fill(source, keys=10)
    (increment,) = source.data_directory.rglob("*.incr.aof")

    def disturb() -> None:
        os.truncate(increment, increment.stat().st_size - 5)

    with pytest.raises(AofUnstable, match="shorter"):
        take(source, tmp_path / "backup", kind="aof", sink=disturbing(disturb))


def test_a_file_that_is_missing(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(append_only=True)
    fill(source, keys=10)
    (increment,) = source.data_directory.rglob("*.incr.aof")
    increment.unlink()
    with pytest.raises(AofUnstable):
        take(source, tmp_path / "backup", kind="aof")


def test_no_permission_to_read(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(append_only=True)
    (source.data_directory / "appendonlydir").rename(source.data_directory / "elsewhere")
    (source.data_directory / "appendonlydir").write_text("a file where a folder should be")
    with pytest.raises(RedisFilesUnreachable):
        producer(describe(source), kind="aof").inspect()
    (source.data_directory / "appendonlydir").unlink()
    (source.data_directory / "elsewhere").rename(source.data_directory / "appendonlydir")


def test_progress_shows_the_stages(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(append_only=True)
    fill(source, keys=10)
    taken = take(source, tmp_path / "backup", kind="aof")
    assert isinstance(taken.progress, Progress)
    assert {"opening the append-only files", "copying the append-only files"} <= set(taken.progress.stage_seconds())
    assert taken.progress.bytes_done == taken.tar.stat().st_size


def flip(path: pathlib.Path, offset: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def torn_name(checked: t.Mapping[str, t.Any]) -> str:
    return next(name for name in checked if name.endswith(".incr.aof"))
