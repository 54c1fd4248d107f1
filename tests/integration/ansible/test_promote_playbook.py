# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/promote_standby.yml`` on a real primary with two standbys: killed, resumed, refused, carried out."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import sys
import typing as t

import psycopg2
import pytest
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
from tests.support.approvers import Person
from tests.support.command_line import describe
from tests.support.lease_holder import LEASE, control_of, lease_holder, standby_by
from tests.support.waiting import wait_for

_PLAYBOOK = "playbooks/promote_standby.yml"


@dataclasses.dataclass(frozen=True)
class Site:
    """Three hosts, a repository, an application; *fencing* is described as it is given."""

    directory: pathlib.Path
    primary: PostgreSQLServer
    hot: PostgreSQLServer
    second: PostgreSQLServer
    application: Application
    fencing: Json
    around: Json = dataclasses.field(default_factory=dict)
    control: Json = dataclasses.field(default_factory=dict)

    @property
    def local(self) -> pathlib.Path:
        return self.directory / "local"

    @property
    def environment(self) -> pathlib.Path:
        return self.application.folder / "database.env"

    def inventory(self) -> pathlib.Path:
        backup = {"kind": "base", "repositories": ["local"], "keep": {"within": "7d"}}
        source = {
            "name": "main",
            "engine": "postgresql",
            "objectives": {"rpo": "1h", "rto": "10m"},
            "connection": self.connection(self.primary),
            "fencing": self.fencing,
            **({"service_control": self.control} if self.control else {}),
            "standbys": [
                {"name": "hot", "inventory_host": "one", "connection": self.connection(self.hot)},
                {"name": "second", "inventory_host": "two", "connection": self.connection(self.second)},
            ],
            "backups": [backup],
        }
        wire = {"file": str(self.environment), "match": "^DATABASE_PORT=", "line": "DATABASE_PORT={port}"}
        application = {**self.application.described, "wiring": [wire]}
        administrator = {key: self.connection(self.hot)[key] for key in ("host", "user", "password_file")}
        document = {
            "all": {
                "hosts": {
                    "old": {
                        "lifeboat_services": [
                            {"name": "adhd", "sources": [source], "applications": [application], **self.around}
                        ],
                        "lifeboat_repositories": {"local": {"type": "file", "path": str(self.local)}},
                        "lifeboat_settings": {"state_directory": str(self.directory / "state")},
                    },
                    "one": {},
                    "two": {},
                },
                "vars": {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": sys.executable,
                    "lifeboat_administrator": administrator,
                },
            }
        }
        path = self.directory / "inventory.yml"
        path.write_text(yaml.safe_dump(document))
        return path

    def connection(self, server: PostgreSQLServer) -> Json:
        return postgres_connection(server, secrets=self.directory)

    def arguments(self, **variables: t.Any) -> list[str]:
        named = {"lifeboat_promote": "adhd/main", "lifeboat_health_wait": 20, **variables}
        return ["--inventory", str(self.inventory()), "-e", json.dumps(named)]

    def promote(self, *more: str, **variables: t.Any) -> Played:
        return run_playbook(self, *self.arguments(**variables), *more, playbook=_PLAYBOOK)

    def promote_until(self, step: str, **variables: t.Any) -> None:
        """Kill the play as soon as it has noted that *step* begins."""
        play_until(self, *self.arguments(**variables), playbook=_PLAYBOOK, reached=begins(step, self.entries))

    def entries(self) -> list[Json]:
        """The ledger of the newest run."""
        return ledger_entries(self.local / "adhd/.failover")


@pytest.fixture
def site(tmp_path: pathlib.Path) -> t.Iterator[Site]:
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(PostgreSQLServer(password=PASSWORD))
        primary.query("CREATE TABLE ledger (id int PRIMARY KEY)")
        primary.query("INSERT INTO ledger SELECT generate_series(1, 500)")
        standbys = [stack.enter_context(PostgreSQLServer.standby_of(primary)) for _number in range(2)]
        (tmp_path / "local").mkdir()
        application = Application(tmp_path / "application")
        application.write()
        stack.callback(application.end)
        site = Site(
            directory=tmp_path,
            primary=primary,
            hot=standbys[0],
            second=standbys[1],
            application=application,
            fencing={"data_directory": str(primary.data_directory), "bin_directory": str(primary.bin_directory)},
        )
        site.environment.write_text(f"DATABASE_HOST=127.0.0.1\nDATABASE_PORT={primary.port}\n")
        for one in standbys:
            wait_for(lambda one=one: one.query("SELECT count(*) FROM ledger") == [(500,)])
        yield site


def flat(played: Played) -> str:
    return " ".join(played.output.split())


def timeline(server: PostgreSQLServer) -> int:
    return int(server.query("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0][:8], 16)


@pytest.mark.long
def test_a_dead_primary_is_replaced_though_the_play_is_killed_at_its_steps_and_two_people_are_at_it(site: Site) -> None:
    site.primary.kill()
    checked = site.promote("--check", lifeboat_accept_data_loss=True)
    assert checked.status == 0, checked.output
    assert "To promote hot:" in flat(checked)
    assert site.entries() == []
    unconfirmed = site.promote(lifeboat_accept_data_loss=True)
    assert unconfirmed.status != 0
    assert "add -e lifeboat_confirm=hot" in flat(unconfirmed)
    assert site.entries() == []

    word = {"lifeboat_confirm": "hot", "lifeboat_accept_data_loss": True, "lifeboat_operator": "ada"}
    site.promote_until("fence", **word)
    other = site.promote(**{**word, "lifeboat_operator": "grace"})
    assert other.status != 0
    assert "ada on " in flat(other)
    assert "has run-0001 open since" in flat(other)
    assert site.hot.query("SELECT pg_is_in_recovery()") == [(True,)]

    resumed = {**word, "lifeboat_resume": "run-0001"}
    site.promote_until("promote", **resumed)
    site.promote_until("follow-second", **resumed)
    played = site.promote(**{**resumed, "lifeboat_evidence": str(site.directory / "evidence.json")})
    assert played.status == 0, played.output

    # Promoted once, and every step finished once.
    assert timeline(site.hot) == 2
    entries = site.entries()
    finished = [one["step"] for one in entries if one["event"] == "done"]
    assert finished == ["fence", "promote", "verify", "rewire-api-old", "follow-second", "backup"]
    assert [one["event"] for one in entries].count("resumed") == 3
    assert entries[-1]["event"] == "closed"

    # Nothing that had arrived is lost, the other standby has it too, the application uses the new primary.
    site.hot.query("INSERT INTO ledger VALUES (501)")
    wait_for(lambda: site.second.query("SELECT count(*) FROM ledger") == [(501,)])
    assert f"DATABASE_PORT={site.hot.port}\n" in site.environment.read_text()
    assert site.application.is_well()

    evidence = json.loads((site.directory / "evidence.json").read_text())
    assert (evidence["state"], evidence["promoted"], evidence["fenced"]["method"]) == ("complete", "hot", "host")
    assert evidence["timeline"]["after"] == 2
    assert evidence["lost"]["commits"] == 0
    assert (evidence["objectives"]["rpo_met"], evidence["writes_proven"]) == (True, True)
    assert evidence["recovery_seconds"] > 0
    (manifest,) = [json.loads(path.read_text()) for path in site.local.rglob("manifest.json")]
    assert manifest["kind"] == "base"
    assert PASSWORD not in played.output + "".join(path.read_text() for path in site.local.rglob("*.json"))

    # Who was killed comes back, and has nothing to say; neither has the old primary.
    late = site.promote(**resumed)
    assert late.status != 0
    site.primary.start()
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        site.primary.query("INSERT INTO ledger VALUES (1000)")


@pytest.mark.long
def test_a_primary_that_can_not_be_fenced_is_left_as_it_is_until_somebody_takes_it_upon_themselves(site: Site) -> None:
    """Its host says nothing, and the command that should cut it off fails."""
    ada = Person.new(site.directory, "ada")
    cut_off = site.directory / "cut-off"
    cut_off.write_text("#!/bin/sh\necho trying\necho the provider does not answer >&2\nexit 7\n")
    cut_off.chmod(0o700)
    unfenceable = dataclasses.replace(
        site,
        fencing={"data_directory": str(site.directory / "no-such-folder"), "command": str(cut_off)},
        around={"approvals": {"needed": 1, "signers": [ada.signer]}},
    )
    site.second.stop()  # one that does not answer is left out
    # Nobody has approved it. Somebody does, and the same plan is made again though the servers went on.
    asked = unfenceable.promote(lifeboat_confirm="hot")
    assert asked.status != 0
    assert "ada may give" in flat(asked), asked.output
    assert site.entries() == []
    plan = flat(asked).partition("The plan's SHA-256: ")[2][:64]
    own = yaml.safe_load(unfenceable.inventory().read_text())["all"]["hosts"]["old"]
    lifeboat = describe(site.directory / "lifeboat.json", own)
    lifeboat("failover approve --yes --plan", plan, "--key", str(ada.key)).succeeded()
    site.primary.query("CREATE TABLE later (id int)")

    refused = unfenceable.promote(lifeboat_confirm="hot")
    assert refused.status != 0
    assert "Nothing proves that the old primary takes no writes any more" in flat(refused)
    assert "the provider does not answer (status 7)" in flat(refused)
    assert site.hot.query("SELECT pg_is_in_recovery()") == [(True,)]
    site.primary.query("INSERT INTO ledger VALUES (501)")
    assert [one["event"] for one in site.entries()] == ["opened", "intended", "failed"]

    # It is given up; then it is done with the way that works, on a primary that is alive.
    given_up = unfenceable.promote(lifeboat_resume="run-0001", lifeboat_abandon=True)
    assert given_up.status == 0, given_up.output
    assert site.entries()[-1]["event"] == "abandoned"
    played = site.promote(lifeboat_confirm="hot", lifeboat_backup_after=False)
    assert played.status == 0, played.output
    assert site.hot.query("SELECT count(*) FROM ledger") == [(501,)]
    assert timeline(site.hot) == 2
    fence = next(one["data"] for one in site.entries() if (one["event"], one["step"]) == ("done", "fence"))
    assert (fence["fenced"]["was_running"], fence["fenced"]["stopped_in_order"]) == (True, True)
    assert fence["loss"]["commits"] == 0
    with pytest.raises(psycopg2.OperationalError):
        site.primary.query("SELECT 1")


def test_a_primary_whose_host_says_nothing_gives_way_when_its_lease_is_taken(site: Site) -> None:
    """Who renews it stops the server by itself."""
    leased = dataclasses.replace(
        site,
        fencing={
            "data_directory": str(site.primary.data_directory),
            "methods": [{"witness": {"repository": "local", "lease": LEASE}}],
        },
        control=control_of(site.primary),
    )
    own = yaml.safe_load(leased.inventory().read_text())["all"]["hosts"]["old"]
    configuration = describe(site.directory / "lifeboat.json", own).configuration
    gate, taken = site.directory / "held", site.local / ".lifeboat/witness/adhd/main/taken"
    with lease_holder(configuration, host="old", by=standby_by(site.primary), gate=gate) as holder:
        wait_for(gate.exists, what="the lease")
        checked = leased.promote("--check")
        assert checked.status == 0, checked.output
        assert "take its lease in local and wait until it has ended (10 s)" in flat(checked)
        assert not taken.exists()
        site.primary.query("INSERT INTO ledger VALUES (501)")
        played = leased.promote(lifeboat_confirm="hot", lifeboat_backup_after=False)
        assert played.status == 0, played.output
        assert holder.wait(60) == 1
    assert [one.name for one in taken.iterdir()] == ["run-0001.json"]
    fence = next(one["data"] for one in site.entries() if (one["event"], one["step"]) == ("done", "fence"))
    assert (fence["proven"], fence["method"], fence["tried"]) == (True, "witness", [])
    assert (fence["witness"]["state"], fence["witness"]["host"]) == ("released", "old")
    with pytest.raises(psycopg2.OperationalError):
        site.primary.query("SELECT 1")
    # It was stopped in order, so its standbys got all that it had.
    assert site.hot.query("SELECT count(*) FROM ledger") == [(501,)]
    assert timeline(site.hot) == 2
