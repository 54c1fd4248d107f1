# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two regions of whole hosts, built as a user would build them, and what a test does to them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.description import HOSTS, PASSWORD, REGIONS, Places, addresses, database_host, service
from tests.lab.load import Load, load
from tests.support.children import ROOT
from tests.support.hosts.fleet import Fleet, Host
from tests.support.hosts.playing import Json, Played, inventory, play, play_until
from tests.support.hosts.root_file_system import wheelhouse
from tests.support.hosts.store import Store
from tests.support.waiting import wait_for

#: Over the socket of its own host.
_SUPERUSER = {"host": "/var/run/postgresql", "user": "postgres"}
#: Who takes writes, and where the name leads to; for the whole service in one region see :func:`runs_in`.
State = dict[str, str]


def runs_in(region: str) -> State:
    """The service is in that region, and nothing of it anywhere else."""
    return {"database": database_host(region), "cache": database_host(region), "name": region}


@dataclass
class Lab:
    """*primary* is the region that is described as the one where the service runs.

    *main_on* is the host of PostgreSQL where it is not that region's first one, *beside* that of a second standby.
    """

    fleet: Fleet
    stores: t.Mapping[str, Store]
    places: Places
    names: Names
    primary: str = "north"
    main_on: str = ""
    beside: str = ""
    changes: Json = field(default_factory=dict)

    # --- what a user has and types ----------------------------------------------------------------------------------

    def inventory(self) -> Json:
        described = {
            "lifeboat_services": [
                service(
                    self.places,
                    primary=self.primary,
                    main_on=self.main_on,
                    beside=self.beside,
                    changes=self.changes,
                )
            ],
            "lifeboat_repositories": dict(self.places.repositories),
            "agent_wheelhouse": str(wheelhouse()),
            "postgresql_backup_restart": True,
            "standby_guard": True,
            "standby_guard_wait": 20,
            "postgresql_backup_administrators": {"adhd/main": _SUPERUSER},
        }
        # The other region proves the backups, so it has the agent, too.
        (other,) = (region for region in REGIONS if region != self.primary)
        here, there = self.main_on or database_host(self.primary), database_host(other)
        proving = {"verify_for": [here], "agent_wheelhouse": str(wheelhouse())}
        made = inventory(
            self.fleet,
            of_all={"lifeboat_administrator": _SUPERUSER, "standby_administrator": _SUPERUSER},
            own={here: {**described, "verify_on": there}, there: proving},
        )
        # How long a silent host is waited for is the playbook's to say.
        shared = made["all"]["vars"]
        shared["ansible_ssh_args"] = shared["ansible_ssh_args"].replace(" -o ConnectTimeout=5", "")
        return made

    @property
    def stopwatch(self) -> Path:
        """When the tasks of the last play began."""
        return self.fleet.folder / "stopwatch"

    def play(self, playbook: str, *arguments: str, **extra: t.Any) -> Played:
        self.stopwatch.unlink(missing_ok=True)
        return play(self.fleet, playbook, *self._words(extra), *arguments, **self._around, timeout=1800)

    def killed_at(self, step: str, *, region: str, **extra: t.Any) -> None:
        """The failover dies when its ledger in *region* says that the step begins, and does so for the first time."""
        before = self.ledger(region)
        known = len(before)

        def reached() -> bool:
            entries = self.ledger(region)
            same = bool(before) and entries[0]["run"] == before[0]["run"]
            new = entries[known:] if same else entries
            return any((one["event"], one["step"]) == ("intended", step) for one in new)

        words = self._words({"lifeboat_failover": "adhd", **extra})
        play_until(self.fleet, "dr_failover.yml", *words, **self._around, reached=reached)

    def _words(self, extra: Json) -> list[str]:
        return ["-e", json.dumps(extra)] if extra else []

    @property
    def _around(self) -> dict[str, t.Any]:
        watched = {
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/lab/callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "stopwatch",
            "LIFEBOAT_STOPWATCH": str(self.stopwatch),
        }
        return {"inventory": self.inventory(), "variables": watched}

    def fail_over(self, *arguments: str, **extra: t.Any) -> Played:
        return self.play("dr_failover.yml", *arguments, lifeboat_failover="adhd", **extra)

    def planned(self, **extra: t.Any) -> tuple[Played, str]:
        """What --check says, and the plan's hash as it is confirmed."""
        played = self.fail_over("--check", **extra)
        _before, found, rest = played.output.partition("The plan's SHA-256: ")
        assert found, played.output
        return played, rest[:12]

    def is_described_in(self, region: str) -> None:
        """As after each move: the region is described as the primary one, and the other one's servers follow it."""
        self.primary = region
        (other,) = (one for one in REGIONS if one != region)
        described = self.play("playbooks/site.yml")
        assert described.status == 0, described.output
        rejoined = self.play(
            "playbooks/dr_failback.yml",
            lifeboat_failback="adhd/main",
            lifeboat_failback_to=other,
            lifeboat_failback_until="standby",
            lifeboat_failback_rejoin="rebuild",
            lifeboat_confirm=other,
        )
        assert rejoined.status == 0, rejoined.output
        self.follow(other, self.database(region).address)
        assert self.state() == runs_in(region)

    # --- what happens to it -----------------------------------------------------------------------------------------

    def cut(self, region: str = "north", *, healed: bool = False) -> None:
        """The line to a region carries nothing any more, or does again; controller and clients are elsewhere."""
        self.fleet.network.lines[region].cut = not healed

    def lose(self, region: str) -> None:
        """All of its hosts die at once, and its repository is away with them."""
        self.cut(region)
        names = REGIONS[region]
        for name in names:
            self.fleet.network.plug(name, in_=False)
        for name in names:
            self.fleet[name].kill()

    def come_back(self, region: str) -> None:
        """The hosts of a lost region start, and its line carries again."""
        self.cut(region, healed=True)
        for name in REGIONS[region]:
            self.fleet[name].start()

    def kill_postgresql(self, host: str) -> None:
        """All of its processes die at once, and it does not come back by itself. The host lives."""
        unit = "postgresql@15-main"
        self.fleet[host].run(f"systemctl kill --signal=KILL {unit} && systemctl mask {unit}")
        wait_for(lambda: self.fleet[host].attempt(f"systemctl is-active {unit}").stdout.strip() != "active")

    @contextlib.contextmanager
    def stream_refused(self, region: str) -> t.Iterator[None]:
        """The region's PostgreSQL sends nobody anything, and lives on for its clients."""
        host, rules = self.database(region), "/etc/postgresql/15/main/pg_hba.conf"
        signal = "pkill --signal HUP --uid postgres --oldest postgres"
        host.run(f"sed -i '1i host replication all all reject' {rules} && {signal}")
        host.run("pkill --full '^postgres: .*walsender'")
        try:
            yield
        finally:
            host.run(f"sed -i '1{{/reject/d}}' {rules}")

    @contextlib.contextmanager
    def receiver_hangs(self, region: str) -> t.Iterator[None]:
        """The standby there hears nothing, and does not know it."""
        self.database(region).run("pkill --signal STOP --full '^postgres: .*walreceiver'")
        try:
            yield
        finally:
            self.database(region).run("pkill --signal CONT --full '^postgres: .*walreceiver'")

    @contextlib.contextmanager
    def provider_away(self) -> t.Iterator[None]:
        """Nobody can cut a region's power."""
        mark = self.fleet.folder / "provider-is-away"
        mark.touch()
        try:
            yield
        finally:
            mark.unlink()

    @contextlib.contextmanager
    def load(self, folder: Path, *, by: str = "north") -> t.Iterator[Load]:
        """Clients write, at first to the applications of the region *by*."""
        with load(self.fleet, nameserver_port=self.names.port, notes=folder / "notes") as made:
            made.wait_for_more(20, by=self.addresses(by))
            yield made

    def follow(self, region: str, primary: str) -> None:
        """The region's Redis becomes a replica, as somebody does it by hand."""
        redis = f"REDISCLI_AUTH={PASSWORD} redis-cli"
        host = self.database(region)
        host.run("grep -q ^replicaof /etc/redis/redis.conf || echo 'replicaof no one' >> /etc/redis/redis.conf")
        host.run(f"sed -i 's/^replicaof .*/replicaof {primary} 6379/' /etc/redis/redis.conf")
        host.run(f"systemctl unmask redis-server; systemctl start redis-server && {redis} REPLICAOF {primary} 6379")
        wait_for(lambda: self.redis(region, "ROLE").split()[3:4] == ["connected"])

    # --- what is so -------------------------------------------------------------------------------------------------

    def database(self, region: str) -> Host:
        return self.fleet[database_host(region)]

    def query(self, region: str, sql: str, *, host: str = "") -> str:
        """What the PostgreSQL of the region, or of *host*, says."""
        server = self.fleet[host] if host else self.database(region)
        return server.run("psql -XAtd adhd -f -", user="postgres", data=sql.encode()).strip()

    def redis(self, region: str, command: str) -> str:
        return self.database(region).run(f"REDISCLI_AUTH={PASSWORD} redis-cli {command}").strip()

    def writes(self, region: str, *, host: str = "") -> set[int]:
        """The numbers that the PostgreSQL of the region, or of *host*, has."""
        return {int(line) for line in self.query(region, "SELECT number FROM writes", host=host).split()}

    def cached(self, region: str) -> set[int]:
        """The numbers that its Redis has."""
        keys = self.redis(region, "--scan --pattern 'write:*'").split()
        return {int(key.partition(":")[2]) for key in keys}

    def is_primary(self, region: str) -> tuple[bool, bool]:
        """Of PostgreSQL, of Redis."""
        recovering = self.query(region, "SELECT pg_is_in_recovery()")
        return recovering == "f", self.redis(region, "ROLE").split()[:1] == ["master"]

    def state(self) -> State:
        """Which hosts take writes at this moment, and to which region the name leads."""
        database = "SELECT 'writes' WHERE NOT pg_is_in_recovery()"
        asks = {
            "database": f'su postgres -c "psql -XAtc \\"{database}\\""',
            "cache": f"REDISCLI_AUTH={PASSWORD} redis-cli SET lab:probe 1 | grep -qx OK && echo writes",
        }
        found = {
            what: "+".join(name for name in HOSTS if self.fleet[name].attempt(ask).stdout.strip() == "writes")
            for what, ask in asks.items()
        }
        says = self.names.tell("look")
        return {**found, "name": next((one for one in REGIONS if self.addresses(one) == says), ", ".join(says))}

    def applications(self, region: str) -> list[str]:
        return [self.fleet[name].attempt("systemctl is-active adhd").stdout.strip() for name in REGIONS[region]]

    def addresses(self, region: str) -> list[str]:
        return sorted(addresses(self.places, region))

    def ledger(self, region: str) -> list[Json]:
        """The entries of the newest failover in the repository of *region*."""
        keys = [key for key in self.stores[region].keys("shared/adhd/.failover/") if "/run-" in key]
        newest = max((key.rpartition("/")[0] for key in keys), default="")
        own = [key for key in sorted(keys) if key.rpartition("/")[0] == newest]
        return [json.loads(entry) for entry in self.stores[region].read_all(own)]


class Names:
    """The name server, in the controller's name space."""

    def __init__(self, hosts: Fleet, *, values: t.Sequence[str]) -> None:
        words = [sys.executable, "-m", "tests.lab.parts.names", *values]
        self._child = subprocess.Popen(
            hosts.network.at_controller(words), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        told = self._line()
        self.port = int(told["port"])
        self.key = str(told["key"])

    def _line(self) -> Json:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        assert line, "the name server has ended"
        return dict(json.loads(line))

    def tell(self, word: str) -> list[str]:
        """stop, start, or look; what the name says then."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{word}\n")
        self._child.stdin.flush()
        return sorted(self._line()["says"] or ())

    def end(self) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(10)
        self._child.stdout.close()
