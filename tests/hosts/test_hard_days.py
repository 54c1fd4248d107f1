# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is not as ours are: another Debian and Python, German, umask 077, spaces in paths. And its bad days: a
disk that fills, a repository that is away, a clock that jumps. The controller has gone.

The tests follow one another on one host, as its days do.
"""

from __future__ import annotations

import json
import time
import typing as t
from dataclasses import dataclass

import pytest

from tests.hosts.conftest import StartHosts
from tests.support.hosts.fleet import Fleet, Host
from tests.support.hosts.playing import Json, Played, inventory, play
from tests.support.hosts.root_file_system import wheelhouse
from tests.support.hosts.store import Store, store_for

pytestmark = pytest.mark.long

_SUITE = "trixie"
_LOCAL = "/var/back ups/lifeboat"
_SMALL = "/srv/small"
_SETTINGS = "/srv/my shop"
_TURNING = "/var/back ups/turning"
_ORDERS = 500
_FILL = f"""
CREATE DATABASE shop;
\\connect shop
CREATE TABLE orders AS SELECT generate_series(1, {_ORDERS}) AS id;
"""
_EACH_MINUTE = "shop/cache/rdb"
# The next one is in 2028.
_NEVER = "0 0 29 2 *"
_PATIENCE = 150
# How long the repository is away.
_AWAY = 180
_LATER = "LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 FAKETIME={}"


@dataclass(frozen=True)
class Site:
    """The host, what it is told to protect, and a bucket beside it."""

    fleet: Fleet
    store: Store

    @property
    def host(self) -> Host:
        return self.fleet["hard"]

    def play(self, playbook: str, *arguments: str, **variables: t.Any) -> Played:
        keep = {"keep": {"within": "7d"}}
        sources: list[Json] = [
            {
                "name": "cache",
                "engine": "redis",
                "connection": {"port": 6379},
                "backups": [
                    {"kind": "rdb", "schedule": "* * * * *", "repositories": ["local", "offsite"], **keep},
                    {"name": "small", "kind": "rdb", "schedule": _NEVER, "repositories": ["local", "small"], **keep},
                ],
                "verify": {"level": 4, "schedule": _NEVER},
            },
            {
                "name": "main",
                "engine": "postgresql",
                "connection": {
                    "host": "/var/run/postgresql",
                    "user": "lifeboat",
                    "database": "shop",
                    "password_file": "/etc/lifeboat/postgresql.pass",
                },
                "backups": [{"kind": "logical", "schedule": _NEVER, "repositories": ["local"], **keep}],
                "verify": {
                    "level": 4,
                    "schedule": _NEVER,
                    "questions": [
                        {"name": "orders", "database": "shop", "sql": "select count(*) from orders", "equals": _ORDERS}
                    ],
                },
            },
            {
                "name": "configuration",
                "engine": "files",
                "connection": {"paths": [_SETTINGS]},
                "backups": [{"kind": "config", "schedule": _NEVER, "repositories": ["local"], **keep}],
                "verify": {"level": 3, "schedule": _NEVER},
            },
        ]
        # What is made, proved and removed each minute, while the other tests take their time.
        minute = {"schedule": "* * * * *"}
        turning: Json = {
            "name": "settings",
            "engine": "files",
            "connection": {"paths": [_SETTINGS]},
            "backups": [
                {"kind": "config", "repositories": ["turning"], "keep": {"count": 1, "minimum_verified": 1}, **minute}
            ],
            "verify": {"level": 3, **minute},
        }
        own = {
            "lifeboat_repositories": {
                "local": {"type": "file", "path": _LOCAL, "create": True},
                "turning": {"type": "file", "path": _TURNING, "create": True},
                "small": {"type": "file", "path": f"{_SMALL}/lifeboat", "create": True},
                "offsite": self.store.repository("hard"),
            },
            "lifeboat_services": [{"name": "shop", "sources": sources}, {"name": "turn", "sources": [turning]}],
            "agent_secrets": [{"path": "postgresql.pass", "content": "nicht-für-alle-19c4"}],
            "agent_wheelhouse": str(wheelhouse(_SUITE)),
            "schedule_splay": 0,
            "schedule_retention": "* * * * *",
            "schedule_retention_repositories": ["turning"],
        }
        hosts = inventory(self.fleet, of_all={"ansible_python_interpreter": "/usr/bin/python3"}, own={"hard": own})
        return play(self.fleet, f"playbooks/{playbook}.yml", "-e", json.dumps(variables), *arguments, inventory=hosts)

    def lifeboat(self, command: str, *, status: int = 0, environment: str = "") -> t.Any:
        """What the host's own command says, as JSON; fails the test when it ends with another status."""
        done = self.host.attempt(f"{environment} lifeboat {command} --json")
        assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def turned(self) -> dict[str, str]:
        """The state of each backup of the service that nobody touches, by its id."""
        return {one["id"]: one["state"] for one in self.lifeboat("list --service turn")["backups"]}

    def newest(self, job: str, repository: str) -> str:
        """The id of its newest backup there, or nothing."""
        found = [
            one["id"]
            for one in self.lifeboat("list")["backups"]
            if f"{one['service']}/{one['source']}/{one['kind']}" == job and repository in one["repositories"]
        ]
        return max(found, default="")

    def wait_for_another(self, job: str, repository: str, than: str) -> str:
        """The clock of the host has to make it."""
        deadline = time.monotonic() + _PATIENCE
        while (found := self.newest(job, repository)) <= than:
            assert time.monotonic() < deadline, self.host.run("journalctl -n 80 --no-pager")
            time.sleep(2)
        return found


@pytest.fixture(scope="module")
def site(start_hosts: StartHosts) -> t.Iterator[Site]:
    fleet = start_hosts("hard", suite=_SUITE, small_disks={_SMALL: "2m"})
    host = fleet["hard"]
    host.run("localedef -i de_DE -f UTF-8 de_DE.UTF-8")
    host.run("echo 'LANG=de_DE.UTF-8' | tee /etc/default/locale >> /etc/environment")
    host.run("echo 'umask 077' | tee -a /etc/profile >> ~/.bashrc; sed -i 's/^UMASK.*/UMASK 077/' /etc/login.defs")
    host.write(f"{_SETTINGS}/laden öffnen.conf", "farbe: rot\n", mode=0o640)
    host.run("mkdir -p '/var/back ups'")
    host.run("psql -X -q -v ON_ERROR_STOP=1", user="postgres", data=_FILL.encode())
    # What does not become smaller: the small disk takes it once.
    host.run("for number in 1 2 3 4 5; do head -c 250000 /dev/urandom | redis-cli -x SET random:$number; done")
    with store_for(fleet) as store:
        store.give_keys(host)
        made = Site(fleet=fleet, store=store)
        played = made.play("site")
        assert played.status == 0, played.output
        fleet.hang_up()
        yield made


def test_it_is_another_host(site: Site) -> None:
    said = site.host.run(
        "/opt/lifeboat/current/bin/python --version; . /etc/environment; export LANG; ls /nowhere 2>&1; umask"
    )
    assert "Python 3.13" in said
    assert "Datei oder Verzeichnis nicht gefunden" in said
    assert "0077" in site.host.run("bash -lc umask")


def test_everything_is_backed_up_and_proved(site: Site) -> None:
    for what in ("shop/main/logical", "shop/configuration/config"):
        site.lifeboat(f"backup {what}", environment=". /etc/environment; export LANG;")
    site.wait_for_another(_EACH_MINUTE, "offsite", "")
    proved = site.lifeboat("verify shop --due", environment=". /etc/environment; export LANG;")["results"]
    assert {one["state"] for one in proved} == {"passed"}, proved
    assert {one["job"] for one in proved} == {_EACH_MINUTE, "shop/main/logical", "shop/configuration/config"}
    second = site.play("site")
    assert second.status == 0, second.output
    assert "changed=0" in second.output
    site.fleet.hang_up()


def test_a_repository_that_is_away_for_three_minutes_is_made_good(site: Site) -> None:
    """The fault: connections to it are cut."""
    turned = site.turned().keys()
    assert turned
    before = site.newest(_EACH_MINUTE, "offsite")
    site.store.way.cut()
    try:
        time.sleep(_AWAY)
        here = site.host.run(f"ls '{_LOCAL}/shop/cache/rdb'").split()
        assert max(here) > before, "the other repository got its backups all the while"
    finally:
        site.store.way.heal()
    site.wait_for_another(_EACH_MINUTE, "offsite", max(here))
    site.lifeboat("copy shop --to offsite")
    listed = site.lifeboat("list")["backups"]
    lacking = [one["id"] for one in listed if one["kind"] == "rdb" and "offsite" not in one["repositories"]]
    assert lacking == []
    # Of the other service meanwhile, by the host's own clock: made each minute, proved, and the older ones removed.
    deadline = time.monotonic() + _PATIENCE
    while turned & (there := site.turned()).keys():
        assert time.monotonic() < deadline, site.host.run("journalctl -n 80 --no-pager")
        time.sleep(2)
    assert "verified" in there.values()


def test_a_disk_that_is_full_costs_no_backup_that_there_is(site: Site) -> None:
    site.lifeboat("backup shop/cache/small")
    site.lifeboat("backup shop/cache/small", status=3)
    there = site.host.run(f"find {_SMALL} -name manifest.json").split()
    assert len(there) == 1
    made = there[0].split("/")[-2]
    proved = site.lifeboat(f"verify {made} --level 3 --repository small")["results"]
    assert [one["state"] for one in proved] == ["passed"]
    # Nothing is left of the one that did not fit.
    left = site.host.run(f"find {_SMALL} -type f -size +1k -not -path '*{made}*'")
    assert left == ""


def test_a_clock_that_jumps_back_and_forth_loses_nothing(site: Site) -> None:
    """The fault: the program is shown another time than the host's."""
    before = {one["id"] for one in site.lifeboat("list --service shop")["backups"]}
    for jump in ("-3h", "+40d", "-3h"):
        environment = _LATER.format(jump)
        site.lifeboat("backup shop/configuration/config", environment=environment)
        # Retention must not believe such a clock.
        refused = site.host.attempt(f"{environment} lifeboat prune shop --yes --repository offsite --json")
        assert refused.returncode != 0, refused.stdout
        assert "clock" in refused.stdout + refused.stderr
    after = {one["id"] for one in site.lifeboat("list --service shop")["backups"]}
    assert before < after
    site.wait_for_another(_EACH_MINUTE, "local", site.newest(_EACH_MINUTE, "local"))
