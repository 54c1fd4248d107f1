# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore in place on a host with systemd: what uses the data is a unit, and so is the server."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

import pytest
import yaml

from tests.hosts.conftest import StartHosts
from tests.hosts.shop import DATA, ORDERS, PASSWORD, describe, fill, rows
from tests.support.hosts.fleet import Fleet, Host
from tests.support.hosts.playing import Json, Played, inventory, play
from tests.support.hosts.root_file_system import PYTHON

_PORT = 8000
_REPOSITORY = "/var/backups/lifeboat"
_DIARY = "/srv/diary"
_INTERFACE: Json = {"name": "api", "unit": "shop-api", "port": _PORT, "health": {"path": "/", "timeout": "5s"}}
# Answers with the number of orders: not well without its database.
_API = f"""\
import http.server, psycopg2
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            connection = psycopg2.connect("host=127.0.0.1 dbname=shop user=lifeboat password={PASSWORD}")
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM orders")
                status, text = 200, str(cursor.fetchone()[0])
            connection.close()
        except psycopg2.Error as error:
            status, text = 503, str(error)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())
http.server.HTTPServer(("127.0.0.1", {_PORT}), Handler).serve_forever()
"""
_UNIT = f"""\
[Unit]
Description=A shop's interface

[Service]
ExecStartPre=/usr/bin/test ! -e /srv/may-not-start
ExecStart={PYTHON} {{program}}
{{more}}

[Install]
WantedBy=multi-user.target
"""
# The server's unit asks systemd, at both moments, whether the interface runs.
_WATCH = f"""\
[Service]
ExecStopPost=+/bin/sh -c 'echo "stopped, the interface is $(systemctl is-active shop-api)" >> {_DIARY}'
ExecStartPre=+/bin/sh -c 'echo "starting, the interface is $(systemctl is-active shop-api)" >> {_DIARY}'
"""


@dataclass(frozen=True)
class Site:
    """One host with everything on it."""

    fleet: Fleet

    @property
    def host(self) -> Host:
        return self.fleet["shop"]

    def inventory(self, applications: t.Sequence[Json] = (_INTERFACE,)) -> Json:
        own = {
            "lifeboat_repositories": {"local": {"type": "file", "path": _REPOSITORY, "create": True}},
            "lifeboat_services": describe(repositories=["local"], applications=list(applications)),
        }
        return inventory(self.fleet, own={"shop": own})

    def restore(self, *arguments: str, applications: t.Sequence[Json] = (_INTERFACE,)) -> Played:
        """The cluster in its place, from the newest base backup."""
        variables = {
            "lifeboat_restore": "shop/main/base",
            "lifeboat_restore_point": "newest",
            "lifeboat_restore_options": {"data_directory": DATA},
            "lifeboat_restore_in_place": True,
            "lifeboat_restore_confirm": DATA,
            "lifeboat_health_wait": 20,
        }
        book = "playbooks/restore.yml"
        hosts = self.inventory(applications)
        return play(self.fleet, book, "-e", json.dumps(variables), *arguments, inventory=hosts)

    def install(self, name: str, *, more: str = "") -> None:
        """A unit; its program waits for ever unless it is replaced."""
        program = f"/srv/{name.removeprefix('shop-')}.py"
        self.host.write(program, "import time\ntime.sleep(3600)\n", mode=0o644)
        text = _UNIT.format(program=program, more=more)
        self.host.write(f"/etc/systemd/system/{name}.service", text, mode=0o644)
        self.host.run("systemctl daemon-reload")

    def start_afresh(self) -> None:
        """The interface runs, and says what it sees; the diary is empty."""
        self.host.run(f"rm -f /srv/may-not-start {_DIARY}; systemctl reset-failed; systemctl restart shop-api")
        self.host.run(f"until {self.asked}; do sleep 0.1; done")

    @property
    def asked(self) -> str:
        return (
            f"{PYTHON} -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:{_PORT}/\").read().decode())'"
        )

    def add_orders(self) -> None:
        """More than there were when the backup was made."""
        self.host.run("psql -X -q -d shop -c \"INSERT INTO orders VALUES (0, 'since then')\"", user="postgres")
        assert self.host.run(self.asked).strip() == str(ORDERS + 1)


@pytest.fixture(scope="module")
def site(start_hosts: StartHosts) -> Site:
    made = Site(fleet=start_hosts("shop"))
    fill(made.host)
    made.host.write("/etc/systemd/system/postgresql@.service.d/watch.conf", _WATCH, mode=0o644)
    made.install("shop-api")
    made.host.write("/srv/api.py", _API, mode=0o644)
    made.host.run("systemctl enable --now shop-api")
    played = play(made.fleet, "playbooks/backup.yml", "-e", "lifeboat_jobs=shop/main/base", inventory=made.inventory())
    assert played.status == 0, played.output
    return made


def moments(host: Host, unit: str) -> tuple[int, int]:
    """When systemd saw it become inactive and active the last time, in microseconds."""
    shown = host.run(f"systemctl show {unit} -p InactiveEnterTimestampMonotonic,ActiveEnterTimestampMonotonic")
    found = dict(line.split("=") for line in shown.split())
    return int(found["InactiveEnterTimestampMonotonic"]), int(found["ActiveEnterTimestampMonotonic"])


def test_the_unit_stands_still_while_the_cluster_is_replaced(site: Site) -> None:
    site.start_afresh()
    site.add_orders()
    site.install("shop-idle")  # does not run, and is not started because of a restore
    played = site.restore(applications=[_INTERFACE, {"name": "idle", "unit": "shop-idle"}])
    assert played.status == 0, played.output
    assert "stops and starts: api on shop" in played.output
    assert site.host.attempt("systemctl is-active shop-idle").stdout == "inactive\n"
    assert site.host.read(_DIARY).splitlines() == [
        "stopped, the interface is inactive",
        "starting, the interface is inactive",
    ]
    (api_stopped, api_started), (stopped, started) = (
        moments(site.host, unit) for unit in ("shop-api", "postgresql@15-main")
    )
    assert api_stopped < stopped < started < api_started
    assert site.host.run("systemctl is-active shop-api postgresql@15-main").split() == ["active", "active"]
    assert site.host.run(site.asked).strip() == str(ORDERS)
    assert rows(site.host).startswith(f"{ORDERS}|")


def test_a_unit_that_does_not_come_back_is_told_with_the_way_back_which_works(site: Site) -> None:
    site.start_afresh()
    site.add_orders()
    site.host.run("touch /srv/may-not-start")
    played = site.restore()
    assert played.status != 0
    assert "api on shop did not start: " in played.words
    assert "is done, and this is not well" in played.words
    assert site.host.attempt("systemctl is-active shop-api").stdout == "failed\n"
    assert rows(site.host).startswith(f"{ORDERS}|")  # the data is the backup's

    task = re.search(r"restore_finish: (\{restore_id: \S+, action: roll_back, confirm: [^}]+\})", played.words)
    assert task, played.output
    options = {**yaml.safe_load(task[1]), "state_directory": "/var/lib/lifeboat"}
    repository = {"name": "local", "type": "file", "path": _REPOSITORY}
    finish = {"lifeboat.recovery.restore_finish": {**options, "repositories": [repository]}}
    playbook = site.fleet.folder / "finish.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "shop", "gather_facts": False, "tasks": [finish]}]))
    done = play(site.fleet, playbook, inventory=site.inventory())
    assert done.status == 0, done.output
    assert rows(site.host).startswith(f"{ORDERS + 1}|")
    site.start_afresh()
    site.host.run("psql -X -q -d shop -c 'DELETE FROM orders WHERE id = 0'", user="postgres")


def test_units_that_start_and_fall_over_are_told(site: Site) -> None:
    """They have no health checks: that systemd could start them is all that is known at first."""
    site.install("shop-worker", more="Restart=always\nRestartSec=1")
    site.start_afresh()
    site.host.run("systemctl start shop-worker")
    # Read at the start, not by what runs.
    site.host.write("/srv/api.py", "import time\ntime.sleep(0.2)\nraise SystemExit(3)\n", mode=0o644)
    site.host.write("/srv/worker.py", "import time\ntime.sleep(0.2)\nraise SystemExit(3)\n", mode=0o644)
    try:
        applications = [{"name": "api", "unit": "shop-api"}, {"name": "worker", "unit": "shop-worker"}]
        played = site.restore(applications=applications)
        assert played.status != 0
        assert re.search(r"api on shop does not keep running \([^)]*ActiveState=failed", played.words), played.output
        assert re.search(r"worker on shop does not keep running \([^)]*NRestarts=[1-9]", played.words), played.output
        assert "see journalctl -u shop-worker" in played.words
        assert "--roll-back" in played.output
    finally:
        site.host.write("/srv/api.py", _API, mode=0o644)
        site.host.run("systemctl stop shop-worker; systemctl reset-failed")


def test_a_restore_that_fails_starts_the_unit_on_the_old_data(site: Site) -> None:
    """The fault: some bytes of the only copy are others, which is seen when they are read."""
    site.start_afresh()
    site.add_orders()
    payload = f"$(ls {_REPOSITORY}/shop/main/base/*/*.tar*)"
    site.host.run(f"printf damaged! | dd of={payload} bs=1 seek=100000 conv=notrunc status=none")
    played = site.restore()
    assert played.status != 0
    assert "Not restored." in played.output
    assert "What was there before is there again; started again: api." in played.words
    assert site.host.run("systemctl is-active shop-api postgresql@15-main").split() == ["active", "active"]
    assert site.host.run(site.asked).strip() == str(ORDERS + 1)
