# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of the lab's servers in a repository that a test may spoil, and places to restore them to."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import typing as t

from sandbox.postgresql import operating_system_user
from tests.integration.ansible.plays import PASSWORD, Json, Lab, Task, run_modules
from tests.integration.redis.daemons import Daemon

DATABASE = "family"
ROWS, KEYS, DOCUMENTS = 400, 300, 700
# Kills the process that runs it, once: a death in the middle of a restore.
_START_OR_DIE = """\
#!/bin/sh
if rm {folder}/die 2>/dev/null; then
    kill -9 $PPID
    exit 1
fi
exec sh {folder}/start
"""


@dataclasses.dataclass(frozen=True)
class WayBack:
    """*ids* of the backups by source and kind; *identity* is the file with the private key of ``sealed``."""

    lab: Lab
    ids: t.Mapping[str, str]
    identity: str

    @property
    def folder(self) -> pathlib.Path:
        return self.lab.directory

    @property
    def state(self) -> pathlib.Path:
        return self.folder / "state"

    @property
    def repositories(self) -> list[Json]:
        return [{"name": "local", "type": "file", "path": str(self.lab.local)}]

    def task(self, module: str, source: str | None = None, **own: t.Any) -> tuple[str, Json]:
        """A module with its options, as far as they are the same everywhere."""
        common: Json = {"repositories": self.repositories, "state_directory": str(self.state)}
        named = {} if source is None else {"service": "lab", "source": source}
        return module, {**common, **named, **own}

    def run(self, *tasks: Task, check: bool = False) -> list[Json]:
        return run_modules(self.lab, *tasks, check=check)

    def backup(self, job: str) -> pathlib.Path:
        """Its folder in the repository."""
        return self.lab.local / "lab" / job / self.ids[job]

    def new_data_directory(self, name: str) -> pathlib.Path:
        """A place for a cluster, in a folder that the servers' user may write into."""
        parent = self.folder / "clusters"
        parent.mkdir(exist_ok=True)
        user = operating_system_user()
        if user is not None:
            shutil.chown(parent, user)
        return parent / name


@contextlib.contextmanager
def open_folder() -> t.Iterator[pathlib.Path]:
    """A folder that every user can enter, gone afterwards."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-way-back-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _back_up(servers: Lab, folder: pathlib.Path) -> WayBack:
    """One backup of each kind, made by the modules; that of the source ``sealed`` is encrypted."""
    lab = servers.in_folder(folder)
    identity = folder / "identity.txt"
    subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True, timeout=30)
    shown = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True, timeout=30)
    made = WayBack(lab=lab, ids={}, identity=str(identity))
    postgresql, redis = lab.connection("postgresql"), lab.connection("redis")
    tasks = {
        "cache/rdb": made.task("redis_snapshot", "cache", connection=redis),
        "cache/aof": made.task("redis_snapshot", "cache", connection=redis, kind="aof"),
        "sealed/rdb": made.task(
            "redis_snapshot", "sealed", connection=redis, encryption={"recipients": [shown.stdout.strip()]}
        ),
        "main/logical": made.task("pg_logical_dump", "main", connection=postgresql),
        "main/base": made.task("pg_basebackup_walg", "main", connection=postgresql),
        "documents/full": made.task("mongo_dump", "documents", connection=lab.connection("mongodb")),
    }
    results = dict(zip(tasks, made.run(*tasks.values()), strict=True))
    for job, result in results.items():
        assert not result.get("failed"), f"{job}: {result['msg']}"
    return dataclasses.replace(made, ids={job: result["backup"]["id"] for job, result in results.items()})


@contextlib.contextmanager
def stocked(servers: Lab) -> t.Iterator[WayBack]:
    """Backups of the lab's servers, PostgreSQL's with a database of their own."""
    servers.postgresql.query(f"CREATE DATABASE {DATABASE}")
    try:
        servers.postgresql.query(
            f"CREATE TABLE members AS SELECT n AS id FROM generate_series(1, {ROWS}) n", database=DATABASE
        )
        with open_folder() as folder:
            yield _back_up(servers, folder)
    finally:
        servers.postgresql.query(f"DROP DATABASE {DATABASE}")


def copied(made: WayBack, folder: pathlib.Path) -> WayBack:
    """The same backups in a repository of their own, with an empty state directory."""
    lab = made.lab.in_folder(folder)
    shutil.copytree(made.lab.local, lab.local, dirs_exist_ok=True)
    return dataclasses.replace(made, lab=lab)


@contextlib.contextmanager
def redis_target(folder: pathlib.Path) -> t.Iterator[tuple[Daemon, Json]]:
    """A server with three keys of its own, and the options that restore in its place."""
    settings = {"user lifeboat": f"on >{PASSWORD} ~* &* +@all"}
    target = Daemon(folder=folder / "target", settings=settings)
    script = target.folder / "start-or-die"
    script.write_text(_START_OR_DIE.format(folder=target.folder))
    target.start()
    try:
        target.client().mset({"mine:1": "a", "mine:2": "b", "mine:3": "c"})
        yield (
            target,
            {
                "in_place": True,
                "connection": {"port": target.port, "username": "lifeboat", "password": PASSWORD},
                "service_control": {**target.control, "start_command": f"sh {script}"},
                "configuration_file": str(target.configuration_file),
                "start_timeout": 20,
            },
        )
    finally:
        target.kill()


def good(result: Json) -> Json:
    """The result of a task that did not fail."""
    assert not result.get("failed"), result
    return result


def refused(result: Json, code: str) -> Json:
    """The result of a task that failed so."""
    assert result.get("failed"), result
    assert result.get("code") == code, result
    assert result["hint"]
    return result


def tree(folder: pathlib.Path) -> dict[str, str]:
    """Everything below *folder* with what it holds: equal means that nothing was touched."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[str(path)] = os.readlink(path) if stat.S_ISLNK(mode) else oct(mode)
    return found
