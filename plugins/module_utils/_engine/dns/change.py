# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a described record to what modules are told: what it is to say, how that is done, and who is asked. Pure."""

from __future__ import annotations

import shlex
import typing as t

from ..core.description.duration import describe_duration, parse_duration
from ..core.errors import RequestInvalid
from .record import record_of

Json = t.Mapping[str, t.Any]

ROUTE53, RFC2136, COMMAND, MANUAL = "route53", "rfc2136", "command", "manual"
_OPTIONS = ("server", "key_file", "zone_id", "endpoint_url", "credentials")
#: Seconds beyond what resolvers may remember.
_MARGIN = 60


def change_of(
    described: Json, values: t.Sequence[str], *, region: str = "", previous: t.Sequence[str] = (), drill: bool = False
) -> dict[str, t.Any]:
    """What moving the record *described* to *values* means. *previous* is what the description says of the region left.

    In a *drill* its drill record moves; without one nothing does, and only the right to move it is tried.
    Raises RequestInvalid.
    """
    own = dict(described.get("drill") or {}) if drill else {}
    name, zone = str(own.get("name") or described["name"]), own.get("zone") or described.get("zone")
    provider = str(described.get("provider") or MANUAL)
    if not zone and provider != MANUAL:
        raise RequestInvalid(f"{name} does not say in which zone it is.", hint="Describe it: zone: example.org")
    # What is changed by hand is asked for only, and whose zone it is can be found out then.
    place = str(zone or name.partition(".")[2] or name)
    record = record_of(name=name, type=str(described["type"]), zone=place, values=values, ttl=int(described["ttl"]))
    options = {key: described[key] for key in _OPTIONS if key in described}
    if own:
        options.pop("zone_id", None)
        options.update({key: own[key] for key in ("zone_id",) if key in own})
    words = {
        "name": record.name[:-1],
        "type": record.type,
        "zone": record.zone[:-1],
        "ttl": str(record.wanted.ttl),
        "region": region,
        "value": record.wanted.values[0].removesuffix("."),
        "values": ",".join(value.removesuffix(".") for value in record.wanted.values),
    }
    return {
        "name": words["name"],
        "type": record.type,
        "zone": words["zone"],
        "ttl": record.wanted.ttl,
        "values": [value.removesuffix(".") for value in record.wanted.values],
        "previous": list(previous),
        "region": region,
        "provider": provider,
        "by": "server" if provider in (ROUTE53, RFC2136) else provider,
        "options": options,
        "command": _argv(described.get("command"), words),
        "try_command": _argv(described.get("try_command"), words),
        "nameservers": _nameservers(described),
        "resolvers": list(described.get("resolvers") or ()),
        "wait": _seconds(described["wait"]) if "wait" in described else None,
        "only_try": drill and not own,
        "drill": drill,
    }


def ttl_doubts(name: str, *, described: int, found: int | None, objective: str | None) -> list[str]:
    """What is wrong with the time for which answers are remembered. *found* is what the zone says today."""
    doubts = []
    if found is not None and found > described:
        doubts.append(
            f"{name} is remembered for {found} s today, and the description says {described} s: after a move clients "
            f"go to the old place for up to {found} s. Lower it now with playbooks/dns.yml and the region of today"
        )
    longest = max(described, found or 0)
    if objective is not None and longest > parse_duration(objective).total_seconds():
        doubts.append(
            f"{name} is remembered for {longest} s, longer than the service may be away "
            f"({describe_duration(parse_duration(objective))}): some clients will look for it where it was"
        )
    return doubts


def seconds_to_wait(change: Json, found_ttl: int | None) -> int:
    """How long the proof may take: as described, else until resolvers have forgotten what they remember."""
    if change["wait"] is not None:
        return int(change["wait"])
    return max(int(change["ttl"]), found_ttl or 0) + int(change["ttl"]) + _MARGIN


def _nameservers(described: Json) -> list[str]:
    """Those described. A server that takes the updates is asked as well: it may be known to nobody else."""
    given = [str(one) for one in described.get("nameservers") or ()]
    server = described.get("server")
    return [*given, str(server)] if given and server and server not in given else given


def _argv(command: str | None, words: t.Mapping[str, str]) -> list[str]:
    """The words are filled in after it was split: a value never becomes two arguments."""
    try:
        parts = shlex.split(command or "")
    except ValueError as error:
        raise RequestInvalid(f"The command can't be read: {error}.", hint="Mend its quotes.") from error
    for word, value in words.items():
        parts = [part.replace(f"{{{word}}}", value) for part in parts]
    return parts


def _seconds(text: t.Any) -> int:
    return int(parse_duration(str(text)).total_seconds())
