# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup takes the place of what a real server holds; whatever fails, the server holds what it held."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    ContentMismatch,
    LifeboatError,
    PayloadDamaged,
    RdbInvalid,
    RedisFilesUnreachable,
    RedisUnreachable,
    RestoreIncomplete,
    RestoreNoSpace,
    RestoreTargetInvalid,
    RestoreVersionMismatch,
    ServiceControlFailed,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis import (
    in_place as in_place_module,
    target_control,
)
from sandbox.ports import free_port
from tests.integration.redis.conftest import DaemonStarter, Starter
from tests.integration.redis.daemons import Daemon
from tests.integration.redis.relays import Relay
from tests.integration.redis.rig import Restore, Rig
from tests.integration.redis.servers import digest, fill, keyspace
from tests.support import resealing
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow
KINDS = ("rdb", "aof")


@pytest.fixture
def rig(tmp_path: pathlib.Path) -> Rig:
    return Rig(folder=tmp_path)


def in_place(rig: Rig, place: t.Any, target: Daemon, **options: t.Any) -> Restore:
    description = {
        "connection": {"port": target.port},
        "in_place": True,
        "service_control": target.control,
        "timeout": 60,
        "start_timeout": 3,
        **options,
    }
    return Restore(rig=rig, place=place, options=description)


def holding(target: Daemon, *, keys: int = 33) -> str:
    """Fill the target with data of its own; its digest."""
    fill(target, keys=keys)
    return digest(target)


@pytest.mark.parametrize(
    ("flavour", "options"),
    [
        ("redis", {"append_only": True, "save": '""'}),
        ("redis", {"append_only": True, "save": "3600 1"}),
        ("redis", {"append_only": False, "save": '""'}),
        ("redis", {"append_only": False, "save": "3600 1"}),
        ("redis_6", {"append_only": True, "save": "3600 1"}),
        ("redis_6", {"append_only": False, "save": "3600 1"}),
        ("redis_8", {"append_only": True, "save": "3600 1"}),
    ],
    ids=str,
)
def test_a_snapshot(start: Starter, daemon: DaemonStarter, rig: Rig, flavour: str, options: dict[str, t.Any]) -> None:
    source = start(flavour=flavour)
    fill(source, keys=200)
    place = rig.back_up(source)
    target = daemon(flavour=flavour, **options)
    old = holding(target)
    restore = in_place(rig, place, target)
    inspection = restore.inspect()
    assert inspection.replaces == f"redis at 127.0.0.1:{target.port}"
    assert inspection.stops == (f"the server of 'sh {target.folder}/start'",)
    assert digest(target) == old, "a look changes nothing"
    outcome = restore.run()
    assert digest(target) == digest(source)
    assert outcome.content["keyspace"] == keyspace(source)
    target.stop()
    target.start()
    assert digest(target) == digest(source), "it must also hold after another restart"
    assert not [name for name in target.names() if name.startswith("lifeboat-restore")]
    check_the_way_back(rig, target, outcome.aside, old)
    assert set(restore.discard()) == set(outcome.aside)
    assert not [name for name in target.names() if "before" in name]
    assert digest(target) == digest(source)


def check_the_way_back(rig: Rig, target: Daemon, aside: t.Sequence[str], old: str) -> None:
    """What was moved aside is what the target held: a server that is given it says so."""
    second = Daemon(
        folder=rig.folder / "way-back", append_only=target.append_only, flavour=target.flavour, settings=target.settings
    )
    for path in aside:
        name = os.path.basename(path).partition(".before-")[0]
        if not name.endswith(".last-save"):
            subprocess.run(["cp", "-a", path, second.data / name], check=True)
    try:
        assert digest(second.start()) == old
    finally:
        second.kill()


@pytest.mark.parametrize("flavour", ["redis", "redis_6", "redis_8"])
def test_append_only_files(start: Starter, daemon: DaemonStarter, rig: Rig, flavour: str) -> None:
    source = start(flavour=flavour, append_only=True)
    fill(source, keys=200)
    place = rig.back_up(source, kind="aof")
    target = daemon(append_only=True, flavour=flavour, settings={"appendfilename": '"own name.aof"'})
    old = holding(target)
    restore = in_place(rig, place, target)
    outcome = restore.run()
    assert digest(target) == digest(source)
    with target.client() as client:
        client.set("later", 1)
        client.bgrewriteaof()
    wait_for(lambda: not rewriting(target))
    wanted = digest(target)
    target.stop()
    target.start()
    assert digest(target) == wanted
    check_the_way_back(rig, target, outcome.aside, old)


def rewriting(target: Daemon) -> bool:
    with target.client() as client:
        found = client.info("persistence")
        return bool(found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"])


def test_the_one_file_of_an_older_server_into_a_newer_one(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    source = start(flavour="redis_6", append_only=True)
    fill(source, keys=200)
    place = rig.back_up(source, kind="aof")
    target = daemon(append_only=True)
    holding(target)
    in_place(rig, place, target).run()
    assert digest(target) == digest(source)


def test_odd_names_and_owners(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    source = start()
    fill(source, keys=20)
    place = rig.back_up(source)
    names = {"dbfilename": '"odd name.rdb"', "appenddirname": '"odd dir"', "appendfilename": '"odd \\"file\\".aof"'}
    target = daemon(append_only=True, settings=names)
    holding(target)
    in_place(rig, place, target).run()
    assert digest(target) == digest(source)
    base = target.data / "odd dir" / 'odd "file".aof.1.base.rdb'
    assert base.stat().st_mode & 0o007 == 0


def test_what_was_saved_last_survives_an_emptied_memory(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    """Somebody ran FLUSHALL, and the good data is in the last save only: saving the memory must not be its end."""
    source = start()
    fill(source, keys=20)
    place = rig.back_up(source)
    target = daemon()
    good = holding(target)
    with target.client() as client:
        client.save()
        client.execute_command("CONFIG", "SET", "save", "")
        saved = (target.data / "dump.rdb").read_bytes()
        client.execute_command("DEBUG", "CHANGE-REPL-ID")
        pipeline = client.pipeline(transaction=False)
        for key in client.scan_iter():
            pipeline.delete(key)
        pipeline.execute()
    assert digest(target) != good
    outcome = in_place(rig, place, target).run()
    kept = [path for path in outcome.aside if ".last-save." in path]
    assert [pathlib.Path(path).read_bytes() for path in kept] == [saved]


def test_writes_up_to_the_stop_are_in_the_old_data(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    """A server without save points saves nothing when it stops: it is given one for that moment."""
    source = start()
    fill(source, keys=20)
    place = rig.back_up(source)
    target = daemon()
    holding(target)
    stop = target.folder / "stop"
    stop.write_text(f"redis-cli -p {target.port} set written-last yes\n{stop.read_text()}")
    restore = in_place(rig, place, target, start_timeout=0.5)
    (target.folder / "start").rename(target.folder / "start.good")
    (target.folder / "start").write_text("exit 0\n")
    with pytest.raises(LifeboatError):
        restore.run()
    (target.folder / "start.good").rename(target.folder / "start")
    restore.roll_back()
    with target.client() as client:
        assert client.get("written-last") == b"yes"
        assert client.config_get("save") == {"save": ""}


# --- refusals ------------------------------------------------------------------------------------------------------


def refused(restore: Restore, target: Daemon, error: type[LifeboatError], match: str) -> None:
    """The inspection refuses with a hint, and the server runs on with what it held."""
    pid, held, names = target.pid, digest(target), target.names()
    with pytest.raises(error, match=match) as found:
        restore.inspect()
    assert found.value.hint
    assert found.value.exit_status == 2
    assert (target.pid, digest(target), target.names()) == (pid, held, names)


def test_a_snapshot_of_a_newer_server_is_refused(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    source = start(flavour="redis_8")
    fill(source, keys=10)
    place = rig.back_up(source)
    refused(in_place(rig, place, target := daemon()), target, RestoreVersionMismatch, "RDB version 12")


def test_files_of_a_newer_server_are_refused(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    place = rig.back_up(start(append_only=True), kind="aof")
    target = daemon(flavour="redis_6", append_only=True)
    rig.note(place, files=[])
    refused(in_place(rig, place, target), target, RestoreVersionMismatch, "set with a manifest")


def test_missing_modules_are_refused(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    place = rig.back_up(start())
    rig.note(place, modules=["ReJSON 20609"])
    refused(in_place(rig, place, target := daemon()), target, RestoreTargetInvalid, "ReJSON 20609")


def test_too_few_databases_are_refused(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    source = start()
    fill(source, keys=1)
    target = daemon(settings={"databases": "2"})
    refused(in_place(rig, rig.back_up(source), target), target, RestoreTargetInvalid, "database 3")


def test_files_for_a_server_that_would_ignore_them_are_refused(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    place = rig.back_up(start(append_only=True), kind="aof")
    refused(in_place(rig, place, target := daemon()), target, RestoreTargetInvalid, "appendonly is no")


def test_a_server_that_would_look_elsewhere_is_refused(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    place = rig.back_up(start())
    target = daemon()
    with target.client() as client:
        client.config_set("appendonly", "yes")
    wait_for(lambda: not rewriting(target))
    refused(in_place(rig, place, target), target, RestoreTargetInvalid, "appendonly is yes, and the file says no")


def test_a_server_with_replicas_is_refused_unless_told(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    source = start()
    fill(source, keys=50)
    place = rig.back_up(source)
    target = daemon()
    replica = daemon(settings={"replicaof": f"127.0.0.1 {target.port}"})
    wait_for(lambda: attached(target))
    refused(in_place(rig, place, target), target, RestoreTargetInvalid, "1 replicas")
    refused(in_place(rig, place, replica), replica, RestoreTargetInvalid, "is a replica")
    in_place(rig, place, target, allow_replicas=True).run()
    wait_for(lambda: attached(target))
    wait_for(lambda: digest(replica) == digest(source))


def attached(target: Daemon) -> bool:
    with target.client() as client:
        return any(client.info("replication").get("slave0", {}).get("state") == state for state in ("online",))


def test_a_server_that_a_sentinel_watches_is_refused(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    place = rig.back_up(start())
    target = daemon()
    configuration = rig.folder / "sentinel.conf"
    configuration.write_text(
        f"port 0\nunixsocket {rig.folder}/s.sock\nsentinel monitor main 127.0.0.1 {target.port} 1\n"
    )
    sentinel = subprocess.Popen(
        ["redis-server", str(configuration), "--sentinel"], stdout=subprocess.DEVNULL, cwd=rig.folder
    )
    try:
        wait_for(lambda: watched(target))
        refused(in_place(rig, place, target), target, RestoreTargetInvalid, "Sentinels watch")
    finally:
        sentinel.kill()
        sentinel.wait()


def watched(target: Daemon) -> bool:
    with target.client() as client:
        return bool(client.pubsub_numsub("__sentinel__:hello")[0][1])


def test_a_node_of_a_cluster_is_refused(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    place = rig.back_up(start())
    target = daemon(settings={"cluster-enabled": "yes", "cluster-port": str(free_port())})
    refused(in_place(rig, place, target), target, LifeboatError, "cluster")


def test_a_server_whose_files_are_elsewhere_is_refused(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    """A forwarded port looks like this host and may be another; a user who may not ask can't tell."""
    place = rig.back_up(start())
    target = daemon()
    with Relay(target.port) as relay:
        restore = in_place(rig, place, target, connection={"port": relay.port})
        refused(restore, target, RedisFilesUnreachable, "It is not certain")
    with target.client() as client:
        client.execute_command("ACL", "SETUSER", "limited", "on", "nopass", "+@all", "-config")
    restore = in_place(rig, place, target, connection={"port": target.port, "username": "limited"})
    refused(restore, target, RedisFilesUnreachable, "CONFIG GET")


def test_no_space_is_refused(start: Starter, daemon: DaemonStarter, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    place = rig.back_up(start())
    target = daemon()
    monkeypatch.setattr(in_place_module, "free_bytes", lambda _path: 10)  # a fault: a disk that is full
    restore = in_place(rig, place, target)
    inspection = restore.inspect()
    assert inspection.needed_bytes > (inspection.free_bytes or 0) == 10
    held = digest(target)
    with pytest.raises(RestoreNoSpace):
        restore.run()
    assert digest(target) == held


def test_a_stopped_server_needs_its_configuration_file(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    """The case of three in the morning: its own files are broken, and it can't start."""
    source = start()
    fill(source, keys=50)
    place = rig.back_up(source)
    target = daemon(append_only=True)
    holding(target)
    target.kill()
    base = next((target.data / "appendonlydir").glob("*.base.rdb"))
    base.write_bytes(b"REDIS0010 broken")
    with pytest.raises(RedisUnreachable) as found:
        in_place(rig, place, target).inspect()
    assert "configuration_file" in found.value.hint
    restore = in_place(rig, place, target, configuration_file=str(target.configuration_file))
    assert "does not run" in " ".join(restore.inspect().warnings)
    outcome = restore.run()
    assert digest(target) == digest(source)
    kept = next(pathlib.Path(path) for path in outcome.aside if "appendonlydir" in path)
    assert next(kept.glob("*.base.rdb")).read_bytes() == b"REDIS0010 broken"


# --- failures: the server holds what it held -----------------------------------------------------------------------


def failed(restore: Restore, target: Daemon, error: type[LifeboatError], match: str) -> None:
    held = digest(target)
    names = target.names()
    with pytest.raises(error, match=match):
        restore.run()
    wait_for(target.answers)
    assert digest(target) == held
    target.stop()
    target.start()
    assert digest(target) == held
    assert {name for name in target.names() if "before" in name or "lifeboat" in name} == set()
    assert names <= target.names()


@pytest.mark.parametrize("append_only", [True, False])
def test_a_damaged_backup_is_found_before_the_server_is_stopped(
    start: Starter, daemon: DaemonStarter, rig: Rig, append_only: bool
) -> None:
    source = start()
    fill(source, keys=200)
    place = rig.back_up(source)
    target = daemon(append_only=append_only)
    holding(target)
    pid = target.pid
    path = resealing.payload_path(rig.repository, place, "dump.rdb")
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(PayloadDamaged):
        in_place(rig, place, target).run()
    path.write_bytes(good)
    rig.mutate(place, lambda data: data[:-50])
    with pytest.raises(RdbInvalid):
        in_place(rig, place, target).run()
    rig.mutate(place, lambda _data: rig.plain(rig.back_up(start())))
    with pytest.raises(ContentMismatch):
        in_place(rig, place, target).run()
    assert target.pid == pid
    assert not [name for name in target.names() if "lifeboat" in name]


@pytest.mark.parametrize("append_only", [True, False])
@pytest.mark.parametrize("save", ['""', "3600 1"])
def test_a_snapshot_that_the_server_does_not_load(
    start: Starter, daemon: DaemonStarter, rig: Rig, append_only: bool, save: str
) -> None:
    """Its version was raised, its checksum is right, and the manifest says that all is well."""
    source = start(settings={"rdbchecksum": "no"})
    fill(source, keys=50)
    place = rig.back_up(source)
    rig.mutate(place, lambda data: b"REDIS0099" + data[9:])
    target = daemon(append_only=append_only, save=save)
    holding(target)
    failed(in_place(rig, place, target), target, ServiceControlFailed, "did not come back")
    assert "RDB format version 99" in target.log()


@pytest.mark.parametrize("append_only", [True, False])
def test_half_of_the_keys(start: Starter, daemon: DaemonStarter, rig: Rig, append_only: bool) -> None:
    source = start()
    fill(source, keys=50)
    place = rig.back_up(source)
    rig.note(place, keyspace={"db0": {"keys": 111, "expires": 0}}, keyspace_exact=True)
    target = daemon(append_only=append_only)
    holding(target)
    failed(in_place(rig, place, target), target, RestoreIncomplete, "111 were noted")


def test_a_server_that_comes_back_with_other_settings(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    """Nothing in the file says so: its start command has an argument that the running server did not have."""
    source = start()
    fill(source, keys=50)
    place = rig.back_up(source)
    target = daemon()
    target.configuration_file.write_text(target.configuration_file.read_text().replace("appendonly no\n", ""))
    holding(target)
    held = digest(target)
    script = target.folder / "start"
    good = script.read_text()
    script.write_text(good.replace("--daemonize yes", "--daemonize yes --appendonly yes"))
    with pytest.raises(LifeboatError, match="came back"):
        in_place(rig, place, target).run()
    target.stop()
    script.write_text(good)
    target.start()
    assert digest(target) == held


def test_a_stop_that_stops_nothing(
    start: Starter, daemon: DaemonStarter, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target_control, "_STOP_SECONDS", 0.5)
    place = rig.back_up(start())
    target = daemon()
    holding(target)
    control = {"stop_command": "true", "start_command": f"sh {target.folder}/start"}
    pid = target.pid
    failed(in_place(rig, place, target, service_control=control), target, ServiceControlFailed, "still runs")
    assert pid is not None


def test_a_stop_that_fails(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    place = rig.back_up(start())
    target = daemon()
    holding(target)
    control = {"stop_command": "false", "start_command": f"sh {target.folder}/start"}
    failed(in_place(rig, place, target, service_control=control), target, ServiceControlFailed, "could not be stopped")


def test_a_start_that_fails_leaves_the_old_data_ready(start: Starter, daemon: DaemonStarter, rig: Rig) -> None:
    source = start()
    fill(source, keys=50)
    place = rig.back_up(source)
    target = daemon()
    held = holding(target)
    script = target.folder / "start"
    good = script.read_text()
    script.write_text("exit 3\n")
    restore = in_place(rig, place, target)
    with pytest.raises(LifeboatError) as found:
        restore.run()
    assert found.value.code == "restore.roll_back_failed"
    assert "--roll-back" in found.value.hint
    script.write_text(good)
    restore.roll_back()
    assert digest(target) == held


def test_an_encrypted_backup(start: Starter, daemon: DaemonStarter, tmp_path: pathlib.Path) -> None:
    key = tmp_path / "identity.txt"
    subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True)
    recipient = key.read_text().split("public key: ")[1].split()[0]
    rig = Rig(folder=tmp_path, recipient=recipient, identity_file=key)
    source = start()
    fill(source, keys=50)
    place = rig.back_up(source)
    target = daemon(append_only=True)
    in_place(rig, place, target).run()
    assert digest(target) == digest(source)
