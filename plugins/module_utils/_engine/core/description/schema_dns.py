# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of names that are moved in a failover."""

from __future__ import annotations

from .schema_parts import Schema, duration, number, record, text, texts
from .schema_repositories import CREDENTIALS

PROVIDERS = ("route53", "rfc2136", "command", "manual")

_ZONE_ID = text("For route53: the hosted zone's id; found by the zone's name without it.")

DNS_RECORD: Schema = record(
    {
        "name": text("The record's full name."),
        "type": text("Its type.", choices=("A", "AAAA", "CNAME")),
        "ttl": number("Seconds for which answers are remembered.", lowest=1, highest=86400),
        "provider": text("Who serves it; manual waits until somebody has changed it.", choices=PROVIDERS),
        "zone": text("The zone."),
        "values": {
            "description": "What it points to when the service runs in that region.",
            "type": "object",
            "additionalProperties": texts("Addresses or names.", at_least=1),
        },
        "server": text("For rfc2136: the primary server of the zone, ADDRESS or ADDRESS:PORT."),
        "key_file": text("For rfc2136: a file on the controller with the TSIG key, as tsig-keygen writes it."),
        "zone_id": _ZONE_ID,
        "endpoint_url": text("For route53: an address that is not Amazon's."),
        "credentials": {**CREDENTIALS, "description": "For route53: where the keys are, on the controller; boto3's own "
                        "way without it."},
        "command": text(
            "For command: what moves it, run on the controller without a shell, with {name}, {type}, {zone}, {ttl}, "
            "{region}, {value} (the first one) and {values} (with commas)."
        ),
        "try_command": text(
            "For command: what ends with status 0 when the command could do its work; it must change nothing."
        ),
        "nameservers": texts(
            "The servers that know the zone, for the proof: ADDRESS, NAME or ADDRESS:PORT; without it those "
            "of the zone's NS records.",
            at_least=1,
        ),
        "resolvers": texts("Servers that clients ask, for the proof. They remember old answers.", at_least=1),
        "wait": duration("How long the proof may take; twice the TTL and a minute without it."),
        "drill": record(
            {"name": text("The record's full name."), "zone": text("Its zone."), "zone_id": _ZONE_ID},
            "What is moved instead in drills; without it a drill only tries the right to move.",
            required=("name", "zone"),
        ),
    },
    "A name that is switched in a failover.",
    required=("name", "type", "ttl"),
)  # fmt: skip
