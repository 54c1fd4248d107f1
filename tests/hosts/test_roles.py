# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a bare host to one that protects itself: installed by the roles, then left alone by the controller.

The tests follow one another on one host, as its days do.
"""

from __future__ import annotations

import datetime
import json
import re
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hosts.conftest import StartHosts
from tests.support.hosts.fleet import Fleet, Host
from tests.support.hosts.playing import Json, Played, inventory, play
from tests.support.hosts.root_file_system import PYTHON, wheelhouse

_SECRET = "not-for-anybody-77c1"
_CHECK, _CHECK_PORT = "check-of-the-shop", 8099
_BACKUPS = "/var/backups/lifeboat"
_KEYS = 200
_SETTINGS = "/srv/shop"
_ON_CHANGE = "shop.example/configuration/config"
# A minute of waiting, and some seconds for the backup itself.
_PATIENCE = 100
# What the roles may touch; a listing of names, sizes and times.
_PLACES = "/opt /etc /usr/local /var/lib/lifeboat /var/spool /var/backups"
_LOOK = f"find {_PLACES} -xdev -printf '%p %s %T@ %m %u\\n' 2>/dev/null | sort"


@dataclass(frozen=True)
class Site:
    """One host, and what its inventory says."""

    fleet: Fleet
    nightly: str  # a time that does not come while the tests run

    @property
    def host(self) -> Host:
        return self.fleet["shop"]

    @property
    def inventory(self) -> Json:
        common = {"kind": "rdb", "repositories": ["local"], "keep": {"within": "7d"}}
        source = {
            "name": "cache",
            "engine": "redis",
            "connection": {"port": 6379, "password_file": "/etc/lifeboat/redis.pass"},
            "backups": [
                {**common, "schedule": "* * * * *"},
                {**common, "name": "nightly", "schedule": self.nightly},
            ],
            "verify": {"level": 3, "schedule": self.nightly},
        }
        configuration = {
            "name": "configuration",
            "engine": "files",
            "connection": {"paths": [_SETTINGS]},
            "backups": [
                {"kind": "config", "triggers": ["change"], "repositories": ["local"], "keep": {"within": "7d"}}
            ],
        }
        check = {"name": "check", "jobs": ["cache/rdb"], "ping": {"url_file": "/etc/lifeboat/check.url"}}
        own = {
            "lifeboat_repositories": {
                "local": {"type": "file", "path": _BACKUPS, "create": True},
                "elsewhere": {"type": "s3", "bucket": "of-another-service"},
            },
            "lifeboat_services": [
                {"name": "shop.example", "sources": [source, configuration], "notifications": {"channels": [check]}}
            ],
            "agent_secrets": [{"path": "redis.pass", "content": _SECRET}],
            "agent_wheelhouse": str(wheelhouse()),
            "schedule_boot_delay": "3s",
            "schedule_splay": 0,
            "notify_secrets": [{"path": "check.url", "content": f"http://127.0.0.1:{_CHECK_PORT}/{_CHECK}"}],
            "notify_minutes": 1,
            "monitoring_minutes": 1,
            "monitoring_rules_on": "shop",
            "monitoring_reload": "echo reloaded >> /run/prometheus",
        }
        # The host's own Python: nothing is prepared for Ansible.
        return inventory(self.fleet, of_all={"ansible_python_interpreter": "/usr/bin/python3"}, own={"shop": own})

    def play(self, playbook: str, *arguments: str, **variables: t.Any) -> Played:
        return play(
            self.fleet, f"playbooks/{playbook}.yml", *arguments, "-e", json.dumps(variables), inventory=self.inventory
        )

    def lifeboat(self, command: str) -> t.Any:
        """What the host's own command says, as JSON."""
        return json.loads(self.host.run(f"lifeboat {command} --json"))

    def backups(self, job: str) -> list[str]:
        """The ids of a job's backups."""
        listed = [self.lifeboat(f"show {backup['id']}") for backup in self.lifeboat("list")["backups"]]
        return [shown["id"] for shown in listed if shown["manifest"]["labels"].get("job") == job]

    def wait_for_words(self, journal: str, words: str) -> None:
        """Until that part of the journal says so: what a run tells, it tells after its backup is listed."""
        deadline = time.monotonic() + _PATIENCE
        while words not in (said := self.host.run(f"journalctl {journal} -o cat")):
            assert time.monotonic() < deadline, said
            time.sleep(2)

    def wait_for_more(self, job: str, than: int) -> list[str]:
        """Until there are more than so many; whoever waits does not touch the host otherwise."""
        deadline = time.monotonic() + _PATIENCE
        while len(found := self.backups(job)) <= than:
            assert time.monotonic() < deadline, self.host.run("journalctl -n 80 --no-pager")
            time.sleep(2)
        return found


@pytest.fixture(scope="module")
def site(start_hosts: StartHosts) -> Site:
    later = datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(hours=12)
    made = Site(fleet=start_hosts("shop"), nightly=f"{later.minute} {later.hour} * * *")
    made.host.run(f"echo 'requirepass {_SECRET}' >> /etc/redis/redis.conf && systemctl restart redis-server")
    made.host.write(f"{_SETTINGS}/shop.conf", "color: red\n", mode=0o644)
    made.host.run("mkdir -p /etc/prometheus/rules")
    made.host.run(f"mkdir -p /srv/check && touch /srv/check/{_CHECK}")
    made.host.run(f"systemd-run --unit=check python3 -u -m http.server --bind 127.0.0.1 -d /srv/check {_CHECK_PORT}")
    keys = "\n".join([f"AUTH {_SECRET}", *(f"SET key:{number} {number}" for number in range(_KEYS))])
    made.host.run("until redis-cli PING | grep -q NOAUTH; do sleep 0.1; done; redis-cli", data=keys.encode())
    return made


@pytest.fixture
def protected(site: Site) -> Site:
    """The host with everything on it, also for a test that is run without those before it."""
    if site.host.run("test -e /opt/lifeboat/current || echo bare"):
        changes(site.play("site"))
    return site


def changes(played: Played) -> int:
    """How many tasks changed something; fails the test when the play failed."""
    assert played.status == 0, played.output
    found = re.search(r"changed=([0-9]+)", played.output)
    assert found, played.output
    return int(found[1])


def test_check_mode_says_everything_and_changes_nothing(site: Site) -> None:
    before = site.host.run(_LOOK)
    played = site.play("site", "--check", "--diff")
    assert changes(played) > 0
    assert "shop.example/cache/rdb, shop.example/cache/nightly, shop.example/configuration/config" in played.words
    assert "/etc/lifeboat/config.yml" in played.words
    assert _SECRET not in played.output
    assert site.host.run(_LOOK) == before


def test_a_bare_host_becomes_a_protected_one(site: Site) -> None:
    played = site.play("site", "--diff")
    assert changes(played) > 0
    assert _SECRET not in played.output
    assert _CHECK not in played.output
    shown = site.host.run("stat --format='%a %U %n' /etc/lifeboat/* /etc/cron.d/lifeboat-* /var/lib/lifeboat")
    tables = re.findall(r"644 root (/etc/cron.d/\S+)", shown)
    assert len(tables) == 3
    assert all(re.fullmatch(r"/etc/cron.d/[A-Za-z0-9_-]+", table) for table in tables)
    assert set(shown.splitlines()) == {
        "600 root /etc/lifeboat/check.url",
        "600 root /etc/lifeboat/config.yml",
        "600 root /etc/lifeboat/redis.pass",
        *(f"644 root {table}" for table in tables),
        "700 root /var/lib/lifeboat",
    }
    text = site.host.read("/etc/lifeboat/config.yml")
    assert "of-another-service" not in text, "a repository that this host does not use"
    assert _SECRET not in text
    assert _CHECK not in text


def test_a_second_run_changes_nothing(site: Site) -> None:
    assert changes(site.play("site")) == 0


def test_prometheus_is_given_the_rules_once(site: Site) -> None:
    assert "LifeboatOverdue" in site.host.read("/etc/prometheus/rules/lifeboat-shop.yml")
    assert site.host.read("/run/prometheus") == "reloaded\n"


def test_the_host_goes_on_without_the_controller(site: Site) -> None:
    site.fleet.hang_up()
    before = len(site.backups("shop.example/cache/rdb"))
    site.wait_for_more("shop.example/cache/rdb", before)
    assert "/lifeboat backup shop.example/cache/rdb" in site.host.run("journalctl -t CRON -o cat").replace(
        " --config /etc/lifeboat/config.yml", ""
    )
    assert "shop.example/cache/rdb" in site.host.run("journalctl -t lifeboat -o cat")
    verified = site.lifeboat("verify shop.example/cache/rdb")["results"]
    assert [one["state"] for one in verified] == ["passed"], verified
    assert "verified" in {backup["state"] for backup in site.lifeboat("list")["backups"]}
    metrics = site.host.read("/var/lib/prometheus/node-exporter/lifeboat.prom")
    assert 'lifeboat_job_last_success_timestamp_seconds{lifeboat_job="shop.example/cache/rdb"' in metrics


def test_success_is_told_to_a_dead_man_switch_and_looked_for(site: Site) -> None:
    site.wait_for_words("-u check", f'"GET /{_CHECK} HTTP/1.1" 200')
    site.wait_for_words("-t CRON", "notify --overdue")
    assert [one["down_since"] for one in site.lifeboat("notify --pending")["channels"]] == [None]
    played = site.play("site", notify_test=["shop.example/check"])
    assert changes(played) == 0
    assert "told" in played.output


def test_a_change_is_backed_up_within_a_minute(site: Site) -> None:
    site.wait_for_more(_ON_CHANGE, 0)
    site.host.write(f"{_SETTINGS}/shop.conf", "color: blue\n", mode=0o644)
    site.wait_for_more(_ON_CHANGE, 1)


def test_what_was_due_while_the_host_was_down_is_made_after_the_boot(site: Site) -> None:
    assert site.backups("shop.example/cache/nightly") == []
    site.host.reboot()
    assert len(site.wait_for_more("shop.example/cache/nightly", 0)) == 1


@pytest.mark.long
def test_an_upgrade_leaves_its_version_to_a_run_that_is_under_way(protected: Site) -> None:
    """Another interpreter's path is another version. The fault: the run is stopped in mid-backup."""
    site, host = protected, protected.host
    python = host.run("readlink -f /usr/bin/python3").strip()
    old = host.run("readlink -f /opt/lifeboat/current").strip()
    host.run(f"redis-cli -a {_SECRET} CONFIG SET rdb-key-save-delay 50000")  # microseconds for each key
    host.run(
        "systemd-run --unit=under-way -p RemainAfterExit=yes /opt/lifeboat/current/bin/lifeboat"
        " --config /etc/lifeboat/config.yml backup shop.example/cache/nightly --wait 120"
    )
    saving = f"redis-cli -a {_SECRET} INFO persistence 2>/dev/null | grep -q rdb_bgsave_in_progress:1"
    process = "/proc/$(systemctl show under-way -P MainPID)/cmdline"
    begun = f"tr '\\0' ' ' < {process} | grep -q 'backup shop.example/cache/nightly'"
    host.run(f"until {saving} && {begun}; do sleep 0.05; done; systemctl kill -s STOP under-way")
    before = len(site.backups("shop.example/cache/nightly"))
    assert changes(site.play("site", agent_python=python, agent_older_versions=0)) > 0
    new = host.run("readlink -f /opt/lifeboat/current").strip()
    assert new != old
    assert host.run(f"ls {old}/bin/lifeboat")
    host.run(f"redis-cli -a {_SECRET} CONFIG SET rdb-key-save-delay 0; systemctl kill -s CONT under-way")
    host.run("until systemctl show under-way -P SubState | grep -qE 'exited|failed'; do sleep 0.2; done")
    ended = host.run("systemctl show under-way -P ExecMainStatus").strip()
    assert ended == "0", host.run("journalctl -u under-way")
    assert len(site.backups("shop.example/cache/nightly")) == before + 1
    site.play("site", agent_python=python, agent_older_versions=0)
    assert host.run("ls /opt/lifeboat/versions").split() == [new.rpartition("/")[2]]


@pytest.mark.long
def test_timers_mean_the_same(protected: Site) -> None:
    site = protected
    assert changes(site.play("site", schedule_with="systemd")) > 0
    assert site.host.run("ls /etc/cron.d | grep -c lifeboat || true").strip() == "0"
    site.wait_for_more("shop.example/cache/rdb", len(site.backups("shop.example/cache/rdb")))
    assert "shop.example/cache/rdb" in site.host.run("journalctl -u 'lifeboat-shop.example:cache:rdb.service' -o cat")
    assert changes(site.play("site", schedule_with="systemd")) == 0


def test_minutes_without_a_change_stored_nothing(site: Site) -> None:
    assert len(site.backups(_ON_CHANGE)) == 2


def test_removing_it_leaves_nothing_but_the_backups(site: Site) -> None:
    refused = site.play("remove")
    assert refused.status != 0
    assert "-e lifeboat_confirm=remove" in refused.words
    there = site.host.run(f"find {_BACKUPS} -name manifest.json | sort")
    assert changes(site.play("remove", lifeboat_confirm="remove")) > 0
    # A timer may have made another one meanwhile.
    assert set(there.split()) <= set(site.host.run(f"find {_BACKUPS} -name manifest.json").split())
    assert there
    assert "lifeboat" not in site.host.run("ls /var/lib/prometheus/node-exporter /etc/prometheus/rules")
    left = site.host.run(f"find {_PLACES} -xdev -iname '*lifeboat*' 2>/dev/null || true").split()
    # What tests of other things have on every host is not ours.
    assert left == [str(Path(PYTHON).parents[1]), _BACKUPS]
    assert site.host.run("systemctl list-unit-files 'lifeboat*' --no-legend || true") == ""
    assert changes(site.play("remove", lifeboat_confirm="remove")) == 0
