# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of degraded mode: what is switched when the service can't do everything, and when it may end."""

from __future__ import annotations

from .schema_notifications import EMERGENCY_EVENTS
from .schema_parts import Schema, duration, free, listing, name, number, record, text, texts

#: What PostgreSQL may be told for a role or a database: each a single value that new sessions begin with.
RELIEF_SETTINGS = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "work_mem",
    "temp_file_limit",
    "max_parallel_workers_per_gather",
    "default_transaction_read_only",
)
MEASURE_KINDS = ("application", "unit", "command", "webhook", "redis", "env_file", "postgresql", "pause_jobs")
CRITERION_KINDS = ("health", "application", "question", "load", "lag")

_SWITCHED = text("What it is to be.", choices=("stopped", "started"), default="stopped")

MEASURE: Schema = record(
    {
        "name": name("Unique within degraded mode."),
        "description": text("What it is for, for people."),
        "hosts": texts(
            "Hosts or groups of the inventory that it is done on; the one that has the description without it."
        ),
        "application": record(
            {"name": name("The application, from applications."), "state": _SWITCHED},
            "An application, by its unit or its commands.",
            required=("name",),
        ),
        "unit": record(
            {"name": text("The systemd unit."), "state": _SWITCHED}, "A unit of systemd.", required=("name",)
        ),
        "command": record(
            {
                "enter": texts(
                    "The command, word by word and without a shell; it must not mind being run again.", at_least=1
                ),
                "leave": texts("The command that undoes it.", at_least=1),
                "check": texts("A command that ends with status 0 while it is in force; changes nothing.", at_least=1),
            },
            "Whatever nothing else here can do.",
            required=("enter", "leave"),
        ),
        "webhook": record(
            {
                "event": text("The endpoint, of those of notifications: webhooks.", choices=EMERGENCY_EVENTS),
                "enter": free("What the body has besides, when it is entered."),
                "leave": free("What the body has besides, when it is left."),
            },
            "Somebody who switches by themselves when told.",
            required=("event",),
        ),
        "redis": record(
            {
                "source": name("The source (engine redis)."),
                "key": text("The key of a string, or of a hash with field."),
                "field": text("The field of the hash."),
                "value": text("What it is meanwhile."),
                "database": number("The database's number.", default=0),
            },
            "A feature flag in Redis.",
            required=("source", "key", "value"),
        ),
        "env_file": record(
            {
                "file": text("The file; it must be there."),
                "key": text("The name before the equals sign."),
                "value": text("What is behind it meanwhile."),
                "restart": name("The application that reads the file: restarted after each change."),
            },
            "A feature flag as a line of a file.",
            required=("file", "key", "value"),
        ),
        "postgresql": record(
            {
                "source": name("The source (engine postgresql)."),
                "role": text("For sessions of this role."),
                "database": text("For sessions in this database."),
                "settings": record(
                    {one: text(f"Its {one} meanwhile.") for one in RELIEF_SETTINGS}, "What they begin with.", at_least=1
                ),
            },
            "Relief for a database: new sessions of one role, or in one database, begin with these settings.",
            required=("source", "settings"),
        ),
        "pause_jobs": listing(
            text("A job or its beginning: main, main/logical."),
            "Lifeboat's own backups that are not made meanwhile, by the clock of the host; they are made again after "
            "the time until which the mode is meant to last, whatever becomes of it.",
            at_least=1,
        ),
    },
    "One thing that is switched when degraded mode is entered, and put back when it is left.",
    required=("name",),
    one_of=MEASURE_KINDS,
)
MEASURE["properties"]["postgresql"]["oneOf"] = [{"required": ["role"]}, {"required": ["database"]}]

CRITERION: Schema = record(
    {
        "name": name("Unique within exit."),
        "hosts": texts("Hosts or groups from which it is asked; the one that has the description without it."),
        "health": record(
            {
                "url": text("The whole address."),
                "status": number("The status that means well.", lowest=100, highest=599, default=200),
                "timeout": duration("How long to wait for the answer."),
            },
            "An address that answers well.",
            required=("url",),
        ),
        "application": name("An application, asked as its health says."),
        "question": record(
            {"source": name("Which one is asked."), "ask": {"$ref": "#/$defs/question"}},
            "A question to the data: in SQL, or a command of Redis.",
            required=("source", "ask"),
        ),
        "load": record(
            {"per_processor": {"description": "At most so much.", "type": "number", "exclusiveMinimum": 0}},
            "The load of the last five minutes, for each processor.",
            required=("per_processor",),
        ),
        "lag": record(
            {
                "standby": name("The standby."),
                "max_lag": duration("How old its newest commit may be while it lacks any; its own max_lag without it."),
            },
            "How far a standby of PostgreSQL is behind.",
            required=("standby",),
        ),
    },
    "One thing that must be so before degraded mode is left.",
    required=("name",),
    one_of=CRITERION_KINDS,
)

DEGRADED_MODE: Schema = record(
    {
        "essential": texts("What goes on.", at_least=1),
        "disabled": texts("What is switched off."),
        "message": text("What users are told."),
        "alternatives": texts("What users can do instead."),
        "max_duration": duration("How long it may last before somebody is alarmed; four hours without it."),
        "measures": listing(MEASURE, "What is switched, in this order; put back in the other one."),
        "exit": listing(CRITERION, "What must be so before it is left."),
    },
    "What the service does when it can't do everything.",
    required=("essential", "disabled"),
)
