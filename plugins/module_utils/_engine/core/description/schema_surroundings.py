# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of what surrounds the data of a service: applications, regions, alarms, exercises, people."""

from __future__ import annotations

from .schema_announcements import ANNOUNCEMENT
from .schema_kubernetes import KUBERNETES
from .schema_notifications import SEVERITIES
from .schema_parts import Schema, always, cron, duration, listing, name, number, record, text, texts

APPLICATION: Schema = record(
    {
        "name": name("Unique within the service."),
        "description": text("What it is, for people."),
        "region": name("The region (from regions) that it runs in."),
        "unit": text("The systemd unit on hosts."),
        "stop_command": text("A command that stops it on hosts, where there is no unit; without a shell."),
        "start_command": text("The command that starts it again."),
        "role": text("A role of yours (COLLECTION.ROLE, or one of roles_path) that points it at what has moved."),
        "port": number("The port that it listens on.", lowest=1, highest=65535),
        "health": record(
            {
                "url": text("The whole address."),
                "path": text("The path on the application's port of each host."),
                "command": text("A command on each host that ends with status 0 when it works; without a shell."),
                "status": number("The status that means well.", lowest=100, highest=599, default=200),
                "timeout": duration("How long to wait for the answer."),
            },
            "How to ask whether it works.",
            one_of=("url", "path", "command"),
        ),
        "wiring": listing(
            record(
                {
                    "file": text("The file on the application's hosts."),
                    "match": text("A regular expression for the line; the last one that it finds is replaced."),
                    "line": text("The line, with {host} and {port} for where the database is."),
                    "source": name("The source that is meant; needed where the service has several that can move."),
                },
                "One line of one file.",
                required=("file", "match", "line"),
            ),
            "Where it is written which server the application uses; changed when the source has moved.",
        ),
        "code": record(
            {
                "path": text("The folder on hosts."),
                "git": text("The repository that it comes from."),
                "source": name("The source (engine files) that backs it up."),
            },
            "Where its code is.",
            required=("path",),
        ),
        "kubernetes": KUBERNETES,
    },
    "Something that uses the data and must be stopped, started and asked during a recovery.",
    required=("name",),
)

REGION: Schema = record(
    {
        "name": name("Unique within the service."),
        "role": text("Where the service runs, and where it goes.", choices=("primary", "standby")),
        "description": text("A note for people."),
        "kubernetes_context": text("The context of the region's cluster."),
        "hosts": texts("Hosts or groups of the inventory."),
    },
    "A place that can be lost as a whole.",
    required=("name", "role"),
)

_ALERT_CONDITIONS: dict[str, Schema] = {
    "backup_failed": always("Any backup failed."),
    "verification_failed": always("A verification failed."),
    "no_success_within": duration("No backup succeeded for so long."),
    "newest_older_than": duration("The newest good backup is older."),
    "size_changed_by_percent": number(
        "The size changed by more than so many percent against the backup of the day before."
    ),
    "replication_lag_over": duration("A standby is further behind."),
}

ALERT: Schema = record(
    {
        "name": name("Unique within the service."),
        "description": text("What it means and what to do, for people."),
        "severity": text("How bad it is.", choices=SEVERITIES),
        "after": duration("How long the condition must hold; at once without it."),
        "jobs": texts("Which jobs: full ids or their beginnings (main, main/full); all without it."),
        "notify": listing(
            name("A channel."),
            "By which channels of notifications it is told: webhooks, mail, or names of channels; by all without it.",
            at_least=1,
            unique=True,
        ),
        **_ALERT_CONDITIONS,
    },
    "A condition that somebody must know of.",
    required=("name", "severity"),
    one_of=tuple(_ALERT_CONDITIONS),
)

EXERCISE: Schema = record(
    {
        "name": name("Unique within the service."),
        "description": text("What is done, for people."),
        "kind": text("What it is.", choices=("restore_test", "disaster_recovery_test", "drill", "review")),
        "schedule": cron("When it is due."),
        "timezone": {"$ref": "#/$defs/settings/properties/timezone"},
        "sources": listing(name("A source."), "Which sources take part; all without it."),
        "subjects": texts("What a review looks at."),
        "checks": listing(
            record(
                {
                    "name": name("What it is called in the evidence."),
                    "source": name("The source that a question is asked of."),
                    "standby_reachable": name("The standby of that name answers."),
                    "deployment_dry_run": name(
                        "The cluster accepts the application of that name in a server-side dry run."
                    ),
                    "question": {"$ref": "#/$defs/question"},
                },
                "One thing that must be true.",
                required=("name",),
                one_of=("standby_reachable", "deployment_dry_run", "question"),
            ),
            "It passes when all of these hold.",
        ),
    },
    "Something that is practised or looked at regularly.",
    required=("name", "kind", "schedule"),
)

COMMUNICATION: Schema = record(
    {
        "incident_commander": record(
            {"role": text("Who by role."), "name": text("Who by name."), "contact": text("How to reach them.")},
            "Who leads during an incident.",
            required=("role",),
        ),
        "team": record(
            {
                "channel": text("Where the team is told and talks."),
                "members": texts("Who is told."),
                "within": duration("How soon."),
            },
            "How the team is notified.",
            required=("channel",),
        ),
        "update_interval": duration("How often the state is told while an incident lasts."),
        "escalation": listing(
            record(
                {"after": duration("How long into the incident."), "to": text("Who is told then.")},
                "One step.",
                required=("after", "to"),
            ),
            "Who is told when it lasts longer.",
        ),
        "audiences": listing(
            record(
                {
                    "name": text("Who: customers, status page, media, regulator."),
                    "channel": text("How they are told."),
                    "by": text("Who tells them."),
                    "within": duration("How soon."),
                    "when": text("In which case."),
                },
                "People outside the team.",
                required=("name", "channel"),
            ),
            "Who else is told.",
        ),
        "announcements": listing(ANNOUNCEMENT, "What is told by itself while the service moves, and to whom."),
    },
    "Who is told what during an incident.",
)

REPORT: Schema = record(
    {
        "name": name("Unique within the service."),
        "description": text("A note for people."),
        "schedule": cron("When it is sent; on request only without it."),
        "includes": listing(
            text(
                "A part.",
                choices=(
                    "newest_success",
                    "size",
                    "age",
                    "wal_position",
                    "replication_lag",
                    "verifications",
                    "objectives",
                ),
            ),
            "What it tells, for each source and kind.",
            at_least=1,
            unique=True,
        ),
        "verifications": number("How many of the last verifications it lists.", lowest=1, default=5),
    },
    "A summary of the service's state.",
    required=("name", "includes"),
)
