# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files under the right name that are not the server's are never taken for its own.

Some servers here get a mount namespace of their own, in which their data folder is another one than the folder of the
same name outside: what a container is to the host.
"""

from __future__ import annotations

import pathlib
import subprocess
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RedisClusterNode,
    RedisFilesUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.bgsave import BackgroundSave, Save
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.facts import read_facts
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.local_files import data_folder
from sandbox.ports import free_port
from sandbox.redis import RedisServer
from tests.integration.redis.conftest import Starter
from tests.integration.redis.relays import Relay
from tests.integration.redis.servers import (
    admin,
    connect,
    describe,
    digest,
    fill,
    keyspace,
    producer,
    program,
    restored_rdb,
    server,
    take,
)


@pytest.fixture
def contained(tmp_path: pathlib.Path) -> t.Iterator[t.Callable[..., RedisServer]]:
    """Start a server whose data folder is its own, though outside there is a folder of the same name."""
    started: list[RedisServer] = []

    def begin(**options: t.Any) -> RedisServer:
        directory = tmp_path / f"contained{len(started)}"
        (directory / "data").mkdir(parents=True)
        wrapper = directory / "in-a-container.sh"
        wrapper.write_text(
            f"#!/bin/sh\nexec unshare --mount --propagation private sh -c "
            f'\'mount -t tmpfs none {directory}/data && exec {program("redis")} "$1"\' sh "$1"\n'
        )
        wrapper.chmod(0o755)
        one = server(directory, **options)
        one.program = wrapper
        started.append(one)
        return one.start()

    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"SKIPPED LOUDLY: no mount namespaces here: {probe.stderr.strip()}")
    yield begin
    for one in started:
        one.discard()


def proven(of: RedisServer) -> bool:
    client = connect(of)
    try:
        return data_folder(client, read_facts(client)).proven
    finally:
        client.close()


def test_a_server_of_this_host_is_proven(start: Starter) -> None:
    assert proven(start())


def test_a_container_is_not_proven_and_goes_over_the_wire(
    contained: t.Callable[..., RedisServer], tmp_path: pathlib.Path
) -> None:
    source = contained()
    fill(source)
    assert not proven(source)
    (source.data_directory / "dump.rdb").write_bytes(b"of another server")
    with pytest.raises(RedisFilesUnreachable, match="did not change"):
        take(source, tmp_path / "refused", method="bgsave")
    taken = take(source, tmp_path / "backup")
    assert taken.content["method"] == "sync"
    assert "over the wire instead" in taken.journal.infos[-1]
    with restored_rdb(taken.rdb, tmp_path / "restored") as second:
        assert digest(second) == digest(source)


def test_a_container_without_any_file_outside(contained: t.Callable[..., RedisServer], tmp_path: pathlib.Path) -> None:
    source = contained()
    fill(source, keys=20)
    with pytest.raises(RedisFilesUnreachable, match="No such file"):
        take(source, tmp_path / "refused", method="bgsave")
    assert take(source, tmp_path / "backup").content["method"] == "sync"


def test_another_server_that_saves_at_the_same_time(
    contained: t.Callable[..., RedisServer], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside, a second server lives in the folder of the same name, and saves while the first one does."""
    source = contained()
    other = server(source.directory.parent / "other")
    other._settings["dir"] = str(source.data_directory)
    fill(source, keys=100)
    real_run = BackgroundSave.run

    def run_beside(self: BackgroundSave) -> Save:
        found = real_run(self)
        with admin(other) as client:
            client.save()
        return found

    monkeypatch.setattr(BackgroundSave, "run", run_beside)
    with other:
        fill(other, keys=200)
        with pytest.raises(RedisFilesUnreachable, match="other numbers of keys"):
            take(source, tmp_path / "refused", method="bgsave")
        assert take(source, tmp_path / "backup").content["keyspace"] == keyspace(source)
    other.discard()


def test_append_only_files_of_another_server(contained: t.Callable[..., RedisServer], tmp_path: pathlib.Path) -> None:
    source = contained(append_only=True)
    other = server(source.directory.parent / "other", append_only=True)
    other._settings["dir"] = str(source.data_directory)
    fill(source, keys=100)
    with pytest.raises(RedisFilesUnreachable):
        take(source, tmp_path / "nothing there", kind="aof")
    with other:
        fill(other, keys=200)
        with pytest.raises(RedisFilesUnreachable, match="not those of"):
            take(source, tmp_path / "refused", kind="aof")
    other.discard()


def test_through_a_forwarded_port_the_files_prove_themselves(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(append_only=True)
    fill(source)
    with Relay(source.port) as relay:
        taken = take({"port": relay.port}, tmp_path / "rdb", method="bgsave")
        assert taken.content["keyspace"] == keyspace(source)
        assert take({"port": relay.port}, tmp_path / "aof", kind="aof").content["files"]


def test_an_older_file_that_is_put_back(
    start: Starter, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole and of this server, but begun before our save: somebody restores while we back up."""
    source = start()
    fill(source, keys=10)
    older = take(source, tmp_path / "older", method="bgsave").rdb.read_bytes()
    time.sleep(2)  # more than the second by which the file's stamp and the server's clock may differ
    real_run = BackgroundSave.run

    def run_and_replace(self: BackgroundSave) -> Save:
        found = real_run(self)
        (source.data_directory / "dump.rdb").write_bytes(older)
        return found

    monkeypatch.setattr(BackgroundSave, "run", run_and_replace)
    with pytest.raises(RedisFilesUnreachable, match="was begun at"):
        take(source, tmp_path / "refused", method="bgsave")


def test_a_node_of_a_cluster(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(settings={"cluster-enabled": "yes", "cluster-port": str(free_port())})
    with pytest.raises(RedisClusterNode, match="only its own slots"):
        producer(describe(source)).inspect()
    with pytest.raises(RedisClusterNode):
        take(source, tmp_path / "refused")
    assert not (tmp_path / "refused/dump.rdb").exists()
    taken = take(source, tmp_path / "backup", allow_cluster_node=True)
    assert taken.content["cluster_node"] is True
    assert any("slots only" in warning for warning in taken.content["warnings"])
