# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running plays against the lab, and looking at what they left."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import typing as t
import uuid

import yaml

from sandbox.mongodb import MongoReplicaSet
from sandbox.postgresql import PostgreSQLServer
from sandbox.redis import RedisServer
from sandbox.s3 import S3Identity, S3Server
from tests.support.children import kill_when
from tests.support.command_line import CommandLine
from tests.support.compiled_once import compiled_once

ROOT = pathlib.Path(__file__).parents[3]
PASSWORD = "not-for-anybody-8c1f"

# May add objects to the bucket, and neither read, list nor delete any.
WRITER = S3Identity.restricted("writer", write=["backups"])

_PROGRAM = str(pathlib.Path(sys.executable).parent / "ansible-playbook")

Json = dict[str, t.Any]
# A module and its options; the word "check" behind them runs this task in check mode.
Task = tuple[str, Json] | tuple[str, Json, str]


@dataclasses.dataclass(frozen=True)
class Lab:
    """The servers and where a test may store."""

    directory: pathlib.Path
    postgresql: PostgreSQLServer
    mongodb: MongoReplicaSet
    redis: RedisServer
    s3: S3Server
    prefix: str = "shared"

    def in_folder(self, folder: pathlib.Path) -> Lab:
        (folder / "local").mkdir()
        return dataclasses.replace(self, directory=folder, prefix=f"test-{uuid.uuid4().hex[:8]}")

    @property
    def local(self) -> pathlib.Path:
        return self.directory / "local"

    def secret(self, name: str, text: str) -> str:
        path = self.directory / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return str(path)

    @property
    def repositories(self) -> list[Json]:
        """A folder and a bucket, in the form of the modules."""
        return self.repositories_of(self.s3.administrator)

    def repositories_of(self, keys: S3Identity) -> list[Json]:
        """The same, with the credentials of *keys*."""
        credentials = f"AWS_ACCESS_KEY_ID={keys.access_key}\nAWS_SECRET_ACCESS_KEY={keys.secret_key}"
        return [
            {"name": "local", "type": "file", "path": str(self.local)},
            {
                "name": "offsite",
                "type": "s3",
                "bucket": "backups",
                "prefix": self.prefix,
                "region": self.s3.region,
                "endpoint_url": self.s3.endpoint_url,
                "credentials": {"file": self.secret("s3.env", credentials)},
            },
        ]

    def connection(self, engine: str) -> Json:
        if engine == "mongodb":
            uri = self.mongodb.uri_of("root", PASSWORD)
            return {"uri_file": self.secret("mongodb.uri", uri)}
        if engine == "postgresql":
            return {
                "host": "127.0.0.1",
                "port": self.postgresql.port,
                "user": self.postgresql.superuser,
                "password_file": self.secret("postgresql.password", PASSWORD),
            }
        return {"port": self.redis.port, "password_file": self.secret("redis.password", PASSWORD)}

    def stored(self) -> dict[str, str]:
        """Every file and object of the test's repositories, with a hash: equal means that nothing was touched."""
        found = {
            f"local/{path.relative_to(self.local)}": hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.local.rglob("*"))
            if path.is_file()
        }
        client = self.s3.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="backups", Prefix=self.prefix + "/")
        found.update({f"s3/{entry['Key']}": entry["ETag"] for page in pages for entry in page.get("Contents", ())})
        return found

    def manifests(self) -> list[Json]:
        """The manifests of the repository on disk, oldest first."""
        return [json.loads(path.read_text()) for path in sorted(self.local.rglob("manifest.json"))]

    def vault(self) -> Json:
        """What every description of this lab begins with."""
        repositories = {}
        for repository in self.repositories:
            repositories[repository.pop("name")] = repository
        return {
            "lifeboat_repositories": repositories,
            "lifeboat_settings": {"state_directory": str(self.directory / "state")},
        }


@dataclasses.dataclass(frozen=True)
class Played:
    """How a play ended."""

    status: int
    output: str
    results: list[Json]


class HasDirectory(t.Protocol):
    """Whoever has a folder for what plays leave."""

    @property
    def directory(self) -> pathlib.Path: ...


class Described(HasDirectory, t.Protocol):
    """It has a description of its own, too."""

    lifeboat: CommandLine


def plays_of(lab: Described) -> t.Callable[..., str]:
    """Runs playbooks by name on one local host that has the description of the lab; what they print."""
    variables = json.loads(lab.lifeboat.configuration.read_text(encoding="utf-8"))
    variables |= {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = lab.directory / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"web1": variables}}}), encoding="utf-8")

    def play(name: str, *words: str) -> str:
        played = run_playbook(lab, "-i", str(inventory), *words, playbook=f"playbooks/{name}.yml")
        assert played.status == 0, played.output
        return str(played.output)

    return play


def postgres_connection(server: PostgreSQLServer, *, secrets: pathlib.Path) -> Json:
    """As the superuser, with the password in a file of the folder *secrets*."""
    secret = secrets / "password"
    if not secret.exists():
        secret.touch(mode=0o600)
        secret.write_text(PASSWORD + "\n")
    return {
        "host": "127.0.0.1",
        "port": server.port,
        "user": "postgres",
        "database": "postgres",
        "password_file": str(secret),
        "bin_directory": str(server.bin_directory),
    }


def run_playbook(
    lab: HasDirectory,
    *arguments: str,
    playbook: str | pathlib.Path,
    results: pathlib.Path | None = None,
    seconds: float = 240,
) -> Played:
    """Run ``ansible-playbook`` of the interpreter that runs the tests, from the checkout as a user would."""
    done = subprocess.run(
        [_PROGRAM, str(playbook), *arguments],
        cwd=ROOT,
        env=_environment(lab),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    documents = json.loads(results.read_text()) if results is not None and results.exists() else []
    return Played(status=done.returncode, output=done.stdout, results=documents)


def play_until(
    lab: HasDirectory,
    *arguments: str,
    playbook: str | pathlib.Path,
    reached: t.Callable[[], bool],
    delay: float = 0,
) -> None:
    """The same, and ``kill -9`` for it and all that it has started, *delay* seconds after *reached* says so."""
    command = [_PROGRAM, playbook, *arguments]
    kill_when(reached, command, environment=_environment(lab), log=lab.directory / "killed.log", delay=delay)


def _environment(lab: HasDirectory) -> dict[str, str]:
    return {**os.environ, **compiled_once(), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(lab.directory / "ansible")}


def ledger_entries(failovers: pathlib.Path) -> list[Json]:
    """The ledger of the newest run of a service, which has its *failovers* in that folder of a repository."""
    runs = sorted(failovers.glob("run-*"))
    return [json.loads(path.read_text()) for path in sorted(runs[-1].glob("[0-9]*.json"))] if runs else []


def begins(step: str, entries: t.Callable[[], list[Json]]) -> t.Callable[[], bool]:
    """Whether the ledger says that *step* begins, and did not say so before now."""
    known = len(entries())
    return lambda: any((one["event"], one["step"]) == ("intended", step) for one in entries()[known:])


def refused(name: str, *tasks: Json, **variables: t.Any) -> Json:
    """Tasks of a play that must fail; the variable *name* has the message then."""
    message = {"ansible.builtin.set_fact": {name: "{{ ansible_failed_result.msg }}"}}
    return {
        "block": [*tasks, {"ansible.builtin.set_fact": {name: "it went on"}}],
        "rescue": [message],
        "vars": variables,
    }


def run_module(lab: Lab, module: str, options: Json, *, check: bool = False) -> Json:
    """One task with *options*; its result, also when it failed."""
    return run_modules(lab, (module, options), check=check)[0]


def run_modules(lab: HasDirectory, *tasks: Task, check: bool = False) -> list[Json]:
    """One play with a task for each; their results in order, also of those that failed.

    A task's options may speak of the results of earlier ones: ``made_0``, ``made_1`` ...
    """
    results = lab.directory / f"result-{uuid.uuid4().hex}.json"
    names = [f"made_{number}" for number in range(len(tasks))]
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            "tasks": [
                *(
                    {
                        "name": "Run it",
                        f"lifeboat.recovery.{module}": options,
                        "register": name,
                        "ignore_errors": True,
                        **({"check_mode": True} if in_check_mode else {}),
                    }
                    for name, (module, options, *in_check_mode) in zip(names, tasks, strict=True)
                ),
                {
                    "name": "Keep the results",
                    "ansible.builtin.copy": {
                        "content": f"{{{{ [{', '.join(names)}] | to_json }}}}",
                        "dest": str(results),
                        "mode": "0600",
                    },
                    "check_mode": False,
                },
            ],
        }
    ]
    playbook = lab.directory / f"play-{uuid.uuid4().hex}.yml"
    playbook.write_text(yaml.safe_dump(play))
    arguments = ["--inventory", "localhost,", "--diff", *(["--check"] if check else [])]
    played = run_playbook(lab, *arguments, playbook=playbook, results=results)
    if not played.results:
        raise AssertionError(played.output)
    return played.results
