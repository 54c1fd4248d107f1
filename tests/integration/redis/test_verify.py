# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of real servers through the levels: good ones reach the top, bad ones are caught where promised.

Every mutation is sealed again, so sizes and hashes agree: each test shows that the level below lets it pass.
"""

from __future__ import annotations

import io
import os
import pathlib
import signal
import subprocess
import tarfile
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    HostileArchive,
    QuestionFailed,
    RdbInvalid,
    RestoreTargetInvalid,
    RestoreVersionMismatch,
    ScratchFailed,
    ScratchUnusable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import question_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.scratch import sweep_scratch
from sandbox.process import processes_inside
from tests.integration.redis.conftest import Starter
from tests.integration.redis.rig import Rig, require_passed
from tests.integration.redis.servers import admin, fill, keyspace, program
from tests.support.children import child, line_of
from tests.support.waiting import wait_for
from tests.unit.redis.made_files import bitwise_crc64, make_rdb

pytestmark = pytest.mark.slow

KINDS = ("rdb", "aof")


@pytest.fixture
def rig(tmp_path: pathlib.Path) -> Rig:
    return Rig(folder=tmp_path)


def both(start: Starter, **options: t.Any) -> t.Any:
    return start(append_only=True, **options)


@pytest.mark.smoke
@pytest.mark.parametrize("flavour", ["redis", "redis_6", "redis_8"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_good_backup_reaches_the_top_and_leaves_nothing(start: Starter, rig: Rig, kind: str, flavour: str) -> None:
    source = both(start, flavour=flavour)
    fill(source, keys=200)
    place = rig.back_up(source, kind=kind)
    wanted = keyspace(source)
    named = str(program(flavour))
    require_passed(rig.listing(place))
    with rig.instance(place, server_program=named) as (instance, scratch):
        require_passed(list(instance.compare()))
        assert instance.facts["keyspace"] == wanted
        assert instance.facts["server"].startswith("Redis ")
        folder = scratch.folder
        ports = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
        pids = processes_inside(pathlib.Path(folder))
        assert pids
        assert not any(f"pid={pid}," in ports for pid in pids), "nothing may listen at a port"
    assert os.listdir(rig.scratch_directory) == []
    assert processes_inside(pathlib.Path(folder)) == []


def test_an_encrypted_backup(start: Starter, tmp_path: pathlib.Path) -> None:
    key = tmp_path / "identity.txt"
    subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True)
    recipient = key.read_text().split("public key: ")[1].split()[0]
    source = start()
    fill(source, keys=100)
    place = Rig(folder=tmp_path, recipient=recipient).back_up(source)
    assert Rig(folder=tmp_path, identity_file=key).reached(place) == (4, "")
    reached, said = Rig(folder=tmp_path).reached(place)
    assert (reached, said.partition(":")[0]) == (1, "payload.identity_missing")


@pytest.mark.parametrize("kind", KINDS)
def test_keys_that_expired_since_are_no_loss(start: Starter, rig: Rig, kind: str) -> None:
    source = both(start)
    fill(source, keys=100)
    with admin(source) as client:
        for number in range(50):
            client.set(f"soon:{number}", "x", px=1500)
    place = rig.back_up(source, kind=kind)
    time.sleep(1.6)
    require_passed(rig.compare(place))


# --- mutations: caught at the level, passing below -----------------------------------------------------------------


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def created(rig: Rig, place: t.Any) -> int:
    """When the snapshot of a backup was begun, in seconds since 1970."""
    return int(rig.manifest(place).content["auxiliary"]["ctime"])


@pytest.mark.parametrize(
    ("name", "function", "says"),
    [
        ("truncated", lambda data: data[:-100], "redis.rdb_invalid"),
        ("one bit flipped", flipped, "redis.rdb_invalid"),
        ("a zeroed page", lambda data: data[:4096] + bytes(4096) + data[8192:], "redis.rdb_invalid"),
        ("empty RDB", lambda _data: make_rdb(), "checksum of the RDB"),
        ("nothing at all", lambda _data: b"", "redis.rdb_invalid"),
        ("something behind", lambda data: data + b"more", "redis.rdb_invalid"),
    ],
)
def test_altered_snapshots_pass_level_1_and_fail_level_2(
    start: Starter, rig: Rig, name: str, function: t.Callable[[bytes], bytes], says: str
) -> None:
    source = start()
    fill(source, keys=300)
    place = rig.back_up(source)
    rig.mutate(place, function)
    reached, said = rig.reached(place)
    assert reached == 1, f"{name}: {said}"
    assert says in said, name


def half_of(start: Starter, rig: Rig, *, kind: str) -> t.Any:
    source = both(start)
    fill(source, keys=300)
    place = rig.back_up(source, kind=kind)
    with admin(source) as client:
        for number in range(0, 300, 2):
            client.delete(f"text:{number}")
        client.bgrewriteaof()
    wait_for(lambda: not rewriting(source))
    half = rig.back_up(source, kind=kind)
    return place, half


def rewriting(source: t.Any) -> bool:
    with admin(source) as client:
        found = client.info("persistence")
        return bool(found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"])


@pytest.mark.smoke
@pytest.mark.parametrize("kind", KINDS)
def test_half_the_keys_under_the_same_name_fail_level_2(start: Starter, rig: Rig, kind: str) -> None:
    place, half = half_of(start, rig, kind=kind)
    rig.mutate(place, lambda _data: rig.plain(half))
    reached, said = rig.reached(place)
    assert reached == 1
    assert ("checksum" if kind == "rdb" else "is missing") in said


@pytest.mark.parametrize("kind", KINDS)
def test_half_the_keys_with_everything_else_right_fail_level_4(start: Starter, rig: Rig, kind: str) -> None:
    place, half = half_of(start, rig, kind=kind)
    noted = rig.manifest(place).content["keyspace"]
    rig.note(half, keyspace=noted)  # as though the server had lost them while it saved
    reached, said = rig.reached(half)
    assert reached == 3
    assert "keys in db0" in said


def test_an_empty_snapshot_with_everything_else_right_fails_level_4(start: Starter, rig: Rig) -> None:
    source = start()
    fill(source, keys=300)
    place = rig.back_up(source)
    empty = make_rdb(auxiliary={"redis-ver": "7.0.15", "ctime": str(created(rig, place))})
    rig.mutate(place, lambda _data: empty)
    rig.note(place, crc64=f"{bitwise_crc64(empty[:-8]):016x}", rdb_size=len(empty))
    reached, said = rig.reached(place)
    assert reached == 3
    assert "keys in the RDB: 0" in said


def test_a_stale_backup_with_a_new_name_fails_level_2(start: Starter, rig: Rig) -> None:
    """Yesterday's snapshot, with everything noted of it, stored again today."""
    source = start()
    fill(source, keys=50)
    place = rig.back_up(source)
    begun = created(rig, place) - 86400
    old = make_rdb(auxiliary={"redis-ver": "7.0.15", "ctime": str(begun)}, keys={"a": b"b"})
    rig.mutate(place, lambda _data: old)
    rig.note(
        place,
        crc64=f"{bitwise_crc64(old[:-8]):016x}",
        rdb_size=len(old),
        snapshot_time=None,
        keyspace={"db0": {"keys": 1, "expires": 0}},
    )
    reached, said = rig.reached(place)
    assert reached == 1
    assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begun)) in said
    assert "it is another one" in said


@pytest.mark.parametrize("kind", KINDS)
def test_swapped_payloads_fail_level_2(start: Starter, rig: Rig, kind: str) -> None:
    one, other = both(start), both(start)
    fill(one, keys=40)
    fill(other, keys=50)
    first, second = rig.back_up(one, kind=kind), rig.back_up(other, kind=kind, source="other")
    data = rig.plain(first)
    rig.mutate(first, lambda _data: rig.plain(second))
    rig.mutate(second, lambda _data: data)
    assert [rig.reached(place)[0] for place in (first, second)] == [1, 1]


def test_a_missing_checksum_leaves_damage_to_level_3(start: Starter, rig: Rig) -> None:
    """A server with rdbchecksum no: level 2 can't see a damaged value's length, the server can."""
    source = start(settings={"rdbchecksum": "no"})
    fill(source, keys=300)
    place = rig.back_up(source)

    def damage(data: bytes) -> bytes:
        at = data.index(b"text:1") - 2
        return data[:at] + b"\xc3" + data[at + 1 :]

    rig.mutate(place, damage)
    reached, said = rig.reached(place)
    assert reached == 2
    assert "verify.scratch_failed" in said


# --- append-only files ---------------------------------------------------------------------------------------------


def retar(data: bytes, change: t.Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = [(member, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]
    change(members)
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member, body in members:
            if member.isreg():
                member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return output.getvalue()


def member(name: str, **fields: t.Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize(
    "hostile",
    [
        member("../../etc/cron.d/evil"),
        member("/etc/cron.d/evil"),
        member("appendonlydir/../evil"),
        member("appendonlydir/sub/evil"),
        member("appendonlydir/.."),
        member("other/evil"),
        member("appendonlydir/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("appendonlydir/hard", type=tarfile.LNKTYPE, linkname="../../evil"),
        member("appendonlydir/device", type=tarfile.CHRTYPE),
        member("appendonlydir/fifo", type=tarfile.FIFOTYPE),
        member("appendonlydir", type=tarfile.DIRTYPE),
        member("appendonlydir/" + "n" * 5000),
    ],
    ids=lambda made: made.name[:30] if made.type == tarfile.REGTYPE else made.type.decode(),
)
def test_hostile_members_fail_level_2(start: Starter, rig: Rig, hostile: tarfile.TarInfo) -> None:
    source = both(start)
    fill(source, keys=20)
    place = rig.back_up(source, kind="aof")
    rig.mutate(place, lambda data: retar(data, lambda members: members.insert(1, (hostile, b""))))
    rig.check_stored(place)
    with pytest.raises(HostileArchive):
        rig.listing(place)


def swap(members: list[t.Any]) -> None:
    (one, first), (other, second) = members[0], members[1]
    members[0], members[1] = (one, second), (other, first)


def cut(members: list[t.Any], number: int) -> None:
    info, body = members[number]
    members[number] = (info, body[:-20])


def flip(members: list[t.Any]) -> None:
    info, body = members[0]
    members[0] = (info, flipped(body))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("a file dropped", lambda members: members.pop(0), "redis.aof_invalid"),
        ("no manifest", lambda members: members.pop(), "redis.aof_invalid"),
        ("two files swapped", swap, "the length of"),
        ("an increment cut short", lambda members: cut(members, 1), "the length of"),
        ("a base cut short", lambda members: cut(members, 0), "redis.rdb_invalid"),
        ("one bit flipped in the base", flip, "redis.rdb_invalid"),
        ("twice the same", lambda members: members.insert(1, members[0]), "verify.hostile_archive"),
    ],
)
def test_altered_files_pass_level_1_and_fail_level_2(
    start: Starter, rig: Rig, name: str, change: t.Callable[[list[t.Any]], t.Any], says: str
) -> None:
    source = both(start)
    fill(source, keys=100)
    with admin(source) as client:
        client.bgrewriteaof()
    wait_for(lambda: not rewriting(source))
    with admin(source) as client:
        client.set("later", "x" * 100)
    place = rig.back_up(source, kind="aof")
    rig.mutate(place, lambda data: retar(data, change))
    reached, said = rig.reached(place)
    assert reached == 1, f"{name}: {said}"
    assert says in said, name


# --- refusals ------------------------------------------------------------------------------------------------------


def test_a_server_that_is_too_old_is_refused_by_name(start: Starter, rig: Rig) -> None:
    source = start(flavour="redis_8")
    fill(source, keys=20)
    place = rig.back_up(source)
    with pytest.raises(RestoreVersionMismatch, match=r"Redis 7\.0\.15 can't load this backup of Redis 8.*version 12"):
        rig.verifier(place, server_program=str(program("redis"))).inspect(level=3)
    rig.verifier(place).inspect(level=2)  # reading it to its end needs no server


def test_a_backup_of_valkey_needs_valkey(start: Starter, rig: Rig) -> None:
    source = start()
    fill(source, keys=20)
    place = rig.back_up(source)
    rig.note(place, flavour="valkey", version="9.0.1", rdb_magic="VALKEY", rdb_version=80)
    with pytest.raises(RestoreVersionMismatch, match="valkey-server"):
        rig.verifier(place, server_program=str(program("redis"))).inspect(level=3)


def test_missing_modules_are_refused(start: Starter, rig: Rig) -> None:
    source = start()
    place = rig.back_up(source)
    rig.note(place, modules=["ReJSON 20609"])
    with pytest.raises(RestoreTargetInvalid, match="ReJSON"):
        rig.verifier(place).inspect(level=3)


def test_too_little_memory_is_said_and_nothing_is_evicted(start: Starter, rig: Rig) -> None:
    source = start()
    fill(source, keys=2000)
    place = rig.back_up(source)
    with pytest.raises(ScratchUnusable, match="would have to drop keys"), rig.instance(place, memory=500_000):
        pass


def test_a_bomb_is_stopped_by_the_kernel(start: Starter, rig: Rig) -> None:
    """The manifest says that little memory is needed; the snapshot, a few megabytes, needs four gigabytes."""
    source = start()
    fill(source, keys=10)
    place = rig.back_up(source)
    rig.mutate(place, lambda _data: bomb(created(rig, place)))
    rig.note(place, crc64=None, rdb_size=None, snapshot_time=None, used_memory=1000, keyspace={})
    with pytest.raises(ScratchFailed, match=r"(?i)memory|killed|did not load"), rig.instance(place, memory=1 << 20):
        pass
    assert os.listdir(rig.scratch_directory) == []


def bomb(begun: int) -> bytes:
    """Lists of integers cost an RDB little and a server much: 600 strings of 8 MiB, compressed by LZF."""
    size = 8 * 1024 * 1024
    run = b"\x00\x00"  # a literal of one zero byte, then copies of 264 bytes from one byte back
    copies = (size - 1) // 264
    run += b"\xe0\xff\x00" * copies
    rest = size - 1 - copies * 264
    run += bytes([0x1F]) + bytes(32) if rest >= 32 else b""
    run += bytes([rest % 32 - 1]) + bytes(rest % 32) if rest % 32 else b""
    for _turn in range(max(rest // 32 - 1, 0)):
        run += bytes([0x1F]) + bytes(32)

    def length(number: int) -> bytes:
        return b"\x80" + number.to_bytes(4, "big")

    body = b"REDIS0010\xfa\x05ctime" + b"\x0a" + str(begun).encode() + b"\xfe\x00"
    for number in range(600):
        key = b"key%05d" % number
        body += b"\x00" + bytes([len(key)]) + key + b"\xc3" + length(len(run)) + length(size) + run
    return body + b"\xff" + bytes(8)


# --- questions -----------------------------------------------------------------------------------------------------


def test_questions(start: Starter, rig: Rig) -> None:
    source = start()
    fill(source, keys=100)
    with admin(source) as client:
        client.set("number", "42")
        client.set("share", "0.5")
    place = rig.back_up(source)

    def ask(what: t.Any, **more: t.Any) -> t.Any:
        return instance.ask(question_from({"name": "it", "redis": what, **more}))

    with rig.instance(place) as (instance, _scratch):
        assert ask(["DBSIZE"]) == keyspace(source)["db0"]["keys"]
        assert ask("DBSIZE", database="3") == ask("DBSIZE", database="db3") == 1
        assert ask(["GET", "number"]) == 42
        assert ask(["GET", "number"], equals="42") == "42"
        assert ask(["GET", "share"]) == 0.5
        assert ask(["GET", "absent"]) is None
        assert ask(["LRANGE", "list", 0, 9]) == 10
        assert ask("OBJECT ENCODING number") == "int"
        assert ask("SCARD set") == 300
        for refused in (
            ["SET", "a", "b"],
            ["FLUSHALL"],
            ["SHUTDOWN", "NOSAVE"],
            ["CONFIG", "GET", "*"],
            ["DEBUG", "SEGFAULT"],
            ["EVAL", "return 1", "0"],
            ["XREAD", "BLOCK", "0", "STREAMS", "stream", "$"],
            ["SUBSCRIBE", "x"],
            ["NOSUCH"],
            ["GET"],
            "GET 'open",
            [],
            [["x"]],
        ):
            with pytest.raises(QuestionFailed):
                ask(refused)
        with pytest.raises(QuestionFailed):
            ask(["DBSIZE"], database="nonsense")
        assert ask(["DBSIZE"]) == keyspace(source)["db0"]["keys"], "it must still be there and whole"
        assert [check.state for check in instance.require(["users"])] == ["skipped"]


# --- deaths --------------------------------------------------------------------------------------------------------

_CHILD = """
import pathlib, sys, time
from tests.integration.redis.rig import Rig
from tests.support.resealing import parse_key
rig = Rig(folder=pathlib.Path(sys.argv[1]))
place = parse_key(sys.argv[2]).folder
with rig.instance(place) as (instance, scratch):
    print(scratch.folder, flush=True)
    time.sleep(600)
"""


def test_the_next_run_removes_what_a_killed_one_left(start: Starter, rig: Rig) -> None:
    source = start()
    fill(source, keys=50)
    place = rig.back_up(source)
    with child(_CHILD, str(rig.folder), place.manifest_key) as process:
        folder = line_of(process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert processes_inside(pathlib.Path(folder)), "the server must have survived, or this shows nothing"
    assert os.path.isdir(folder)
    journal = MemoryJournal()
    assert sweep_scratch(str(rig.scratch_directory), journal=journal) == [folder]
    assert not os.path.exists(folder)
    assert processes_inside(pathlib.Path(folder)) == []
    require_passed(rig.compare(place))


def test_a_snapshot_that_is_damaged_says_so_at_level_3_too(start: Starter, rig: Rig) -> None:
    source = start()
    fill(source, keys=100)
    place = rig.back_up(source)
    rig.mutate(place, flipped)
    with pytest.raises(RdbInvalid), rig.instance(place):
        pass
    assert os.listdir(rig.scratch_directory) == []


def test_a_path_too_long_for_a_socket(start: Starter, tmp_path: pathlib.Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    source = start()
    fill(source, keys=10)
    rig = Rig(folder=deep)
    assert rig.reached(rig.back_up(source)) == (4, "")
