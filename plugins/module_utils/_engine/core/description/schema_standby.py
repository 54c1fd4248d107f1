# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of standbys that Lifeboat makes: where their data lies, how they log in, whom they follow."""

from __future__ import annotations

from .schema_parts import Schema, name, number, record, secret, switch, text


def standby_member(service_control: Schema) -> dict[str, Schema]:
    """What a member of a replica set of MongoDB has: it is known by its address there."""
    return {
        "member": text("Its address in the replica set, HOST:PORT; what it says of itself without it."),
        "rights": record(
            {
                "priority": number(
                    "0 never becomes primary by itself; the highest one does.", lowest=0, highest=1000, default=0
                ),
                "votes": number("0 or 1.", lowest=0, highest=1, default=1),
                "hidden": switch("Applications don't read from it.", default=False),
            },
            "What it may do in the set. With it, the role standby has the member there; without, it is yours.",
        ),
        "service_control": {
            **service_control,
            "description": "How it is stopped for good where it is fenced; as the source's without it.",
        },
    }


def standby_server(service_control: Schema) -> dict[str, Schema]:
    """What a standby of PostgreSQL has beside those of other engines."""
    return {
        "data_directory": text("Its data folder. With it, the role standby makes the standby; without, it is yours."),
        "service_control": service_control,
        "follows": name("The standby that it follows instead of the source itself."),
        "seed": text(
            "Where its first copy comes from.",
            choices=("primary", "repository"),
            default="primary",
        ),
        "slot": text("Its replication slot; its name, with underscores, without."),
        "replication": record(
            {
                "user": text("The role; it is made by the role standby."),
                **secret("password", "Its password."),
                "passfile": text("A password file that the server itself reads."),
                "sslmode": text(
                    "How TLS is used.", choices=("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
                ),
                "sslrootcert": text("A file with certificates of authorities to trust."),
            },
            "How it logs in at the server that it follows; as the source's connection without it.",
        ),
    }
