# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of what a failover needs: how a primary is fenced, where data go that have no standby, who watches."""

from __future__ import annotations

from .schema_parts import Schema, always, duration, free, listing, name, number, record, switch, text

SERVICE_CONTROL: Schema = record(
    {
        "unit": text("A unit of systemd."),
        "stop_command": text("A command that stops the server and returns when it has ended; without a shell."),
        "start_command": text("A command that starts the server; without a shell."),
    },
    "How the server is stopped and started where a restore replaces its data: a unit, or both commands.",
    at_least=1,
)

FENCING: Schema = record(
    {
        "data_directory": text("The data folder of the primary on its host: it is stopped there, and stays read-only."),
        "command": text(
            "A command on the controller that cuts the primary off, and ends with status 0 only when no client can "
            "write to it any more; without a shell."
        ),
        "bin_directory": text("The folder of the server's programs, where it is not the distribution's."),
        "methods": listing(
            record(
                {
                    "host": always("On its host: by data_directory, or by service_control."),
                    "command": text("As command above."),
                    "name": name("What the command is called in the evidence."),
                    "witness": record(
                        {
                            "repository": name(
                                "Where the lease is: a repository of a backup of the source, best in a third place."
                            ),
                            "lease": duration(
                                "How long the primary runs without renewing it, and so how long a failover waits; 10s "
                                "or more, 30s without it."
                            ),
                        },
                        "By a lease that the primary's host renews there, and without which it stops its server.",
                        required=("repository",),
                    ),
                },
                "One way.",
                one_of=("host", "command", "witness"),
            ),
            "The ways in the order in which they are tried, the first that is proved is the last; without it, on its "
            "host and then by command.",
            at_least=1,
        ),
    },
    "How a primary is kept from writing before another one is made; the ways are tried in this order.",
    at_least=1,
)

FAILOVER: Schema = record(
    {
        "watch": record(
            {
                "checks": number("How often it is asked.", lowest=1, highest=1000, default=3),
                "every": duration("The time between two checks; 10s without it."),
            },
            "How the service is watched after it has moved.",
            at_least=1,
        ),
    },
    "How the service moves to another region.",
    at_least=1,
)


_AHEAD: Schema = {
    "ahead": switch("Bring them there beforehand, too: each time that the role standby runs."),
}


def spare(engine: str) -> Schema:
    """The schema of a place in another region that a backup is restored to."""
    return record(
        {
            "name": name("What it is called."),
            "region": name("The region (from regions) that it is in."),
            "connection": {"$ref": f"#/$defs/connection_{engine}"},
            "inventory_host": text("The host of the inventory that it is on, where the connection names none."),
            "service_control": SERVICE_CONTROL,
            "kind": text("The kind of backup that is restored; the only one that can be without it."),
            "point": text("Up to where.", choices=("backup", "latest"), default="backup"),
            "repositories": listing(name("A repository."), "Those that can be read from there; all in S3 without it."),
            "options": free("Options of the restore, which is in place unless in_place is false."),
            "description": text("A note for people."),
            **(_AHEAD if engine == "files" else {}),
        },
        "Where the newest verified backup is restored to when the source's own region is lost and no standby is there.",
        required=("name", "region", "connection"),
    )
