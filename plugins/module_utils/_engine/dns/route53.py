# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of a hosted zone of Amazon Route 53."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from ..core.clock import Clock
from ..core.errors import (
    DnsError,
    DnsOtherType,
    DnsRecordRouted,
    DnsRefused,
    DnsUnreachable,
    LibraryMissing,
    RequestInvalid,
    StorageCredentialsMissing,
)
from ..core.journal import Journal
from ..core.runner import Runner
from ..storage.s3_client import fetch_keys
from ..storage.s3_options import S3Credentials
from .record import Found, Record, full_name, in_order

Json = t.Mapping[str, t.Any]

_PROPAGATION_PAUSE = 2.0
_INVALID = "InvalidChangeBatch"
_DENIED = ("AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId",
           "SignatureDoesNotMatch", "ExpiredToken", "InvalidSignatureException")  # fmt: skip


@dataclass(frozen=True)
class Route53Options:
    """Where the zone is and with whose keys. *zone_id* without it is found by the zone's name."""

    zone_id: str | None = None
    endpoint_url: str | None = None
    region: str = "us-east-1"  # where its control plane is; signatures need a region
    credentials: S3Credentials = field(default_factory=S3Credentials)
    wait_seconds: float = 60.0

    @property
    def url(self) -> str:
        """For people."""
        return "Route 53" + (f" at {self.endpoint_url}" if self.endpoint_url else "")


class Route53:
    """The control plane of Route 53."""

    def __init__(self, options: Route53Options, *, runner: Runner, clock: Clock, journal: Journal) -> None:
        """Raises LibraryMissing, StorageCredentialsMissing."""
        self.shown = options.url
        self._options = options
        self._clock = clock
        self._journal = journal
        self._client = _client(options, runner=runner)
        self._zone_ids: dict[str, str] = {}

    def look(self, record: Record) -> Found | None:
        """What the zone has. Raises DnsOtherType, DnsRecordRouted, DnsRefused, DnsUnreachable."""
        answer = self._call(
            "list_resource_record_sets",
            record,
            HostedZoneId=self._zone_id(record),
            StartRecordName=record.name,
            MaxItems="100",
        )
        own = [one for one in answer["ResourceRecordSets"] if _name(one["Name"]) == record.name]
        for one in own:
            if one["Type"] in record.other_types:
                raise DnsOtherType(
                    f"{record.name[:-1]} is of type {one['Type']} in Route 53, and the description says {record.type}.",
                    hint=f"Describe it as it is, or remove the {one['Type']} by hand; both can't be.",
                    details={"server": self.shown, "type": str(one["Type"])},
                )
        same = [one for one in own if one["Type"] == record.type]
        for one in same:
            if "AliasTarget" in one or "SetIdentifier" in one:
                what = "an alias" if "AliasTarget" in one else "one of several with a routing policy"
                raise DnsRecordRouted(
                    f"{record.shown} is {what} in Route 53, and would be written over.",
                    hint="Move it by its health check or routing control, or by provider: command (docs/dns.md).",
                    details={"set_identifier": one.get("SetIdentifier")},
                )
        if not same:
            return None
        values = in_order(record.type, (str(one["Value"]) for one in same[0]["ResourceRecords"]))
        return Found(values=values, ttl=int(same[0]["TTL"]))

    def try_rights(self, record: Record, found: Found | None) -> None:
        """Send a change that can't be made: to create what exists. Whoever may not change it is told that first.

        Of a record that does not exist only reading can be tried.
        """
        if found is None:
            return
        try:
            self._send(record, "CREATE", found)
        except DnsError as error:
            if error.details.get("code") != _INVALID:
                raise

    def change(self, record: Record, found: Found | None) -> None:
        """Write it, and wait until all servers have it. Route 53 knows no condition on a change."""
        answer = self._send(record, "CREATE" if found is None else "UPSERT", record.wanted)
        self._await(str(answer["ChangeInfo"]["Id"]), record)

    def _send(self, record: Record, action: str, values: Found) -> Json:
        batch = [{"Action": action, "ResourceRecordSet": _set_of(record, values)}]
        return self._call(
            "change_resource_record_sets",
            record,
            HostedZoneId=self._zone_id(record),
            ChangeBatch={"Comment": "lifeboat", "Changes": batch},
        )

    def _await(self, change: str, record: Record) -> None:
        """Until Amazon says that all its servers have it. What it does not say in time the proof finds out."""
        deadline = self._clock.monotonic() + self._options.wait_seconds
        while True:
            try:
                status = self._call("get_change", record, Id=change)["ChangeInfo"]["Status"]
            except DnsError as error:
                self._journal.warning(f"Nobody knows when all servers of Route 53 have {record.shown}: {error.message}")
                return
            if status == "INSYNC":
                return
            if self._clock.monotonic() + _PROPAGATION_PAUSE > deadline:
                self._journal.warning(f"Route 53 has taken {record.shown}, and not all its servers have it yet.")
                return
            self._clock.sleep(_PROPAGATION_PAUSE)

    def _zone_id(self, record: Record) -> str:
        if self._options.zone_id:
            return self._options.zone_id
        if record.zone not in self._zone_ids:
            answer = self._call("list_hosted_zones_by_name", record, DNSName=record.zone, MaxItems="10")
            found = [one for one in answer["HostedZones"] if _name(one["Name"]) == record.zone]
            public = [one for one in found if not one.get("Config", {}).get("PrivateZone")]
            chosen = public or found
            if len(chosen) != 1:
                raise RequestInvalid(
                    f"Route 53 has {len(chosen) or 'no'} zone{'s' if len(chosen) > 1 else ''} {record.zone[:-1]}.",
                    hint="Name the zone by its id: zone_id: Z0123456789ABCDEFGHIJ",
                )
            self._zone_ids[record.zone] = str(chosen[0]["Id"]).rpartition("/")[2]
        return self._zone_ids[record.zone]

    def _call(self, operation: str, record: Record, **arguments: t.Any) -> Json:
        import botocore.exceptions

        try:
            answer: Json = getattr(self._client, operation)(**arguments)
        except botocore.exceptions.ClientError as error:
            raise self._refused(error, operation, record) from error
        except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
            raise StorageCredentialsMissing(
                f"There are no credentials for {self.shown}.", hint="Describe them: credentials: {file: PATH}"
            ) from error
        except botocore.exceptions.BotoCoreError as error:
            raise DnsUnreachable(
                f"{self.shown} can't be reached: {type(error).__name__}.",
                hint="Its control plane lives in one region. A switch of the data plane needs none of it: docs/dns.md",
            ) from error
        return answer

    def _refused(self, error: t.Any, operation: str, record: Record) -> DnsError:
        code, message = str(error.response["Error"].get("Code")), str(error.response["Error"].get("Message"))
        if code in _DENIED or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 403:
            action = "".join(part.capitalize() for part in operation.split("_"))
            return DnsRefused(
                f"Route 53 does not let these credentials {operation.replace('_', ' ')} ({code}).",
                hint=f"Allow route53:{action} on arn:aws:route53:::hostedzone/{self._options.zone_id or 'ZONE'} in "
                "their policy, and see that they have not run out.",
                details={"operation": action},
            )
        if code == "NoSuchHostedZone":
            return DnsRefused(
                f"Route 53 has no zone {self._options.zone_id}.",
                hint=f"Leave zone_id out, or give that of {record.zone[:-1]}.",
            )
        if code in ("Throttling", "PriorRequestNotComplete", "ServiceUnavailable", "InternalFailure"):
            return DnsUnreachable(f"{self.shown} can't take it now ({code}).", hint="Run it again.")
        return DnsError(
            f"{self.shown} does not take it ({code}): {message[:300]}",
            hint="Look at zone_id and the values.",
            details={"code": code},
        )


def _set_of(record: Record, values: Found) -> dict[str, t.Any]:
    return {
        "Name": record.name,
        "Type": record.type,
        "TTL": values.ttl,
        "ResourceRecords": [{"Value": value} for value in values.values],
    }


def _name(text: str) -> str:
    # An asterisk comes back as its code.
    return full_name(text.replace("\\052", "*"))


def _client(options: Route53Options, *, runner: Runner) -> t.Any:
    try:
        import boto3
        import botocore.config
        import botocore.exceptions
    except ImportError as error:
        raise LibraryMissing(
            f"The Python library boto3 is needed for Route 53 and not installed: {error}.",
            hint="Install it for the interpreter that runs Lifeboat: pip install 'boto3>=1.36'",
            details={"library": "boto3"},
        ) from error
    keys = fetch_keys(options, runner=runner, environment=os.environ)
    settings = botocore.config.Config(
        connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4},
        user_agent_extra="lifeboat",
    )  # fmt: skip
    try:
        session = boto3.session.Session(profile_name=options.credentials.profile)
    except botocore.exceptions.ProfileNotFound as error:
        raise StorageCredentialsMissing(
            f"There is no profile {options.credentials.profile!r} in the AWS configuration.",
            hint="Run: aws configure list-profiles   as the user who runs this.",
        ) from error
    return session.client(
        "route53",
        config=settings,
        region_name=options.region,
        endpoint_url=options.endpoint_url,
        aws_access_key_id=keys.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=keys.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=keys.get("AWS_SESSION_TOKEN"),
    )
