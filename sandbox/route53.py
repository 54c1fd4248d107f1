# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Route 53 as moto's server plays it."""

from __future__ import annotations

import typing as t

from .parts import MOTO, find_moto_server, require
from .server import HOST, Server

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

REGION = "us-east-1"


class Route53Server(Server):
    """Everybody may do everything."""

    kind = "route53"

    def __init__(self, *, directory: Path | None = None, port: int | None = None, startup_timeout: float = 60) -> None:
        super().__init__(directory=directory, port=port, startup_timeout=startup_timeout)
        self.program = require(find_moto_server(), MOTO)

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def uri(self) -> str:
        return self.endpoint_url

    def client(self) -> t.Any:
        """A boto3 client."""
        import boto3

        return boto3.session.Session().client(
            "route53",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="secret",  # noqa: S106 it lets everybody in
        )

    def make_zone(self, name: str, records: Sequence[Mapping[str, t.Any]]) -> str:
        """A zone with these records; its id."""
        client = self.client()
        zone = client.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"].rpartition("/")[2]
        changes = [{"Action": "CREATE", "ResourceRecordSet": dict(record)} for record in records]
        client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
        client.close()
        return str(zone)

    def remove_zone(self, zone: str) -> None:
        """The zone with that id, and all that is in it."""
        records = [one for one in self.sets(zone) if one["Type"] not in ("NS", "SOA")]
        client = self.client()
        try:
            changes = [{"Action": "DELETE", "ResourceRecordSet": one} for one in records]
            client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
            client.delete_hosted_zone(Id=zone)
        finally:
            client.close()

    def sets(self, zone: str) -> list[dict[str, t.Any]]:
        """All that is in the zone."""
        client = self.client()
        listed = client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        client.close()
        return [dict(one) for one in listed]

    def _prepare(self) -> None:
        """Nothing is kept."""

    def _command(self) -> Sequence[str]:
        return [str(self.program), "-H", HOST, "-p", str(self._port)]

    def _is_ready(self) -> bool:
        return "Running on" in self._new_log()


__all__ = ["REGION", "Route53Server"]
