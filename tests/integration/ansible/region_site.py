# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two regions of one service: PostgreSQL with a standby, Redis with a spare, an application that writes to both."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys
import threading
import time
import typing as t

import psycopg2
import yaml

from sandbox.postgresql import PostgreSQLServer
from tests.integration.ansible.plays import (
    PASSWORD,
    Json,
    Played,
    begins,
    ledger_entries,
    play_until,
    postgres_connection,
    run_playbook,
)
from tests.integration.ansible.recovery_site import Application
from tests.integration.redis.daemons import Daemon
from tests.support.command_line import CommandLine
from tests.support.waiting import wait_for

PLAYBOOK = "dr_failover.yml"

_APPLICATION = """\
import http.server, os, sys
import psycopg2, redis
wired = dict(line.split("=", 1) for line in open(sys.argv[3]).read().split())
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            address = {"host": "127.0.0.1", "port": wired["DATABASE_PORT"], "connect_timeout": 2}
            connection = psycopg2.connect(**address, user="postgres", password=wired["PASSWORD"])
            connection.autocommit = True
            connection.cursor().execute("INSERT INTO visits VALUES (%s)", (os.getpid(),))
            connection.close()
            redis.Redis(port=int(wired["CACHE_PORT"]), socket_timeout=2, retry=None).incr("visits")
            status = 200 if self.path == "/health" else 404
        except Exception:
            status = 503
        self.send_response(status)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
open(sys.argv[2], "w").write(str(os.getpid()))
server.serve_forever()
"""


class Service(Application):
    """The application: well when it can write to the database and to the cache that its file names."""

    @property
    def environment(self) -> pathlib.Path:
        return self.folder / "service.env"

    def write_for(self, *, database: int, cache: int) -> None:
        self.write()
        (self.folder / "application.py").write_text(_APPLICATION)
        self.environment.write_text(f"DATABASE_PORT={database}\nCACHE_PORT={cache}\nPASSWORD={PASSWORD}\n")
        run = f"{sys.executable} {self.folder}/application.py {self.port} {self.folder}/pid {self.environment}"
        started = f"echo started >> {self.folder}/diary\n"
        (self.folder / "start").write_text(f"{started}setsid {run} < /dev/null > {self.folder}/log 2>&1 &\n")

    def described_in(self, region: str) -> Json:
        wiring = [
            {"file": str(self.environment), "match": f"^{word}=", "line": f"{word}={{port}}", "source": source}
            for word, source in (("DATABASE_PORT", "main"), ("CACHE_PORT", "cache"))
        ]
        return {**self.described, "name": f"api-{region}", "region": region, "wiring": wiring}


class Writer:
    """Writes to the primary until it can't, and knows what was acknowledged."""

    def __init__(self, server: PostgreSQLServer) -> None:
        self.acknowledged: list[int] = []
        self._server = server
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        with contextlib.suppress(psycopg2.Error), contextlib.closing(self._server.connect()) as connection:
            for number in range(1000, 1_000_000):
                with connection.cursor() as cursor:
                    cursor.execute("INSERT INTO ledger VALUES (%s)", (number,))
                self.acknowledged.append(number)
                time.sleep(0.002)

    def join(self) -> list[int]:
        self._thread.join()
        return self.acknowledged


@dataclasses.dataclass(frozen=True)
class Regions:
    """The region north, which is lost, and south.

    *main*, *cached* and *around* are values over those of the sources and the service, *more* are other sources.
    """

    directory: pathlib.Path
    primary: PostgreSQLServer
    standby: PostgreSQLServer
    cache: Daemon
    spare: Daemon
    north: Service
    south: Service
    main: Json = dataclasses.field(default_factory=dict)
    cached: Json = dataclasses.field(default_factory=dict)
    around: Json = dataclasses.field(default_factory=dict)
    more: t.Sequence[Json] = ()

    @property
    def local(self) -> pathlib.Path:
        return self.directory / "local"

    @property
    def cut_off(self) -> pathlib.Path:
        """There when somebody has cut the old primary off by a command."""
        return self.directory / "cut-off"

    @property
    def tables(self) -> pathlib.Path:
        return self.directory / "cron.d"

    def description(self) -> Json:
        keep = {"repositories": ["local"], "keep": {"within": "7d"}}
        # The first one hangs; the last one is not for when another one is proved.
        methods = [{"command": "sleep 600", "name": "power"}, {"host": True}, {"command": f"touch {self.cut_off}"}]
        main = {
            "name": "main",
            "engine": "postgresql",
            "connection": self.connection(self.primary),
            "fencing": {
                "data_directory": str(self.primary.data_directory),
                "bin_directory": str(self.primary.bin_directory),
                "methods": methods,
            },
            "standbys": [
                {
                    "name": "far",
                    "region": "south",
                    "inventory_host": "south1",
                    "connection": self.connection(self.standby),
                }
            ],
            "backups": [{"kind": "base", **keep}],
            **self.main,
        }
        cache = {
            "name": "cache",
            "engine": "redis",
            "connection": {"port": self.cache.port},
            "service_control": self.cache.control,
            "spares": [
                {
                    "name": "far-cache",
                    "region": "south",
                    "inventory_host": "south1",
                    "connection": {"port": self.spare.port},
                    "service_control": self.spare.control,
                    "repositories": ["local"],
                }
            ],
            "backups": [{"kind": "rdb", **keep}],
            "verify": {"level": 3},
            **self.cached,
        }
        return {
            "lifeboat_services": [
                {
                    "name": "adhd",
                    "objectives": {"rpo": "1h", "rto": "10m"},
                    "regions": [
                        {"name": "north", "role": "primary", "hosts": ["north1"]},
                        {"name": "south", "role": "standby", "hosts": ["south1"]},
                    ],
                    "sources": [main, cache, *self.more],
                    "applications": [self.north.described_in("north"), self.south.described_in("south")],
                    "failover": {"watch": {"checks": 1, "every": "1s"}},
                    **self.around,
                }
            ],
            "lifeboat_repositories": {"local": {"type": "file", "path": str(self.local)}},
            "lifeboat_settings": {"state_directory": str(self.directory / "state")},
        }

    @property
    def lifeboat(self) -> CommandLine:
        path = self.directory / "lifeboat.json"
        path.write_text(json.dumps(self.description()))
        return CommandLine(path)

    def inventory(self) -> pathlib.Path:
        administrator = {key: self.connection(self.standby)[key] for key in ("host", "user", "password_file")}
        document = {
            "all": {
                "hosts": {"north1": self.description(), "south1": {}},
                "vars": {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": sys.executable,
                    "lifeboat_administrator": administrator,
                    "lifeboat_cron_directory": str(self.tables),
                },
            }
        }
        path = self.directory / "inventory.yml"
        path.write_text(yaml.safe_dump(document))
        return path

    def connection(self, server: PostgreSQLServer) -> Json:
        return postgres_connection(server, secrets=self.directory)

    def begin(self) -> None:
        """Both regions run; the cache has a verified backup, and a key that is newer."""
        self.local.mkdir()
        self.tables.mkdir()
        (self.tables / "lifeboat-adhd").write_text("# Written by Ansible\n")
        self.primary.query("CREATE TABLE ledger (id int PRIMARY KEY)")
        self.primary.query("CREATE TABLE visits (pid int)")
        self.primary.query("INSERT INTO ledger SELECT generate_series(1, 500)")
        with self.cache.client() as client:
            client.mset({f"key:{number}": number for number in range(50)})
        self.lifeboat("backup adhd/cache --quiet").succeeded()
        self.lifeboat("verify adhd/cache --quiet").succeeded()
        with self.cache.client() as client:
            client.set("later", 1)
        self.north.write_for(database=self.primary.port, cache=self.cache.port)
        self.south.write_for(database=1, cache=1)
        subprocess.run(["sh", self.north.folder / "start"], check=True)
        wait_for(self.north.is_well)
        wait_for(lambda: self.standby.query("SELECT count(*) FROM ledger") == [(500,)])

    def lose_north(self) -> None:
        """All of its processes, at once."""
        self.north.end()
        self.cache.kill()
        self.primary.kill()

    def arguments(self, **variables: t.Any) -> list[str]:
        named = {"lifeboat_failover": "adhd", "lifeboat_health_wait": 20, "lifeboat_fence_timeout": 2, **variables}
        return ["--inventory", str(self.inventory()), "-e", json.dumps(named)]

    def play(self, *more: str, **variables: t.Any) -> Played:
        return run_playbook(self, *self.arguments(**variables), *more, playbook=PLAYBOOK, seconds=900)

    def planned(self, **variables: t.Any) -> tuple[Played, str]:
        """What --check says, and the plan's hash as it is confirmed."""
        played = self.play("--check", **variables)
        _before, found, rest = played.output.partition("The plan's SHA-256: ")
        assert found, played.output
        return played, rest[:12]

    def play_until(self, step: str, *, delay: float = 0, **variables: t.Any) -> None:
        """Kill the play *delay* seconds after it has noted that *step* begins."""
        reached = begins(step, self.entries)
        play_until(self, *self.arguments(**variables), playbook=PLAYBOOK, reached=reached, delay=delay)

    def entries(self) -> list[Json]:
        """The ledger of the newest run."""
        return ledger_entries(self.local / "adhd/.failover")

    def finished(self) -> list[str]:
        """The steps that are noted as done, in their order."""
        return [one["step"] for one in self.entries() if one["event"] == "done"]


@contextlib.contextmanager
def two_regions(directory: pathlib.Path) -> t.Iterator[Regions]:
    """Both regions, running; everything is ended afterwards."""
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(PostgreSQLServer(password=PASSWORD))
        standby = stack.enter_context(PostgreSQLServer.standby_of(primary))
        caches = [Daemon(directory / name) for name in ("cache", "spare")]
        for one in caches:
            stack.callback(one.kill)
            one.start()
        north, south = Service(directory / "north"), Service(directory / "south")
        stack.callback(north.end)
        stack.callback(south.end)
        regions = Regions(
            directory=directory,
            primary=primary,
            standby=standby,
            cache=caches[0],
            spare=caches[1],
            north=north,
            south=south,
        )
        regions.begin()
        yield regions
