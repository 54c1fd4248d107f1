# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two regions of whole hosts, built as a user would build them, and what a test does to them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.s3 import S3Identity
from tests.lab.description import (
    DATA,
    HOSTS,
    PASSWORD,
    PASSWORD_FILE,
    REGIONS,
    Places,
    addresses,
    database_host,
    service,
)
from tests.lab.load import Load, load
from tests.support.children import ROOT
from tests.support.hosts.fleet import Fleet, Host, fleet
from tests.support.hosts.playing import Json, Played, inventory, play, play_until
from tests.support.hosts.root_file_system import PYTHON, wheelhouse
from tests.support.hosts.store import Store, store_for
from tests.support.waiting import wait_for

#: Over the socket of its own host.
_SUPERUSER = {"host": "/var/run/postgresql", "user": "postgres"}
_UNIT = f"""\
[Unit]
Description=The application
After=network.target

[Service]
EnvironmentFile=/etc/adhd.env
ExecStart={PYTHON} -u /opt/adhd/application.py

[Install]
WantedBy=multi-user.target
"""
_POWER_OFF = """\
#!/bin/sh
# The provider's way to cut a region's power: it ends with status 0 when nothing runs there any more.
test ! -e {folder}/provider-is-away || {{ echo "the provider does not answer" >&2; exit 1; }}
case "$1" in
{cases}
esac
for host in $hosts; do {podman} kill "$host" >/dev/null 2>&1; done
for host in $hosts; do
    test "$({podman} inspect --format '{{{{.State.Running}}}}' "$host")" = false || exit 1
done
"""


@dataclass
class Lab:
    """*primary* is the region that is described as the one where the service runs."""

    fleet: Fleet
    stores: t.Mapping[str, Store]
    places: Places
    names: Names
    primary: str = "north"
    changes: Json = field(default_factory=dict)

    # --- what a user has and types ----------------------------------------------------------------------------------

    def inventory(self) -> Json:
        described = {
            "lifeboat_services": [service(self.places, primary=self.primary, changes=self.changes)],
            "lifeboat_repositories": dict(self.places.repositories),
            "agent_wheelhouse": str(wheelhouse()),
            "postgresql_backup_restart": True,
            "standby_guard": True,
            "standby_guard_wait": 20,
            "postgresql_backup_administrators": {"adhd/main": _SUPERUSER},
        }
        # The other region proves the backups, so it has the agent, too.
        (other,) = (region for region in REGIONS if region != self.primary)
        here, there = database_host(self.primary), database_host(other)
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
        """The failover dies when its ledger in *region* says that the step begins."""
        known = len(self.ledger(region))

        def reached() -> bool:
            time.sleep(0.2)
            entries = self.ledger(region)
            new = entries if len(entries) < known else entries[known:]
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

    def query(self, region: str, sql: str) -> str:
        return self.database(region).run("psql -XAtd adhd -f -", user="postgres", data=sql.encode()).strip()

    def redis(self, region: str, command: str) -> str:
        return self.database(region).run(f"REDISCLI_AUTH={PASSWORD} redis-cli {command}").strip()

    def writes(self, region: str) -> set[int]:
        """The numbers that the region's PostgreSQL has."""
        return {int(line) for line in self.query(region, "SELECT number FROM writes").split()}

    def cached(self, region: str) -> set[int]:
        """The numbers that its Redis has."""
        keys = self.redis(region, "--scan --pattern 'write:*'").split()
        return {int(key.partition(":")[2]) for key in keys}

    def is_primary(self, region: str) -> tuple[bool, bool]:
        """Of PostgreSQL, of Redis."""
        recovering = self.query(region, "SELECT pg_is_in_recovery()")
        return recovering == "f", self.redis(region, "ROLE").split()[:1] == ["master"]

    def applications(self, region: str) -> list[str]:
        return [self.fleet[name].attempt("systemctl is-active adhd").stdout.strip() for name in REGIONS[region]]

    def addresses(self, region: str) -> list[str]:
        return sorted(addresses(self.places, region))

    def ledger(self, region: str) -> list[Json]:
        """The entries of the newest failover in the repository of *region*."""
        keys = [key for key in self.stores[region].keys("shared/adhd/.failover/") if "/run-" in key]
        newest = max((key.rpartition("/")[0] for key in keys), default="")
        return [json.loads(self.stores[region].read(key)) for key in sorted(keys) if key.rpartition("/")[0] == newest]


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


@contextlib.contextmanager
def two_regions(*, delay: float = 0.01) -> t.Iterator[Lab]:
    """The lab, built and at work; *delay* are the seconds of the way between the regions. Nothing is left of it."""
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(fleet(*HOSTS, sites=REGIONS))
        administrator = S3Identity.administrator()
        stores = {
            region: stack.enter_context(store_for(hosts, site=region, administrator=administrator))
            for region in REGIONS
        }
        names = Names(hosts, values=[hosts[name].address for name in REGIONS["north"]])
        stack.callback(names.end)
        places = Places(
            fleet=hosts,
            repositories={region: store.repository() for region, store in stores.items()},
            nameserver=f"127.0.0.1:{names.port}",
            key_file=str(hosts.folder / "dns.key"),
            power_off=str(hosts.folder / "power-off"),
        )
        lab = Lab(fleet=hosts, stores=stores, places=places, names=names)
        for line in hosts.network.lines.values():
            line.delay = delay / 2
        _build(lab)
        yield lab


def _build(lab: Lab) -> None:
    key_file = Path(lab.places.key_file)
    key_file.write_text(lab.names.key, encoding="utf-8")
    key_file.chmod(0o600)
    _write_power_off(lab)
    for name in HOSTS:
        _install_application(lab, lab.fleet[name])
    for region in REGIONS:
        _prepare_servers(lab, region)
    lab.stores["north"].give_keys(*(lab.database(region) for region in REGIONS))
    for playbook, extra in (
        ("playbooks/site.yml", {}),
        ("tests/lab/standbys.yml", {"lab_source": database_host("north")}),
    ):
        began = time.monotonic()
        played = lab.play(playbook, **extra)
        assert played.status == 0, played.output
        print(f"LAB {playbook}: {time.monotonic() - began:.0f} s")
    lab.follow("south", lab.database("north").address)
    lab.database("north").run("lifeboat backup adhd/main/base --quiet", timeout=300)
    for name in REGIONS["north"]:
        lab.fleet[name].run("systemctl enable --now adhd")


def _install_application(lab: Lab, host: Host) -> None:
    host.copy_into(ROOT / "tests/lab/parts/application.py", "/opt/adhd")
    at = lab.database("north").address
    host.write("/etc/adhd.env", f"DATABASE_HOST={at}\nCACHE_HOST={at}\nPASSWORD={PASSWORD}\n")
    host.write("/etc/systemd/system/adhd.service", _UNIT, mode=0o644)
    host.run("systemctl daemon-reload")
    if host.name not in (database_host(region) for region in REGIONS):
        host.run("systemctl disable --now postgresql redis-server")


def _prepare_servers(lab: Lab, region: str) -> None:
    host = lab.database(region)
    host.write(PASSWORD_FILE, PASSWORD + "\n")
    host.run(
        "set -e; cd /etc/postgresql/15/main; echo \"listen_addresses = '*'\" >> postgresql.conf;"
        " for who in 'adhd adhd' 'all lifeboat' 'replication lifeboat'; do"
        ' echo "host $who 192.0.2.0/24 scram-sha-256" >> pg_hba.conf; done;'
        " sed -i 's/^bind .*/bind 0.0.0.0/' /etc/redis/redis.conf;"
        f" printf 'requirepass {PASSWORD}\\nmasterauth {PASSWORD}\\nrepl-diskless-sync-delay 0\\n'"
        " >> /etc/redis/redis.conf;"
        " systemctl restart redis-server"
    )
    if region == "north":
        host.run("systemctl restart postgresql@15-main")
        made = f"CREATE ROLE adhd LOGIN PASSWORD '{PASSWORD}'; CREATE DATABASE adhd OWNER adhd;"
        host.run("psql -X -v ON_ERROR_STOP=1 -f -", user="postgres", data=made.encode())
        table = "CREATE TABLE writes (number bigint PRIMARY KEY); ALTER TABLE writes OWNER TO adhd;"
        lab.query("north", table)
    else:
        host.run(f"systemctl stop postgresql@15-main && rm -rf {DATA}")


def _write_power_off(lab: Lab) -> None:
    podman = " ".join(lab.fleet.containers.argv())
    cases = "\n".join(f"{region}) hosts='{' '.join(names)}' ;;" for region, names in REGIONS.items())
    path = Path(lab.places.power_off)
    path.write_text(_POWER_OFF.format(folder=lab.fleet.folder, podman=podman, cases=cases), encoding="utf-8")
    path.chmod(0o700)
