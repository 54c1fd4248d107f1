# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts with described services and an application, for playbooks that verify and restore."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import sys
import typing as t
import urllib.request

import yaml

from sandbox.parts import MONGOD, find_mongod, require
from sandbox.ports import free_port
from tests.integration.ansible.plays import Json, Lab, Played, run_playbook
from tests.integration.redis.daemons import Daemon

_APPLICATION = """\
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
open(sys.argv[2], "w").write(str(os.getpid()))
server.serve_forever()
"""


@dataclasses.dataclass(frozen=True)
class Application:
    """An HTTP server that is started and stopped by commands, which keep a diary."""

    folder: pathlib.Path
    port: int = dataclasses.field(default_factory=free_port)

    def write(self) -> None:
        self.folder.mkdir()
        (self.folder / "application.py").write_text(_APPLICATION)
        run = f"{sys.executable} {self.folder}/application.py {self.port} {self.folder}/pid"
        diary = f"{self.folder}/diary"
        (self.folder / "start").write_text(f"echo started >> {diary}\nsetsid {run} < /dev/null > /dev/null 2>&1 &\n")
        (self.folder / "stop").write_text(f"echo stopped >> {diary}\nkill $(cat {self.folder}/pid)\n")

    @property
    def described(self) -> Json:
        return {
            "name": "api",
            "port": self.port,
            "stop_command": f"sh {self.folder}/stop",
            "start_command": f"sh {self.folder}/start",
            "health": {"path": "/health", "timeout": "2s"},
        }

    @property
    def diary(self) -> list[str]:
        path = self.folder / "diary"
        return path.read_text().split() if path.exists() else []

    def is_well(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def end(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.folder / "pid").read_text()), signal.SIGTERM)


@dataclasses.dataclass(frozen=True)
class Site:
    """Two hosts whose services were backed up once."""

    lab: Lab
    open: pathlib.Path  # short, and passable for the servers' own accounts
    redis: Daemon
    application: Application

    def services(self) -> dict[str, list[Json]]:
        backups = [{"repositories": ["local", "offsite"], "keep": {"within": "7d"}}]
        main = {
            "name": "main",
            "engine": "mongodb",
            "connection": self.lab.connection("mongodb"),
            "backups": [{"kind": "full", **backups[0]}],
            "verify": {
                "level": 4,
                "require_collections": ["orders"],
                "options": {"mongod": str(require(find_mongod(), MONGOD))},
            },
        }
        cache = {
            "name": "cache",
            "engine": "redis",
            "connection": {"port": self.redis.port},
            "service_control": self.redis.control,
            "backups": [{"kind": "rdb", **backups[0]}],
            "verify": {
                "level": 4,
                "questions": [{"name": "keys", "redis": ["DBSIZE"], "equals": 33}],
            },
        }
        data = {
            "name": "main",
            "engine": "postgresql",
            "connection": {**self.lab.connection("postgresql"), "database": "postgres"},
            "backups": [
                {"kind": "logical", "options": {"databases": ["postgres"]}, **backups[0]},
                {"kind": "base", **backups[0]},
            ],
            "verify": {
                "level": 4,
                "require_tables": ["users"],
                "questions": [
                    {"name": "users", "sql": "select count(*) from users", "min": 1},
                    {
                        "name": "named-users",
                        "database": "postgres",
                        "sql": "select count(*) from users where name like 'user %'",
                        "equals": 500,
                        "ask": ["recovery"],
                    },
                ],
            },
        }
        return {
            "one": [{"name": "family", "sources": [main, cache], "applications": [self.application.described]}],
            "two": [{"name": "adhd", "sources": [data]}],
        }

    def play(
        self, playbook: str, *arguments: str, described: dict[str, list[Json]] | None = None, **more: Json
    ) -> Played:
        """Run a playbook of ours; *more* are values over what all hosts have."""
        shared = {**self.lab.vault(), **more}
        shared["lifeboat_settings"] = {
            **shared["lifeboat_settings"],
            "scratch_directory": str(self.open / "scratch"),
        }
        hosts = {name: {"lifeboat_services": each} for name, each in (described or self.services()).items()}
        document = {
            "all": {
                "hosts": hosts,
                "vars": {**shared, "ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            }
        }
        path = self.lab.directory / "inventory.yml"
        path.write_text(yaml.safe_dump(document))
        return run_playbook(self.lab, "--inventory", str(path), *arguments, playbook=f"playbooks/{playbook}.yml")

    def restore(self, what: str, *arguments: str, options: Json | None = None, **more: t.Any) -> Played:
        variables = {
            "lifeboat_restore": what,
            "lifeboat_restore_options": options or {},
            "lifeboat_health_wait": 20,
            **more,
        }
        return self.play("restore", "-e", json.dumps(variables), *arguments)
