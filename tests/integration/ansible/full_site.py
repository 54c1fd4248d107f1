# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole system on one host that is lost, and a new host: databases, cache, files, an application, its name."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shutil
import sys
import tempfile
import typing as t

import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock, format_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_archive_script import (
    archive_command,
    write_archive_script,
)
from sandbox.bind import Key, NameServer, Zone
from sandbox.mongodb import MongoReplicaSet
from sandbox.postgresql import PostgreSQLServer, operating_system_user
from tests.integration.ansible.plays import (
    PASSWORD,
    Json,
    Played,
    ledger_entries,
    play_until,
    postgres_connection,
    run_playbook,
)
from tests.integration.ansible.region_site import Service
from tests.integration.postgresql.restoring import Cluster
from tests.integration.redis.daemons import Daemon
from tests.support.approvers import Person
from tests.support.command_line import CommandLine, describe
from tests.support.waiting import wait_for

PLAYBOOK = "playbooks/full_restore.yml"
NAME, ZONE = "api.shop.test", "shop.test"
OLD = {"A": ["192.0.2.30"], "AAAA": ["2001:db8::30"]}
NEW = {"A": ["198.51.100.30"], "AAAA": ["2001:db8:1::30"]}


@dataclasses.dataclass
class System:
    """The lost host is web1; fresh1 takes its place, with *fresh* and *empty*. *ada* must approve."""

    directory: pathlib.Path
    postgresql: PostgreSQLServer
    cache: Daemon
    fresh: Daemon
    documents: MongoReplicaSet
    empty: MongoReplicaSet
    application: Service
    names: NameServer
    ada: Person
    lost_at: str = ""

    @property
    def far(self) -> pathlib.Path:
        return self.directory / "far"

    @property
    def logo(self) -> pathlib.Path:
        return self.directory / "assets" / "logo.svg"

    @property
    def tables(self) -> pathlib.Path:
        return self.directory / "cron.d"

    @property
    def cluster(self) -> Cluster:
        """The database on the new host."""
        return Cluster(
            data=self.directory / "new" / "main",
            port=self.postgresql.port,
            bin_directory=str(self.postgresql.bin_directory),
        )

    def description(self) -> Json:
        stored = {"repositories": ["near", "far"], "keep": {"within": "7d"}}
        spool = {
            "kind": "wal",
            "triggers": ["continuous"],
            "options": {"spool_directory": str(self.directory / "spool")},
        }
        question = {"name": "orders", "database": "postgres", "sql": "select count(*) from orders", "min": 20}
        main = {
            "name": "main",
            "engine": "postgresql",
            "connection": postgres_connection(self.postgresql, secrets=self.directory),
            "backups": [
                {"kind": "base", "schedule": "0 1 * * *", **stored},
                {**spool, "repositories": ["far"], "keep": {"within": "7d"}},
            ],
            "verify": {"level": 3, "questions": [{**question, "ask": ["recovery"]}]},
        }
        cache = {
            "name": "cache",
            "engine": "redis",
            "connection": {"port": self.cache.port},
            "service_control": self.cache.control,
            "backups": [{"kind": "rdb", **stored}],
        }
        files = [
            {
                "name": name,
                "engine": "files",
                "connection": {"paths": [str(path)]},
                "backups": [{"kind": kind, **stored}],
            }
            for name, kind, path in (
                ("assets", "static", self.logo.parent),
                ("settings", "config", self.application.environment),
            )
        ]
        documents = {
            "name": "documents",
            "engine": "mongodb",
            "connection": self._address(self.documents),
            "backups": [{"kind": "full", **stored}],
        }
        application = self.application.described_in("north")
        del application["region"]
        return {
            "lifeboat_services": [
                {
                    "name": "shop",
                    "objectives": {"rpo": "1h", "rto": "1h"},
                    "sources": [*files, cache, main, documents],
                    "applications": [{**application, "name": "api"}],
                    "failover": {"watch": {"checks": 1, "every": "1s"}},
                    "dns": [self._record(type_) for type_ in OLD],
                    "approvals": {"needed": 1, "signers": [self.ada.signer]},
                }
            ],
            "lifeboat_repositories": {
                name: {"type": "file", "path": str(self.directory / name)} for name in ("near", "far")
            },
            "lifeboat_settings": {
                "state_directory": str(self.directory / "state"),
                "scratch_directory": str(self.directory / "scratch"),
            },
        }

    def config(self) -> Json:
        return {
            "service": "shop",
            "host": "fresh1",
            "repositories": ["far"],
            "lost_at": self.lost_at,
            "sources": {
                "main": {
                    "data_directory": str(self.cluster.data),
                    "service_control": self.cluster.service_control,
                },
                "cache": {"connection": {"port": self.fresh.port}, "service_control": self.fresh.control},
                "documents": {"connection": self._address(self.empty), "options": {"users_and_roles": True}},
            },
            "names": {NAME: NEW},
        }

    def _record(self, type_: str) -> Json:
        server, key = self.names.uri, self.directory / "dns.key"
        asked = {"server": server, "key_file": str(key), "nameservers": [server]}
        return {"name": NAME, "type": type_, "ttl": 3, "zone": ZONE, "provider": "rfc2136", **asked}

    def _address(self, servers: MongoReplicaSet) -> Json:
        path = self.directory / f"{servers.port}.uri"
        path.touch(mode=0o600)
        path.write_text(servers.uri)
        return {"uri_file": str(path), "server_selection_timeout": 3}

    def says(self) -> Json:
        """What the name server says of both records."""
        return {type_: self.names.says(NAME, type_) for type_ in OLD}

    @property
    def lifeboat(self) -> CommandLine:
        return describe(self.directory / "lifeboat.json", self.description())

    def begin(self) -> None:
        """It runs, and all of it was backed up; what came later to the database was shipped, and then some more."""
        for name in ("near", "far", "cron.d", "new", "assets"):
            (self.directory / name).mkdir()
        user = operating_system_user()
        if user is not None:
            shutil.chown(self.cluster.data.parent, user)
        self.logo.write_text("<svg/>")
        self.application.write_for(database=self.postgresql.port, cache=self.cache.port)
        with self.cache.client() as client:
            client.set("visits", 40)
        self.documents.create_user("shopper", PASSWORD, ["readAnyDatabase"])
        with self.documents.client() as mongo:
            mongo.shop.baskets.insert_many([{"_id": number} for number in range(300)])
        self.lifeboat("ship --quiet").succeeded()  # ties the spool to the cluster
        self.postgresql.query("SELECT pg_reload_conf()")  # wakes the archiver
        self.postgresql.query("CREATE TABLE visits (pid int)")
        self.postgresql.query("CREATE TABLE orders AS SELECT generate_series(1, 10) AS id")
        self.lifeboat("backup --quiet").succeeded()
        self.lifeboat("verify shop/main shop/cache shop/settings --quiet").succeeded()
        self.postgresql.query("INSERT INTO orders SELECT generate_series(11, 20)")
        self._ship()
        self.postgresql.query("INSERT INTO orders SELECT generate_series(21, 30)")

    def _ship(self) -> None:
        name = self.postgresql.query("SELECT pg_walfile_name(pg_switch_wal())")[0][0]
        wait_for((self.directory / "spool" / name).exists)
        self.lifeboat("ship --quiet").succeeded()

    def lose(self) -> None:
        """The host, with its disks and all that ran on it."""
        self.postgresql.kill()
        self.cache.kill()
        self.documents.kill()
        self.lost_at = format_time(SystemClock().now())
        for name in ("near", "assets", "state"):
            shutil.rmtree(self.directory / name)
        self.application.environment.unlink()
        # On the new host the server is installed: there is a folder for its sockets.
        sockets = self.postgresql.socket_directory
        sockets.mkdir(mode=0o711, exist_ok=True)
        user = operating_system_user()
        if user is not None:
            shutil.chown(sockets, user)
        # It was prepared for its backups beforehand.
        (self.tables / "lifeboat-shop").write_text("# Written by Ansible\n")
        self.fresh.start()

    def inventory(self) -> pathlib.Path:
        silent = self.directory / "silent"
        silent.write_text("#!/bin/sh\nexit 255\n")
        silent.chmod(0o755)
        gone = {"ansible_connection": "ssh", "ansible_ssh_executable": str(silent), "ansible_host": "127.0.0.1"}
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        document = {
            "all": {
                "hosts": {"web1": {**self.description(), **gone}, "fresh1": local},
                "vars": {"lifeboat_cron_directory": str(self.tables)},
            }
        }
        path = self.directory / "inventory.yml"
        path.write_text(yaml.safe_dump(document))
        return path

    def arguments(self, **variables: t.Any) -> list[str]:
        """The recovery config is a file, as an operator has it."""
        config = self.directory / "recovery_config.yml"
        config.write_text(yaml.safe_dump({"lifeboat_full_restore": self.config()}))
        named = {"lifeboat_health_wait": 20, **variables}
        return ["--inventory", str(self.inventory()), "-e", f"@{config}", "-e", json.dumps(named)]

    def play(self, *more: str, **variables: t.Any) -> Played:
        return run_playbook(self, *self.arguments(**variables), *more, playbook=PLAYBOOK, seconds=900)

    def play_until(self, reached: t.Callable[[], bool], **variables: t.Any) -> None:
        """Kill the play as soon as that is so."""
        play_until(self, *self.arguments(**variables), playbook=PLAYBOOK, reached=reached)

    def entries(self) -> list[Json]:
        """The ledger of the newest run."""
        return ledger_entries(self.far / "shop/.failover")

    def finished(self) -> list[str]:
        """The steps that are noted as done, in their order."""
        return [one["step"] for one in self.entries() if one["event"] == "done"]


@contextlib.contextmanager
def whole_system() -> t.Iterator[System]:
    """A system that runs; everything is ended afterwards."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-full-"))
    directory.chmod(0o755)
    user = operating_system_user()
    spool = directory / "spool"
    spool.mkdir(mode=0o750)
    if user is not None:
        shutil.chown(spool, user)
    write_archive_script(str(directory / "archive-wal"))
    command = archive_command(script=str(directory / "archive-wal"), spool=str(spool))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        settings = {"archive_mode": "on", "archive_command": command}
        postgresql = stack.enter_context(PostgreSQLServer(password=PASSWORD, settings=settings))
        caches = [Daemon(directory / name) for name in ("cache", "fresh")]
        for one in caches:
            stack.callback(one.kill)
        caches[0].start()
        documents, empty = (stack.enter_context(MongoReplicaSet(password=PASSWORD)) for _host in range(2))
        application = Service(directory / "application")
        stack.callback(application.end)
        key = Key("lifeboat")
        (directory / "dns.key").write_text(key.text)
        records = [f"api 3 IN {type_} {value}" for type_, values in OLD.items() for value in values]
        zone = Zone(ZONE, records, f"update-policy {{ grant {key.name} name {NAME} {' '.join(OLD)}; }}")
        system = System(
            directory=directory,
            postgresql=postgresql,
            cache=caches[0],
            fresh=caches[1],
            documents=documents,
            empty=empty,
            application=application,
            names=stack.enter_context(NameServer(zones=[zone], keys=[key])),
            ada=Person.new(directory, "ada"),
        )
        stack.callback(system.cluster.stop)
        system.begin()
        yield system
