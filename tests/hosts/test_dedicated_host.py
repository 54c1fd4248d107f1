# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles verify and retention: a host that proves and removes by its own clock what another one makes.

The tests follow one another on the same two hosts.
"""

from __future__ import annotations

import json
import re
import subprocess
import typing as t
from dataclasses import dataclass

import pytest

from tests.hosts.conftest import StartHosts
from tests.support.hosts.fleet import Fleet, Host
from tests.support.hosts.playing import Json, Played, inventory, play
from tests.support.hosts.root_file_system import wheelhouse
from tests.support.hosts.store import Store, store_for

pytestmark = [pytest.mark.slow, pytest.mark.long]

_IDENTITY = "/etc/lifeboat/identity.txt"
_TABLE = "/etc/cron.d/lifeboat-shop"
_SECRET = "not-for-anybody-31d8"


@dataclass(frozen=True)
class Site:
    """One shop, and the host that has the key to read its backups and the right to delete them."""

    fleet: Fleet
    store: Store
    recipient: str

    @property
    def shop(self) -> Host:
        return self.fleet["shop"]

    @property
    def keeper(self) -> Host:
        return self.fleet["keeper"]

    def play(self, *arguments: str, of_keeper: Json | None = None, of_shop: Json | None = None) -> Played:
        one = {"count": 1, "minimum_verified": 1}
        backups: list[Json] = [
            {"kind": "rdb", "schedule": "0 2 * * *", "repositories": ["local", "offsite"], "keep": one},
            {"kind": "rdb", "name": "near", "schedule": "0 * * * *", "repositories": ["local"], "keep": {"count": 9}},
        ]
        question = {"name": "all", "redis": ["DBSIZE"], "equals": 9}
        source = {
            "name": "cache",
            "engine": "redis",
            "connection": {"port": 6379, "password": _SECRET},
            "backups": backups,
            "verify": {"level": 4, "schedule": "0 6 * * *", "questions": [question]},
        }
        shared: Json = {
            "ansible_python_interpreter": "/usr/bin/python3",
            "agent_wheelhouse": str(wheelhouse()),
            "schedule_splay": 0,
            "lifeboat_repositories": {
                "local": {"type": "file", "path": "/var/backups/lifeboat", "create": True},
                "offsite": self.store.repository(),
            },
        }
        encryption = {"lifeboat_settings": {"encryption": {"recipients": [self.recipient]}}}
        shop = {"lifeboat_services": [{"name": "shop", "sources": [source]}], "verify_on": "keeper", **encryption}
        keeper: Json = {
            "verify_for": ["shop"],
            "retention_for": ["shop"],
            "lifeboat_settings": {"decryption": {"identity_file": _IDENTITY}},
        }
        own = {"shop": {**shop, **(of_shop or {})}, "keeper": {**keeper, **(of_keeper or {})}}
        hosts = inventory(self.fleet, of_all=shared, own=own)
        return play(self.fleet, "playbooks/site.yml", *arguments, inventory=hosts)


@pytest.fixture(scope="module")
def site(start_hosts: StartHosts) -> t.Iterator[Site]:
    fleet = start_hosts("shop", "keeper")
    shop, keeper = fleet["shop"], fleet["keeper"]
    keeper.run("systemctl stop postgresql@15-main redis-server")
    shop.run(f"echo 'requirepass {_SECRET}' >> /etc/redis/redis.conf && systemctl restart redis-server")
    keys = "\n".join([f"AUTH {_SECRET}", *(f"SET key:{number} {number}" for number in range(9))])
    shop.run("until redis-cli PING | grep -q NOAUTH; do sleep 0.1; done; redis-cli", data=keys.encode())
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    keeper.write(_IDENTITY, made)
    recipient = re.search("age1[0-9a-z]+", made)
    assert recipient
    with store_for(fleet) as store:
        store.give_keys(*fleet.hosts.values())
        yield Site(fleet=fleet, store=store, recipient=recipient[0])


def changes(played: Played) -> int:
    """How many tasks changed something, on both hosts; fails the test when the play failed."""
    assert played.status == 0, played.output
    return sum(int(count) for count in re.findall(r"changed=([0-9]+)", played.output))


def commands(host: Host) -> list[str]:
    """What the table has the host do, without what is done after a boot."""
    lines = host.run(f"grep '^[0-9]' {_TABLE} || true").splitlines()
    return [line.split("\t")[2] for line in lines]


def words(host: Host) -> list[str]:
    """The same in short."""
    return [command.split("config.yml ")[1].split(" 2>&1")[0] for command in commands(host)]


def test_a_proof_that_only_one_side_knows_of_is_refused(site: Site) -> None:
    alone = site.play(of_keeper={"verify_for": [], "retention_for": []})
    assert alone.status != 0
    assert "Nobody would prove the backups of shop" in alone.words
    twice = site.play(of_shop={"verify_on": ""})
    assert twice.status != 0
    assert "still proves its backups itself" in twice.words
    for host in (site.shop, site.keeper):
        assert host.attempt("ls /opt/lifeboat").returncode != 0, "another host was touched all the same"


def test_the_keeper_is_told_what_others_make_and_a_second_run_changes_nothing(site: Site) -> None:
    played = site.play("-e", "lifeboat_first_backup=true")
    assert played.status == 0, played.output
    assert "only in folders of the hosts that make them: shop/cache/near" in played.words
    assert words(site.keeper) == [
        "verify shop/cache --due --quiet",
        "prune shop --yes --quiet --repository offsite",
    ]
    assert [command.split()[0] for command in words(site.shop)] == ["backup", "backup", "prune"]
    told = site.keeper.read("/etc/lifeboat/config.yml")
    assert "makes_backups" in told
    assert _SECRET not in told
    assert changes(site.play()) == 0


def test_it_proves_and_removes_by_its_table_without_coming_to_the_shop(site: Site) -> None:
    site.fleet.hang_up()
    newer = site.shop.run("lifeboat backup shop/cache/rdb --json")
    came = "journalctl -q -t sshd -o cat | grep -c '^Accepted ' || true"
    before = site.shop.run(came)
    verify, prune = commands(site.keeper)
    site.keeper.run(verify)
    (backup,) = json.loads(newer)["results"]
    found = [
        key for key in site.store.keys(f"shared/shop/cache/rdb/{backup['backup']['id']}/") if "/verification-" in key
    ]
    (document,) = [json.loads(site.store.read(key)) for key in found]
    assert (document["state"], document["reached"], document["host"]) == ("passed", 4, "keeper")
    site.keeper.run(prune)
    manifests = [key for key in site.store.keys("shared/shop/cache/rdb/") if key.endswith("/manifest.json")]
    assert [key.split("/")[-2] for key in manifests] == [backup["backup"]["id"]], site.keeper.run(
        "journalctl -t lifeboat"
    )
    assert site.shop.run(came) == before


def test_it_makes_no_backup_even_when_asked(site: Site) -> None:
    refused = site.keeper.attempt("lifeboat backup shop/cache/rdb")
    assert refused.returncode == 2
    assert "This host makes no backups" in refused.stderr


def test_what_is_not_wanted_any_more_goes_from_its_table(site: Site) -> None:
    assert changes(site.play("--limit", "keeper", of_keeper={"verify_state": "absent"})) > 0
    assert [command.split()[0] for command in words(site.keeper)] == ["prune"]
