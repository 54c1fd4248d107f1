# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m sandbox``: up, up again, after a crash, down; and what it leaves for inventories to read."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import redis
import yaml

from sandbox.demo.layout import Layout
from sandbox.demo.servers import server_folders
from sandbox.process import PidFile, processes_inside, wait_until_gone

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def sandbox(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def kill(directory: Path, name: str) -> None:
    """As a crash would do it; returns when the process is gone."""
    (path,) = (path for folder in server_folders(Layout.at(directory)) for path in folder.rglob(f"{name}.pid.json"))
    noted = PidFile.read(path)
    assert noted is not None
    identity = noted.living
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    assert wait_until_gone(identity, None, 10)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("demo") / ".sandbox"
    try:
        output = sandbox("up", "--directory", str(path), "--megabytes", "2").stdout
        for name in ("mongodb", "postgresql", "redis", "s3"):
            assert re.search(rf"\[ *[0-9.]+ s\] {name} +serves on 127\.0\.0\.1:", output)
        assert "MB (" in output
        yield path
    finally:
        sandbox("down", "--directory", str(path))


@pytest.fixture
def description(directory: Path) -> t.Any:
    return json.loads(sandbox("env", "--directory", str(directory)).stdout)


def test_up_again_finds_everything_done(directory: Path, description: t.Any) -> None:
    again = sandbox("up", "--directory", str(directory), "--megabytes", "2").stdout
    assert "everything runs already" in again
    assert json.loads(sandbox("env", "--directory", str(directory)).stdout) == description
    assert sandbox("status", "--directory", str(directory)).stdout.count("runs") == 4


def test_secrets_are_in_files_of_their_owner_only(directory: Path, description: t.Any) -> None:
    files = list(Layout.at(directory).credentials.iterdir())
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert Layout.at(directory).credentials.stat().st_mode & 0o777 == 0o700
    text = json.dumps(description)
    for secret in json.loads((Layout.at(directory).credentials / "secrets.json").read_text()).values():
        assert secret not in text
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert secret.encode() not in process.read_bytes()
            except OSError:
                continue
    assert description["age"]["recipient"].startswith("age1")
    assert "AGE-SECRET-KEY-1" in Path(description["age"]["identity_file"]).read_text()


def test_the_backup_role_of_postgresql_may_dump_all_and_stream_but_not_write(description: t.Any) -> None:
    server = description["postgresql"]
    environment = {"PATH": os.environ["PATH"], "PGPASSFILE": server["pgpass_file"]}

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [f"{server['bin_directory']}/{name}", *arguments, "-d", server["uri"]]
        return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)

    dump = run("pg_dump", "-Fc")
    assert dump.returncode == 0, dump.stderr
    globals_only = run("pg_dumpall", "--globals-only", "--no-role-passwords")
    assert b"mcp_adhd_reporting" in globals_only.stdout, globals_only.stderr
    base = run("pg_basebackup", "-Ft", "-X", "fetch", "-D", "-", "-c", "fast")
    assert base.returncode == 0, base.stderr
    write = run("psql", "-c", "DELETE FROM tasks")
    assert b"permission denied" in write.stderr
    assert run("psql", "-c", "SHOW archive_mode").stdout.split()[2] == b"on"


def test_the_backup_users_of_mongodb_and_redis(description: t.Any) -> None:
    import pymongo
    import pymongo.errors

    uri = Path(description["mongodb"]["uri_file"]).read_text().strip()
    with pymongo.MongoClient[t.Any](uri) as client:
        assert client.admin.command("replSetGetStatus")["ok"]
        assert client["local"]["oplog.rs"].find_one()
        assert client["second_brain_database"]["users"].count_documents({}) > 0
        with pytest.raises(pymongo.errors.OperationFailure, match="not authorized"):
            client["second_brain_database"]["users"].delete_many({})
    with redis.Redis.from_url(Path(description["redis"]["uri_file"]).read_text().strip()) as cache:
        assert t.cast("t.Any", cache.info("persistence"))["aof_enabled"] == 1
        assert cache.bgsave()
        with pytest.raises(redis.exceptions.NoPermissionError):
            cache.flushall()


def test_the_bucket_is_there(description: t.Any) -> None:
    import boto3

    lines = Path(description["s3"]["credentials_file"]).read_text().splitlines()
    keys = dict(line.split("=", 1) for line in lines)
    client = boto3.client(
        "s3",
        endpoint_url=description["s3"]["endpoint_url"],
        region_name=description["s3"]["region"],
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )
    client.put_object(Bucket="lifeboat-demo", Key="kept", Body=b"42")
    assert client.get_object(Bucket="lifeboat-demo", Key="kept")["Body"].read() == b"42"
    client.close()


def demo_restores() -> t.Any:
    """tools/demo_restores.py, which is no part of a package."""
    found = importlib.util.spec_from_file_location("demo_restores", ROOT / "tools" / "demo_restores.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_make_demo_restores_one_of_each_kind_that_it_backs_up_and_beside(description: t.Any, tmp_path: Path) -> None:
    backed_up = {
        f"{service['name']}/{source['name']}/{backup['kind']}"
        for path in (ROOT / "inventories" / "sandbox" / "host_vars").glob("*.yml")
        for service in yaml.safe_load(path.read_text(encoding="utf-8"))["lifeboat_services"]
        for source in service["sources"]
        for backup in source["backups"]
    }
    restored = dict(demo_restores().restores(tmp_path, description))
    assert set(restored) == backed_up
    assert len(backed_up) >= 5
    assert not any(options.get("in_place") for options in restored.values())


@pytest.mark.slow
def test_make_demo_proves_and_restores_with_measured_times(
    directory: Path, description: t.Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """As ``make demo`` does it, with one of its kinds; the others differ by their task files, which are played."""
    pytest.importorskip("ansible")
    job, variables = "family/cache/rdb", {"sandbox_directory": str(directory), "lifeboat_jobs": "family/cache/rdb"}
    proof = {"lifeboat_verify_level": 4, "lifeboat_identity_file": description["age"]["identity_file"]}
    for name, more in (("backup", {}), ("verify", proof)):
        command = [str(Path(sys.executable).parent / "ansible-playbook"), f"playbooks/{name}.yml"]
        command += ["-i", "inventories/sandbox", "-e", json.dumps({**variables, **more})]
        played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
        assert played.returncode == 0, played.stdout + played.stderr
    assert "4 of 4" in played.stdout
    demo = demo_restores()
    copies = Path(description["scratch_directory"]).parent / "copies"
    copies.parent.mkdir(mode=0o711, exist_ok=True)
    copies.mkdir(mode=0o711)
    try:
        options = dict(demo.restores(copies, description))[job]
        assert demo.restore(directory, description, job, options), capsys.readouterr().out
        told = capsys.readouterr().out
        assert told.startswith(f"{copies / 'rdb'}: restored from ")
        assert "(the newest verified)" in told
        assert re.search(r"\n  took [0-9.]+ s; the objective is 1h\n", told), told
        assert "Nothing was moved aside" in told
        assert re.search(r"the whole play took [0-9.]+ s", told)
    finally:
        demo.clear(copies, description)
    assert not copies.exists()


def test_what_was_killed_comes_back_where_it_was_with_its_data(directory: Path, description: t.Any) -> None:
    for name in ("mongodb", "postgresql", "redis", "s3"):
        kill(directory, name)
    assert sandbox("status", "--directory", str(directory), check=False).returncode == 3
    output = sandbox("up", "--directory", str(directory), "--megabytes", "2").stdout
    assert output.count("serves on") == 4
    assert "loaded" not in output, "the data must have outlived the crash"
    assert json.loads(sandbox("env", "--directory", str(directory)).stdout) == description


def test_a_server_whose_port_was_taken_gets_another(directory: Path, description: t.Any) -> None:
    kill(directory, "redis")
    port = description["redis"]["port"]
    with socket.create_server(("127.0.0.1", port)):
        sandbox("up", "--directory", str(directory), "--megabytes", "2")
    moved = json.loads(sandbox("env", "--directory", str(directory)).stdout)
    assert moved["redis"]["port"] != port
    assert str(moved["redis"]["port"]) in Path(moved["redis"]["uri_file"]).read_text()


def test_down_leaves_nothing_even_without_a_description(tmp_path: Path) -> None:
    directory = tmp_path / "box"
    layout = Layout.at(directory)
    folders = (layout.root, layout.elsewhere)
    before = _shared_memory()
    try:
        sandbox("up", "--directory", str(directory), "--megabytes", "0.1")
        assert any(processes_inside(folder) for folder in folders)
        layout.description.unlink()
        pid_files = [path for folder in server_folders(layout) for path in folder.rglob("*.pid.json")]
        outside = [Path(path) for noted in map(PidFile.read, pid_files) if noted for path in noted.outside]
        assert all(path.exists() for path in outside)
        kill(directory, "redis")
    finally:
        output = sandbox("down", "--directory", str(directory)).stdout
    assert "redis       was not running" in output
    assert len(outside) > 5
    assert not any(path.exists() for path in outside)
    assert not any(folder.exists() for folder in folders)
    assert not any(processes_inside(folder) for folder in folders)
    assert _shared_memory() <= before
    assert "there is no sandbox" in sandbox("down", "--directory", str(directory)).stdout


def _shared_memory() -> set[str]:
    """Segments that no process uses: what a database leaves behind when it isn't stopped well."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {line.split()[1] for line in lines if line.split()[6] == "0"}


def test_a_folder_with_other_content_is_neither_used_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("irreplaceable")
    for command in ("up", "down"):
        done = sandbox(command, "--directory", str(tmp_path), check=False)
        assert done.returncode == 1
        assert str(tmp_path) in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "irreplaceable"
    assert sandbox("env", "--directory", str(tmp_path / "nowhere"), check=False).returncode == 1
    assert sandbox("status", "--directory", str(tmp_path / "nowhere"), check=False).returncode == 3
