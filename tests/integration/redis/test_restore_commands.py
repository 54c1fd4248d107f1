# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RESTORE.md is run as it stands: its commands, in its order, bring the data back."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from sandbox.redis import RedisServer
from tests.integration.redis.conftest import Starter
from tests.integration.redis.servers import (
    Taken,
    admin,
    configure,
    digest,
    fill,
    keyspace,
    program,
    restored_rdb,
    server,
    take,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_FETCH = re.compile(r"\{fetch:([^}]+)\}")


def run_restore(
    taken: Taken, target: RedisServer, *, tool: str = "redis", timeout: float = 60, **variables: str
) -> str:
    """Run every block of the commands in one shell against *target*, as root, without systemd; return its output."""
    commands = taken.production.restore_commands
    script = "set -eu\n" + "\n".join(_BLOCK.findall(commands))
    script = _FETCH.sub(lambda found: f"cat {taken.folder / found[1]}", script)
    tools = target.directory / "tools"
    tools.mkdir(exist_ok=True)
    server_program = program("valkey" if tool == "valkey" else "redis")
    for name in ("server", "check-rdb", "check-aof"):
        # One program does all three: it looks at its own name.
        (tools / f"{tool}-{name}").unlink(missing_ok=True)
        shutil.copy(server_program, tools / f"{tool}-{name}")
    port = target.port
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "DATA": str(target.data_directory),
        "CONF": str(target.configuration_file),
        "OWNER": "root",
        "CLI": f"redis-cli -p {port}",
        "START": f"{tools}/{tool}-server {target.configuration_file} --daemonize yes",
        "STOP": f"redis-cli -p {port} shutdown",
        **variables,
    }
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    wait_for(lambda: answers(target))
    return done.stdout


def answers(target: RedisServer) -> bool:
    done = subprocess.run(["redis-cli", "-p", str(target.port), "ping"], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "PONG"


def end(target: RedisServer) -> None:
    """End the server that the commands started."""
    subprocess.run(["redis-cli", "-p", str(target.port), "shutdown", "nosave"], capture_output=True, check=False)
    wait_for(lambda: not answers(target))


def ready(directory: pathlib.Path, *, flavour: str, append_only: bool, save: str = "3600 1") -> RedisServer:
    """A target with data of its own that must go, and save points that would write it over what is put there."""
    target = server(directory, flavour=flavour, append_only=append_only, settings={"save": save})
    target.start()
    fill(target, keys=33)
    return target


@pytest.mark.parametrize("flavour", ["redis", "valkey"])
@pytest.mark.parametrize("source_aof", [True, False])
@pytest.mark.parametrize("method", ["bgsave", "sync"])
def test_a_snapshot(start: Starter, tmp_path: pathlib.Path, flavour: str, source_aof: bool, method: str) -> None:
    source = start(flavour=flavour, append_only=source_aof)
    fill(source, keys=200)
    taken = take(source, tmp_path / "backup", method=method)
    # The trap: a target with `appendonly yes` ignores dump.rdb, starts empty and saves that over it.
    target = ready(tmp_path / "target", flavour=flavour, append_only=source_aof)
    try:
        said = run_restore(taken, target, tool="valkey" if flavour == "valkey" else "redis")
        assert "before-restore" in {path.name for path in target.data_directory.iterdir()}
        for name, counts in taken.content["keyspace"].items():
            assert f"{name}:keys={counts['keys']},expires={counts['expires']}" in said
            assert f"{name}:keys={counts['keys']},expires={counts['expires']}" in taken.production.restore_commands
        assert digest(target) == digest(source)
        assert keyspace(target) == keyspace(source)
        end(target)
        subprocess.run(
            [str(program(flavour)), str(target.configuration_file), "--daemonize", "yes"],
            check=True,
            capture_output=True,
        )
        wait_for(lambda: answers(target))
        assert digest(target) == digest(source), "it must also hold after another restart"
    finally:
        end(target)
        target.discard()


def test_a_target_with_a_file_name_of_its_own(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start()
    fill(source, keys=200)
    taken = take(source, tmp_path / "backup")
    target = server(tmp_path / "target", settings={"save": "3600 1", "dbfilename": "own.rdb"}).start()
    fill(target, keys=33)
    old = digest(target)
    try:
        run_restore(taken, target, FILE="own.rdb")
        assert digest(target) == digest(source)
    finally:
        end(target)
    with restored_rdb(target.data_directory / "before-restore/own.rdb", tmp_path / "way-back") as back:
        assert digest(back) == old, "the old data must still be there"
    target.discard()


def test_a_server_that_was_not_stopped_is_not_restored_over(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start()
    fill(source, keys=20)
    taken = take(source, tmp_path / "backup")
    target = ready(tmp_path / "target", flavour="redis", append_only=True)
    held, names = digest(target), {path.name for path in target.data_directory.iterdir()}
    try:
        with pytest.raises(subprocess.TimeoutExpired) as waits:
            run_restore(taken, target, timeout=5, STOP="true")
        assert b"It still runs" in (waits.value.stdout or b"")
        assert digest(target) == held
        # Only the snapshot that was unpacked beside is new.
        assert {path.name for path in target.data_directory.iterdir()} - names <= {"restored.rdb"}
    finally:
        end(target)
        target.discard()


@pytest.mark.parametrize("flavour", ["redis", "valkey"])
def test_append_only_files(start: Starter, tmp_path: pathlib.Path, flavour: str) -> None:
    source = start(flavour=flavour, append_only=True)
    fill(source, keys=200)
    taken = take(source, tmp_path / "backup", kind="aof")
    target = ready(tmp_path / "target", flavour=flavour, append_only=True)
    try:
        run_restore(taken, target, tool="valkey" if flavour == "valkey" else "redis")
        assert digest(target) == digest(source)
    finally:
        end(target)
        target.discard()


def test_the_commands_hold_no_secret_and_survive_odd_names(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(append_only=True, settings={"dbfilename": '"odd $(touch x) `y`.rdb"'})
    fill(source, keys=20)
    configure(source, appendonly="yes")
    taken = take(source, tmp_path / "backup", method="bgsave")
    target = ready(tmp_path / "target", flavour="redis", append_only=True)
    try:
        run_restore(taken, target)
        assert digest(target) == digest(source)
        assert not (target.data_directory / "x").exists()
    finally:
        end(target)
        target.discard()
    with admin(source) as client:
        assert client.ping()
