# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each way in which a connection fails has its name, and no message holds a secret."""

from __future__ import annotations

import contextlib
import socket
import threading
import traceback
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    MongoAuthenticationFailed,
    MongoNotAuthorised,
    MongoShardedCluster,
    MongoTlsFailed,
    MongoTlsRequired,
    MongoTooOld,
    MongoUnknownHost,
    MongoUnreachable,
    RequestInvalid,
    SecretUnavailable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.connection import MongoConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.facts import read_facts
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.topology import read_topology
from sandbox.mongodb import MongoReplicaSet, MongoServer, connection_uri
from sandbox.ports import free_port
from sandbox.tls import self_signed
from tests.integration.mongodb.rig import SECRET, Source


@pytest.fixture(scope="module")
def tls_server() -> t.Iterator[MongoServer]:
    with MongoServer(tls=True) as server:
        yield server


def refused(error: type[LifeboatError], description: t.Mapping[str, t.Any]) -> LifeboatError:
    """Open a connection that must fail; neither the error nor its traceback may hold the password."""
    connection = MongoConnection.from_description({"server_selection_timeout": 2, **description})
    with pytest.raises(error) as raised:
        connection.open(runner=SubprocessRunner())
    whole = "".join(traceback.format_exception(raised.value)) + str(raised.value.as_dict()) + repr(connection)
    assert SECRET not in whole
    assert raised.value.hint
    return raised.value


def test_a_wrong_password(guarded: MongoReplicaSet) -> None:
    error = refused(MongoAuthenticationFailed, {"uri": guarded.uri_of("root", SECRET + "!")})
    assert "authSource" in error.hint


def test_a_user_that_is_not_there(guarded: MongoReplicaSet) -> None:
    refused(MongoAuthenticationFailed, {"uri": guarded.uri_of("nobody", SECRET)})


def test_an_unknown_host() -> None:
    error = refused(MongoUnknownHost, {"uri": f"mongodb://ann:{SECRET}@no-such-host.invalid/"})
    assert "no-such-host.invalid" in error.message


def test_nobody_listens() -> None:
    error = refused(MongoUnreachable, {"uri": f"mongodb://ann:{SECRET}@127.0.0.1:{free_port()}/"})
    assert "2 seconds" in error.message


def test_a_replica_set_of_another_name(replica_set: MongoReplicaSet) -> None:
    refused(MongoUnreachable, {"uri": f"mongodb://ann:{SECRET}@127.0.0.1:{replica_set.port}/?replicaSet=other"})


def test_something_else_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        refused(MongoUnreachable, {"uri": f"mongodb://ann:{SECRET}@127.0.0.1:{port}/"})
        listener.shutdown(socket.SHUT_RDWR)


def test_tls_is_required(tls_server: MongoServer) -> None:
    error = refused(MongoTlsRequired, {"uri": f"mongodb://127.0.0.1:{tls_server.port}/"})
    assert "tls_ca_file" in error.hint


def test_tls_against_a_plain_server(standalone: MongoServer) -> None:
    error = refused(MongoTlsFailed, {"uri": f"mongodb://127.0.0.1:{standalone.port}/?tls=true"})
    assert "seems to speak without TLS" in error.message


def test_an_authority_that_we_do_not_know(tls_server: MongoServer, tmp_path: Path) -> None:
    other = self_signed(tmp_path / "other")
    uri = f"mongodb://127.0.0.1:{tls_server.port}/"
    error = refused(MongoTlsFailed, {"uri": uri, "tls_ca_file": str(other.authority)})
    assert "not signed by an authority" in error.message


def test_a_tls_file_that_is_not_there(tls_server: MongoServer, tmp_path: Path) -> None:
    uri = f"mongodb://127.0.0.1:{tls_server.port}/"
    refused(RequestInvalid, {"uri": uri, "tls_ca_file": str(tmp_path / "missing.pem")})


def test_tls_works_with_its_authority(tls_server: MongoServer) -> None:
    assert tls_server.tls_files is not None
    description = {"uri": f"mongodb://127.0.0.1:{tls_server.port}/", "tls_ca_file": str(tls_server.tls_files.authority)}
    with MongoConnection.from_description(description).open(runner=SubprocessRunner()) as client:
        assert client.admin.command("ping")["ok"] == 1.0


@pytest.mark.parametrize(
    "uri",
    [f"mongodb://ann:{SECRET}/x@127.0.0.1/", f"mongodb://ann:{SECRET}@h:70000/", f"mongodb://ann:{SECRET}@h/?w=no way"],
)
def test_a_uri_that_can_not_be_read(uri: str) -> None:
    refused(RequestInvalid, {"uri": uri})


def test_not_a_uri_at_all() -> None:
    refused(RequestInvalid, {"uri": SECRET})


def test_references_to_the_uri(standalone: MongoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "uri"
    file.write_text(standalone.uri + "\n", encoding="utf-8")
    monkeypatch.setenv("LIFEBOAT_TEST_URI", standalone.uri)
    for description in ({"uri_file": str(file)}, {"uri_env": "LIFEBOAT_TEST_URI"}, {"uri_command": f"cat {file}"}):
        with MongoConnection.from_description(description).open(runner=SubprocessRunner()) as client:
            assert client.admin.command("ping")["ok"] == 1.0
    refused(SecretUnavailable, {"uri_file": str(tmp_path / "missing")})


@pytest.mark.parametrize(
    ("roles", "missing"),
    [
        ([], "clusterMonitor"),
        (["readAnyDatabase"], "clusterMonitor"),
        (["clusterMonitor"], "backup"),
        (["backup"], "clusterMonitor"),
    ],
)
def test_a_missing_role_is_named(guarded: MongoReplicaSet, tmp_path: Path, roles: list[str], missing: str) -> None:
    guarded.create_user("lesser", SECRET, roles)
    source = Source(uri=guarded.uri_of("lesser", SECRET), folder=tmp_path / "dump")
    with pytest.raises(MongoNotAuthorised, match=f"lacks the role {missing}") as raised:
        source.dump()
    assert "grantRolesToUser" in raised.value.hint
    assert SECRET not in str(raised.value.as_dict())


@pytest.mark.parametrize("description", [{}, {"database": "shop"}, {"consistency": "oplog"}])
def test_backup_and_cluster_monitor_are_enough(
    guarded: MongoReplicaSet, tmp_path: Path, description: dict[str, t.Any]
) -> None:
    guarded.create_user("backup", SECRET, ["backup", "clusterMonitor"])
    with guarded.client() as client:
        names = client.shop.list_collection_names()
        if "series" not in names:
            client.shop.create_collection("series", timeseries={"timeField": "at"})
            client.shop.create_collection("capped", capped=True, size=4096)
    dump = Source(uri=guarded.uri_of("backup", SECRET), folder=tmp_path / "dump").dump(**description)
    assert dump.content["databases"]["shop"]["orders"]["documents"] == 100
    assert SECRET not in str(dump.content) + str(dump.warnings) + dump.production.restore_commands


class Router:
    """Stands in for mongos, which no package brings: it answers hello as a router does."""

    def __init__(self) -> None:
        self.admin = self

    def command(self, name: str) -> dict[str, t.Any]:
        assert name == "hello"
        return {"isWritablePrimary": True, "msg": "isdbgrid", "ok": 1.0}


def test_a_router_is_refused() -> None:
    with pytest.raises(MongoShardedCluster, match="mongos"):
        read_topology(t.cast("t.Any", Router()))


class OldServer:
    """Stands in for a server that no package brings: it says that it is MongoDB 4.0."""

    def __init__(self) -> None:
        self.admin = self

    def command(self, name: str) -> dict[str, t.Any]:
        assert name == "buildInfo"
        return {"version": "4.0.28"}


def test_an_old_server_is_refused() -> None:
    with pytest.raises(MongoTooOld, match=r"4\.0\.28"):
        read_facts(t.cast("t.Any", OldServer()), topology=t.cast("t.Any", None))


def test_a_shard_is_refused(tmp_path: Path) -> None:
    with MongoReplicaSet() as servers:
        with servers.client() as client:
            client.admin["system.version"].insert_one({"_id": "shardIdentity", "shardName": "s0"})
        with pytest.raises(MongoShardedCluster, match="one part of a sharded cluster"):
            Source(uri=servers.uri, folder=tmp_path / "dump").producer().inspect()


@pytest.mark.slow
def test_a_secondary_is_read_by_preference(tmp_path: Path) -> None:
    with MongoReplicaSet(members=3, password=SECRET) as servers:
        with servers.client(w=3) as client:
            client.shop.orders.insert_many({"_id": number} for number in range(100))
        source = Source(uri=servers.uri, folder=tmp_path / "dump")
        dump = source.dump()
        assert dump.content["server_role"] == "secondary"
        assert dump.content["server"] in {node.address for node in servers.secondaries}
        assert dump.content["databases"]["shop"]["orders"]["documents"] == 100
        assert dump.content["consistency"]["mode"] == "snapshot"
        assert source.dump(consistency="oplog").content["server_role"] == "secondary"
        assert source.dump(read_preference="primary").content["server"] == servers.primary.address
        # The URI of one server means this one server.
        alone = Source(
            uri=connection_uri([servers.primary.address], password=SECRET, directConnection="true"),
            folder=tmp_path / "alone",
        )
        assert alone.dump().content["server"] == servers.primary.address
        for node in servers.secondaries[:1]:
            node.kill()
        dump = source.dump()
        assert dump.content["databases"]["shop"]["orders"]["documents"] == 100
