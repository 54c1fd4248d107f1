# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference service adhd in small, as its owner describes it: two regions, each with two hosts."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from tests.lab.parts.names import NAME, TTL, ZONE
from tests.support.hosts.fleet import Fleet
from tests.support.hosts.playing import Json

PASSWORD = "not-for-anybody-41d7"
PASSWORD_FILE = "/etc/lifeboat/lab.password"
DATA = "/var/lib/postgresql/15/main"
REGIONS: t.Mapping[str, t.Sequence[str]] = {"north": ("north1", "north2"), "south": ("south1", "south2")}
HOSTS = tuple(host for hosts in REGIONS.values() for host in hosts)
_UNIT, _CACHE_UNIT = "postgresql@15-main", "redis-server"


@dataclass(frozen=True)
class Places:
    """What the description names: the repositories by their regions, the name server, the command that cuts power."""

    fleet: Fleet
    repositories: t.Mapping[str, Json]
    nameserver: str
    key_file: str
    power_off: str

    def address(self, host: str) -> str:
        return self.fleet[host].address


def database_host(region: str) -> str:
    """Where the region's servers run."""
    return REGIONS[region][0]


def service(places: Places, *, primary: str, main_on: str = "", beside: str = "", changes: Json | None = None) -> Json:
    """The service while *primary* is the region that it runs in; *changes* are values over those of the service.

    *main_on* is the host of PostgreSQL where it is not the region's first one; *beside* has a second standby of it.
    """
    (other,) = (region for region in REGIONS if region != primary)
    main_on = main_on or database_host(primary)
    keep: Json = {"repositories": list(places.repositories), "keep": {"within": "7d"}}
    fencing = {"methods": [{"host": True}, {"name": "power", "command": f"{places.power_off} {primary}"}]}
    main = {
        "name": "main",
        "engine": "postgresql",
        "connection": _database(places, main_on),
        "service_control": {"unit": _UNIT},
        "fencing": {"data_directory": DATA, **fencing},
        "standbys": [
            _standby(places, name=other, region=other, host=database_host(other)),
            *([_standby(places, name=beside, region=primary, host=beside)] if beside else []),
        ],
        "backups": [
            {"kind": "base", "schedule": "0 2 * * *", **keep},
            {"kind": "wal", "triggers": ["continuous"], "options": {"archive_timeout": "45s"}, **keep},
        ],
        "verify": {"level": 3, "schedule": "0 4 * * *"},
    }
    cache = {
        "name": "cache",
        "engine": "redis",
        "connection": _cache(places, primary),
        "service_control": {"unit": _CACHE_UNIT},
        "fencing": fencing,
        "standbys": [
            {
                "name": other,
                "region": other,
                "inventory_host": database_host(other),
                "connection": _cache(places, other),
            }
        ],
        "backups": [{"kind": "rdb", "schedule": "0 * * * *", **keep}],
        "verify": {"level": 3, "schedule": "0 5 * * *"},
    }
    record = {
        "name": NAME,
        "type": "A",
        "ttl": TTL,
        "zone": ZONE,
        "provider": "rfc2136",
        "server": places.nameserver,
        "key_file": places.key_file,
        "nameservers": [places.nameserver],
        "wait": "20s",
        "values": {region: addresses(places, region) for region in REGIONS},
    }
    return {
        "name": "adhd",
        "objectives": {"rpo": "2h", "rto": "15m"},
        "regions": [
            {"name": region, "role": "primary" if region == primary else "standby", "hosts": list(hosts)}
            for region, hosts in REGIONS.items()
        ],
        "sources": [main, cache],
        "applications": [_application(region) for region in REGIONS],
        "dns": [record],
        "failover": {"watch": {"checks": 2, "every": "1s"}},
        **(changes or {}),
    }


def addresses(places: Places, region: str) -> list[str]:
    """Where the region's application is reached."""
    return [places.address(host) for host in REGIONS[region]]


def _application(region: str) -> Json:
    wires = {"DATABASE_HOST": "main", "CACHE_HOST": "cache"}
    return {
        "name": f"server-{region}",
        "region": region,
        "unit": "adhd",
        "port": 8080,
        "health": {"path": "/health"},
        "wiring": [
            {"file": "/etc/adhd.env", "match": f"^{word}=", "line": f"{word}={{host}}", "source": source}
            for word, source in wires.items()
        ],
    }


def _standby(places: Places, *, name: str, region: str, host: str) -> Json:
    return {
        "name": name,
        "region": region,
        "inventory_host": host,
        "connection": _database(places, host),
        "data_directory": DATA,
        "service_control": {"unit": _UNIT},
        "replication": {"user": "lifeboat_standby", "password_file": PASSWORD_FILE},
        "max_lag": "5s",
    }


def _database(places: Places, host: str) -> Json:
    return {
        "host": places.address(host),
        "user": "lifeboat",
        "database": "adhd",
        "password_file": PASSWORD_FILE,
        "connect_timeout": 10,  # the line between the sites is a program, and may have to wait for a processor
    }


def _cache(places: Places, region: str) -> Json:
    return {"host": places.address(database_host(region)), "password_file": PASSWORD_FILE}
