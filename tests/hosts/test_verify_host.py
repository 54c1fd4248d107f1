# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that does nothing but prove the backups of others: theirs is not touched, not even by a log-in."""

from __future__ import annotations

import json
import re
import subprocess
import typing as t
from dataclasses import dataclass

import pytest

from tests.hosts.conftest import StartHosts
from tests.hosts.shop import allow_digest, describe, fill
from tests.support.hosts.fleet import Fleet
from tests.support.hosts.playing import Json, Played, inventory, play
from tests.support.hosts.store import Store, store_for

SOURCES = ("north", "south")
JOBS = ("north/main/base", "south/main/logical", "south/cache/rdb")
_IDENTITY = "/etc/lifeboat/identity.txt"


@dataclass(frozen=True)
class Site:
    """Two shops, and the host that proves their backups and has the key to read them."""

    fleet: Fleet
    store: Store
    recipient: str

    def play(self, playbook: str, *arguments: str, **variables: t.Any) -> Played:
        shared: Json = {
            "lifeboat_settings": {"encryption": {"recipients": [self.recipient]}},
            "lifeboat_repositories": {"offsite": self.store.repository()},
        }
        own = {name: {"lifeboat_services": describe(name=name, repositories=["offsite"])} for name in SOURCES}
        hosts = inventory(self.fleet, of_all=shared, own=own)
        return play(self.fleet, f"playbooks/{playbook}.yml", "-e", json.dumps(variables), *arguments, inventory=hosts)

    def verifications(self, what: str) -> list[Json]:
        """The documents in the repository that all hosts share."""
        found = [key for key in self.store.keys(f"shared/{what}/") if "/verification-" in key]
        return [json.loads(self.store.read(key)) for key in found]


@pytest.fixture(scope="module")
def site(start_hosts: StartHosts) -> t.Iterator[Site]:
    fleet = start_hosts(*SOURCES, "prover")
    fleet["prover"].run("systemctl stop postgresql@15-main redis-server")
    for name in SOURCES:
        allow_digest(fleet[name])
        fill(fleet[name])
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    fleet["prover"].write(_IDENTITY, made)
    recipient = re.search("age1[0-9a-z]+", made)
    assert recipient
    with store_for(fleet) as store:
        store.give_keys(*fleet.hosts.values())
        made_site = Site(fleet=fleet, store=store, recipient=recipient[0])
        played = made_site.play("backup", lifeboat_jobs=JOBS)
        assert played.status == 0, played.output
        yield made_site


def log_ins(site: Site, name: str) -> int:
    """How often somebody came in by ssh: nothing else leads into a host."""
    return int(site.fleet[name].run("journalctl -q -t sshd -o cat | grep -c '^Accepted ' || true"))


def left_by_runs(site: Site, name: str) -> str:
    """What Lifeboat keeps on a host, with times of change."""
    return site.fleet[name].run(
        "find /var/lib/lifeboat /var/tmp/lifeboat -printf '%p %T@\\n' 2>/dev/null | sort || true"
    )


def test_the_third_host_proves_what_two_others_have_backed_up(site: Site) -> None:
    # A connection that is still open would hide that somebody came in.
    site.fleet.hang_up()
    before = {name: (log_ins(site, name), left_by_runs(site, name)) for name in SOURCES}
    assert all(count > 0 for count, _left in before.values())

    played = site.play(
        "verify", "-vv", lifeboat_verify_on="prover", lifeboat_identity_file=_IDENTITY, lifeboat_jobs=JOBS
    )
    assert played.status == 0, played.output
    assert "3 looked at: 3 passed." in played.output
    assert {name: (log_ins(site, name), left_by_runs(site, name)) for name in SOURCES} == before
    for job in JOBS:
        (document,) = site.verifications(job)
        assert (document["state"], document["reached"], document["host"]) == ("passed", 4, "prover")
        assert set(document["copies"]) == {"offsite"}
        assert document["recovery_seconds"] > 0


def test_nothing_is_left_on_the_host_that_proves(site: Site) -> None:
    prover = site.fleet["prover"]
    assert prover.run("ls /var/tmp/lifeboat") == ""
    assert prover.run("pgrep -a 'postgres|redis-server' || echo none") == "none\n"
    assert prover.run("systemctl is-system-running") == "running\n"


def test_a_host_that_is_down_does_not_keep_its_backups_from_being_proved(site: Site) -> None:
    before = len(site.verifications("south/cache/rdb"))
    site.fleet["south"].kill()
    try:
        played = site.play(
            "verify", lifeboat_verify_on="prover", lifeboat_identity_file=_IDENTITY, lifeboat_jobs="south/cache"
        )
    finally:
        site.fleet["south"].start()
    assert played.status == 0, played.output
    assert "1 looked at: 1 passed." in played.output
    assert len(site.verifications("south/cache/rdb")) == before + 1


def test_a_restore_takes_what_was_proved_elsewhere(site: Site) -> None:
    planned = site.play(
        "restore",
        "--check",
        lifeboat_restore="south/cache/rdb",
        lifeboat_restore_on="prover",
        lifeboat_restore_options={"data_directory": "/srv/copy", "port": 7000},
        lifeboat_identity_file=_IDENTITY,
        lifeboat_hosts="south,prover",
    )
    assert planned.status == 0, planned.output
    assert "in offsite: the newest verified" in planned.words
