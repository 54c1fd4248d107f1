# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proxies spoil what they are told to spoil, and nothing else."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import time
import typing as t

import botocore.exceptions
import pytest
import redis
from boto3.s3.transfer import TransferConfig
from redis.backoff import NoBackoff
from redis.retry import Retry

from sandbox.faults import FaultProxy
from sandbox.redis import RedisServer
from sandbox.s3 import S3Server
from sandbox.tcp_faults import TCPFaultProxy

if t.TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "lifeboat"
DATA = os.urandom(12_000_000)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server(buckets=[BUCKET]) as started:
        yield started


@pytest.fixture
def proxy(server: S3Server) -> Iterator[FaultProxy]:
    with FaultProxy(server.port) as started:
        yield started


@pytest.fixture
def client(server: S3Server, proxy: FaultProxy) -> Iterator[t.Any]:
    with contextlib.closing(server.client(endpoint_url=proxy.endpoint_url)) as made:
        yield made


@pytest.fixture
def direct(server: S3Server) -> Iterator[t.Any]:
    with contextlib.closing(server.client()) as made:
        yield made


def test_without_a_fault_all_passes_unchanged(client: t.Any, proxy: FaultProxy) -> None:
    client.put_object(Bucket=BUCKET, Key="a b/ü?&.txt", Body=DATA, Metadata={"note": "kept"})
    answer = client.get_object(Bucket=BUCKET, Key="a b/ü?&.txt")
    assert answer["Body"].read() == DATA
    assert answer["Metadata"] == {"note": "kept"}
    parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    client.upload_fileobj(io.BytesIO(DATA), BUCKET, "parts", Config=parts)
    assert client.head_object(Bucket=BUCKET, Key="parts")["ContentLength"] == len(DATA)
    assert client.get_object(Bucket=BUCKET, Key="parts", Range="bytes=5-9")["Body"].read() == DATA[5:10]
    client.delete_object(Bucket=BUCKET, Key="parts")
    with pytest.raises(botocore.exceptions.ClientError, match="404"):
        client.head_object(Bucket=BUCKET, Key="parts")
    assert {request.fault for request in proxy.requests} == {""}
    assert {request.method for request in proxy.requests} == {"PUT", "GET", "POST", "HEAD", "DELETE"}


def test_slow_down_so_many_times_then_well(client: t.Any, direct: t.Any, proxy: FaultProxy) -> None:
    proxy.slow_down(method="PUT", times=2)
    for _attempt in range(2):
        with pytest.raises(botocore.exceptions.ClientError, match="SlowDown") as caught:
            client.put_object(Bucket=BUCKET, Key="slow", Body=DATA)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        with pytest.raises(botocore.exceptions.ClientError, match="404"):
            direct.head_object(Bucket=BUCKET, Key="slow")
    client.put_object(Bucket=BUCKET, Key="slow", Body=DATA)
    assert direct.get_object(Bucket=BUCKET, Key="slow")["Body"].read() == DATA
    assert [request.fault for request in proxy.requests] == ["503 SlowDown", "503 SlowDown", ""]


def test_forbidden_for_one_method_and_path_until_healed(client: t.Any, proxy: FaultProxy) -> None:
    proxy.forbid(method="DELETE", path_contains="/kept")
    client.put_object(Bucket=BUCKET, Key="kept", Body=b"1")
    client.put_object(Bucket=BUCKET, Key="other", Body=b"1")
    client.delete_object(Bucket=BUCKET, Key="other")
    for _attempt in range(3):
        with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
            client.delete_object(Bucket=BUCKET, Key="kept")
    proxy.heal()
    client.delete_object(Bucket=BUCKET, Key="kept")


def test_an_upload_is_cut_after_so_many_bytes(client: t.Any, direct: t.Any, proxy: FaultProxy) -> None:
    proxy.cut_upload(1_000_000, method="PUT", skip=1, times=1)
    client.put_object(Bucket=BUCKET, Key="first", Body=DATA)
    with pytest.raises(botocore.exceptions.HTTPClientError):
        client.put_object(Bucket=BUCKET, Key="cut", Body=DATA)
    with pytest.raises(botocore.exceptions.ClientError, match="404"):
        direct.head_object(Bucket=BUCKET, Key="cut")
    client.put_object(Bucket=BUCKET, Key="cut", Body=DATA)
    assert direct.head_object(Bucket=BUCKET, Key="cut")["ContentLength"] == len(DATA)


def test_a_download_is_cut_after_so_many_bytes(client: t.Any, proxy: FaultProxy) -> None:
    client.put_object(Bucket=BUCKET, Key="long", Body=DATA)
    proxy.cut_download(1_000_000, method="GET", times=1)
    answer = client.get_object(Bucket=BUCKET, Key="long")
    with pytest.raises(botocore.exceptions.ResponseStreamingError):
        answer["Body"].read()
    assert client.get_object(Bucket=BUCKET, Key="long")["Body"].read() == DATA


def test_a_delay_and_an_internal_error(client: t.Any, proxy: FaultProxy) -> None:
    proxy.delay(0.4, method="PUT", times=1)
    proxy.fail(method="PUT", times=1)
    started = time.monotonic()
    client.put_object(Bucket=BUCKET, Key="late", Body=b"1")
    assert 0.4 <= time.monotonic() - started < 5
    with pytest.raises(botocore.exceptions.ClientError, match="InternalError"):
        client.put_object(Bucket=BUCKET, Key="late", Body=b"1")


def test_a_tcp_connection_is_cut_delayed_and_refused() -> None:
    with RedisServer() as server, TCPFaultProxy(server.port) as proxy:

        def connect() -> redis.Redis:
            return redis.Redis(port=proxy.port, retry=Retry(NoBackoff(), 0), protocol=2)

        with connect() as client:
            client.set("kept", b"x" * 500_000)
            assert client.strlen("kept") == 500_000
            proxy.delay = 0.3
            started = time.monotonic()
            assert client.ping()
            assert time.monotonic() - started >= 0.3
        proxy.heal()
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as raw:
            raw.sendall(b"PING\r\n")
            assert raw.recv(100) == b"+PONG\r\n"
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                raw.recv(100)
        proxy.cut_after = 100_000
        with connect() as client, pytest.raises(redis.ConnectionError):
            client.get("kept")
        proxy.heal()
        proxy.refuse = True
        with connect() as client, pytest.raises(redis.ConnectionError):
            client.ping()
        assert proxy.connections == 4
