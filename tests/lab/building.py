# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as a user would build it: hosts, servers and applications, and everything prepared by the plays."""

from __future__ import annotations

import contextlib
import time
import typing as t
from pathlib import Path

from sandbox.s3 import S3Identity
from tests.lab.description import DATA, HOSTS, PASSWORD, PASSWORD_FILE, REGIONS, Places, database_host
from tests.lab.lab import Lab, Names
from tests.support.children import ROOT
from tests.support.hosts.fleet import Host, fleet
from tests.support.hosts.root_file_system import PYTHON
from tests.support.hosts.store import store_for

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
        _prepare_servers(lab.database(region))
        if region == "north":
            _begin(lab)
        else:
            _make_room(lab.database(region))
    lab.stores["north"].give_keys(*lab.fleet.hosts.values())
    for playbook, extra in (
        ("playbooks/site.yml", {}),
        ("tests/lab/standbys.yml", {"lab_source": database_host("north")}),
    ):
        began = time.monotonic()
        played = lab.play(playbook, **extra)
        assert played.status == 0, played.output
        print(f"LAB {playbook}: {time.monotonic() - began:.0f} s")
    lab.follow("south", lab.database("north").address)
    for job in ("adhd/main/base", "adhd/cache/rdb"):
        lab.database("north").run(f"lifeboat backup {job} --quiet", timeout=300)
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


def second_server(lab: Lab, host: str) -> None:
    """PostgreSQL on a host that had none at work: its role's rules are those of the primary, its folder is empty."""
    _prepare_servers(lab.fleet[host])
    lab.fleet[host].run(
        "echo 'host replication lifeboat_standby 192.0.2.0/24 scram-sha-256' >> /etc/postgresql/15/main/pg_hba.conf"
    )
    _make_room(lab.fleet[host])


def _prepare_servers(host: Host) -> None:
    host.write(PASSWORD_FILE, PASSWORD + "\n")
    host.run(
        "set -e; cd /etc/postgresql/15/main; echo \"listen_addresses = '*'\" >> postgresql.conf;"
        " for who in 'adhd adhd' 'all lifeboat' 'replication lifeboat'; do"
        ' echo "host $who 192.0.2.0/24 scram-sha-256" >> pg_hba.conf; done;'
        " sed -i 's/^bind .*/bind 0.0.0.0/' /etc/redis/redis.conf;"
        f" printf 'requirepass {PASSWORD}\\nmasterauth {PASSWORD}\\nrepl-diskless-sync-delay 0\\n'"
        " >> /etc/redis/redis.conf;"
        " if systemctl is-active redis-server; then systemctl restart redis-server; fi"
    )


def _begin(lab: Lab) -> None:
    """The database, as it was before anybody thought of another region."""
    lab.database("north").run("systemctl restart postgresql@15-main")
    made = f"CREATE ROLE adhd LOGIN PASSWORD '{PASSWORD}'; CREATE DATABASE adhd OWNER adhd;"
    lab.database("north").run("psql -X -v ON_ERROR_STOP=1 -f -", user="postgres", data=made.encode())
    lab.query("north", "CREATE TABLE writes (number bigint PRIMARY KEY); ALTER TABLE writes OWNER TO adhd;")


def _make_room(host: Host) -> None:
    host.run(f"systemctl stop postgresql@15-main && rm -rf {DATA}")


def _write_power_off(lab: Lab) -> None:
    podman = " ".join(lab.fleet.containers.argv())
    cases = "\n".join(f"{region}) hosts='{' '.join(names)}' ;;" for region, names in REGIONS.items())
    path = Path(lab.places.power_off)
    path.write_text(_POWER_OFF.format(folder=lab.fleet.folder, podman=podman, cases=cases), encoding="utf-8")
    path.chmod(0o700)
