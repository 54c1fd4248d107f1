# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the modules about names to the engine. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.core.errors import RequestInvalid
from ._engine.dns.agreeing import require_agreement, wait_for_agreement
from ._engine.dns.asking import DnsAsker, authoritative_servers
from ._engine.dns.record import record_of
from ._engine.dns.rfc2136 import DynamicUpdates
from ._engine.dns.route53 import Route53, Route53Options
from ._engine.dns.servers import RESOLVER, servers_of
from ._engine.dns.switching import switch
from ._engine.dns.tsig_key import read_key
from ._engine.storage.s3_options import S3Credentials

if t.TYPE_CHECKING:
    from ._engine.core.host import Host
    from ._engine.dns.provider import Provider

Options = t.Mapping[str, t.Any]


def move_record(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """Have the record say what the options say; with *check* see whether that could be done."""
    given = {name: options[name] for name in ("name", "type", "zone", "values", "ttl")}
    switched = switch(record_of(**given), _provider(options, host=host), check=check, create=options["create"])
    told = switched.as_dict()
    return {
        "changed": switched.changed,
        "record": told,
        "diff": {"before": _lines(told["before"]), "after": _lines(told["after"])},
    }


def ask_servers(options: Options, *, host: Host) -> dict[str, t.Any]:
    """What all servers say, until they agree or the time is out."""
    given = {name: options[name] for name in ("name", "type", "zone", "values")}
    record = record_of(**given, ttl=0)
    resolvers = options.get("resolvers") or []
    servers = authoritative_servers(record.zone, given=options.get("nameservers") or [], resolvers=resolvers)
    servers += servers_of(resolvers, role=RESOLVER)
    strict = options["must_agree"] == "all"
    found = wait_for_agreement(
        record,
        servers,
        asker=DnsAsker(seconds=options["answer_timeout"]),
        clock=host.clock,
        timeout=options["timeout"],
        strict=strict,
    )
    if options["must_agree"] != "none":
        require_agreement(found, strict=strict)
    return {"changed": False, **found.as_dict()}


def _provider(options: Options, *, host: Host) -> Provider:
    if options["provider"] == "route53":
        credentials = dict(options.get("credentials") or {})
        prefix = credentials.pop("env", None)
        route53 = Route53Options(
            zone_id=options.get("zone_id"),
            endpoint_url=options.get("endpoint_url"),
            credentials=S3Credentials(**credentials, environment_prefix=prefix),
            wait_seconds=float(options["timeout"]),
        )
        return Route53(route53, runner=host.runner, clock=host.clock, journal=host.journal)
    if not options.get("server"):
        raise RequestInvalid("rfc2136 needs the server that takes updates.", hint="Give server: the primary's address.")
    path = options.get("key_file")
    return DynamicUpdates(options["server"], key=read_key(path) if path else None)


def _lines(found: t.Mapping[str, t.Any] | None) -> str:
    if found is None:
        return ""
    return "".join(f"{value} (TTL {found['ttl']})\n" for value in found["values"])
