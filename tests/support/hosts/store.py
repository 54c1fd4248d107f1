# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An S3 server that the hosts of a fleet reach at the controller's address, and a test at 127.0.0.1."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from sandbox.s3 import S3Identity, S3Server
from sandbox.tcp_faults import TCPFaultProxy
from tests.support.hosts.fleet import Fleet, Host

_PORT = 8333
CREDENTIALS = "/etc/lifeboat/s3.env"


@dataclass(frozen=True)
class Store:
    """*way* is what the hosts' connections go through: it can be cut, slowed, and told to refuse."""

    server: S3Server
    way: TCPFaultProxy
    endpoint_url: str

    def repository(self, prefix: str = "shared") -> dict[str, t.Any]:
        """It as a repository in the description."""
        return {
            "type": "s3",
            "bucket": "backups",
            "prefix": prefix,
            "region": self.server.region,
            "endpoint_url": self.endpoint_url,
            "credentials": {"file": CREDENTIALS},
        }

    def give_keys(self, *hosts: Host, identity: S3Identity | None = None) -> None:
        """Write the credentials of *identity* (the administrator) to the hosts."""
        keys = identity or self.server.administrator
        text = f"AWS_ACCESS_KEY_ID={keys.access_key}\nAWS_SECRET_ACCESS_KEY={keys.secret_key}\n"
        for host in hosts:
            host.write(CREDENTIALS, text)

    def keys(self, prefix: str) -> list[str]:
        """The names of the objects below *prefix*."""
        with contextlib.closing(self.server.client()) as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket="backups", Prefix=prefix)
            return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def read(self, key: str) -> bytes:
        """The bytes of an object."""
        return self.read_all([key])[0]

    def read_all(self, keys: t.Iterable[str]) -> list[bytes]:
        """The bytes of each, by one client: making one takes longer than many answers."""
        with contextlib.closing(self.server.client()) as client:
            return [bytes(client.get_object(Bucket="backups", Key=key)["Body"].read()) for key in keys]


@contextlib.contextmanager
def store_for(
    fleet: Fleet,
    *,
    identities: t.Sequence[S3Identity] = (),
    administrator: S3Identity | None = None,
    site: str = "controller",
) -> t.Iterator[Store]:
    """Start it at the controller's *site* or another one; gone at the end of the block."""
    with S3Server(buckets=("backups",), identities=identities, administrator=administrator) as server:
        listener = fleet.network.listen(_PORT, site=site)
        with TCPFaultProxy(server.port, listener=listener) as way:
            yield Store(server=server, way=way, endpoint_url=f"http://{fleet.network.site(site)}:{_PORT}")
