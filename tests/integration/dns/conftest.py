# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real name servers with a small zone, new for each test: BIND starts in a tenth of a second."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.record import Record, record_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.rfc2136 import DynamicUpdates
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.tsig_key import read_key
from sandbox.bind import Key, NameServer, Zone
from sandbox.route53 import Route53Server

OLD, NEW = "192.0.2.30", "198.51.100.30"
ZONE = "example.test"
RECORDS = (f"api 3 IN A {OLD}", "web 60 IN CNAME api", "two 60 IN A 192.0.2.1", "two 60 IN A 192.0.2.2")


def zone(*, key: str = "lifeboat", policy: str | None = None, refresh: int = 3600) -> Zone:
    """The zone; only *key* may change the names that tests change."""
    default = f"update-policy {{ grant {key} name api.{ZONE} A; grant {key} name web.{ZONE} CNAME; }}"
    return Zone(ZONE, RECORDS, default if policy is None else policy, refresh=refresh)


def api(*values: str, ttl: int = 3, type: str = "A", name: str = "api") -> Record:  # noqa: A002
    return record_of(name=f"{name}.{ZONE}", type=type, zone=ZONE, values=values or (NEW,), ttl=ttl)


@dataclasses.dataclass(frozen=True)
class Site:
    """A primary server and the file with its key."""

    server: NameServer
    key: Key
    key_file: pathlib.Path

    def provider(self, key_file: pathlib.Path | None = None) -> DynamicUpdates:
        return DynamicUpdates(self.server.uri, key=read_key(str(key_file or self.key_file)))


def write_key(key: Key, path: pathlib.Path) -> pathlib.Path:
    path.write_text(key.text)
    path.chmod(0o600)
    return path


@pytest.fixture
def site(tmp_path: pathlib.Path) -> t.Iterator[Site]:
    key = Key("lifeboat")
    with NameServer(zones=[zone(), Zone("fixed.test", [f"api IN A {OLD}"])], keys=[key]) as server:
        yield Site(server=server, key=key, key_file=write_key(key, tmp_path / "dns.key"))


@pytest.fixture(scope="session")
def amazon() -> t.Iterator[Route53Server]:
    with Route53Server() as server:
        yield server
