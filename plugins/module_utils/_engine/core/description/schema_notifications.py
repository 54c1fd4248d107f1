# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of how results and alerts are told: webhooks, mail, Apprise and dead-man pings."""

from __future__ import annotations

from .placeholders import PLACEHOLDERS
from .schema_parts import Schema, duration, free, listing, name, named, number, record, secret, switch, text, texts

SEVERITIES = ("critical", "high", "medium", "warning", "info")

#: What a channel can be told. The first four are told to every channel that does not choose.
EVENTS: dict[str, str] = {
    "failure": "A backup, a stream, a verification or the retention failed, or is not complete.",
    "overdue": "A job has no success by the time that its schedule asks for.",
    "alert": "An alert of the description, an objective that is missed, a repository that can't be read.",
    "recovery": "What was told before is well again.",
    "success": "A backup or a verification went well.",
}
DEFAULT_EVENTS = ("failure", "overdue", "alert", "recovery")

#: Events that can be sent to a webhook.
WEBHOOK_EVENTS: dict[str, str] = {
    "backup_status": "The result of each backup.",
    "backup_validation": "The result of each verification.",
    "alert_critical": "Alerts of severity critical.",
    "alert_high": "Alerts of severity high.",
    "alert_medium": "Alerts of severity medium or warning.",
    "alert_info": "Alerts of severity info.",
    "degraded_mode": "The service enters or leaves degraded mode.",
    "notify_users": "What users are told.",
    "database_emergency_optimization": "Asks the application to spare its database.",
    "cache_emergency_mode": "Asks the application to spare its cache.",
}
#: Those that people or plays send, by ``lifeboat notify --tell``.
EMERGENCY_EVENTS = ("degraded_mode", "notify_users", "database_emergency_optimization", "cache_emergency_mode")

PING_OF = ("backup", "verification", "retention")

_WAIT = {
    "timeout": duration("How long to wait for an answer; 10s without it."),
    "ca_file": text("The certificates to trust, where the system's are not enough."),
}
_WORDS = ", ".join(f"{{{word}}}" for word in PLACEHOLDERS)

_MAIL: dict[str, Schema] = {
    "to": texts("Addresses.", at_least=1),
    "from": text("The sender; lifeboat@ and the host's name without it."),
    "server": text("The mail server.", default="localhost"),
    "port": number("Its port.", lowest=1, highest=65535, default=25),
    "starttls": switch("Use STARTTLS, and refuse a server without it."),
    "tls": switch("Speak TLS from the first byte, as on port 465."),
    "username": text("The user at the mail server."),
    **secret("password", "The user's password at the mail server."),
    **_WAIT,
}
_ROUTING: dict[str, Schema] = {
    "events": listing(
        text("What.", choices=tuple(EVENTS)),
        f"What is told; {', '.join(DEFAULT_EVENTS)} without it.",
        at_least=1,
        unique=True,
    ),
    "severities": listing(
        text("How bad.", choices=SEVERITIES), "Of which severities; of all without it.", at_least=1, unique=True
    ),
    "jobs": texts("Of which jobs: full ids or their beginnings; of all without it.", at_least=1),
}

_CHANNEL: Schema = record(
    {
        "name": name("Unique within the service; not webhooks or mail."),
        **_ROUTING,
        "webhook": record(
            {
                **secret("url", "The address."),
                "method": text("How.", choices=("POST", "PUT"), default="POST"),
                "headers": named(text("Its value."), "Headers by name; secrets belong into url or token."),
                **secret("token", "A token sent as Authorization: Bearer."),
                "body": free(f"What is sent as JSON, with {_WORDS} in its texts; all that is known without it."),
                **_WAIT,
            },
            "An HTTP address that is told everything, with a document of your own form.",
        ),
        "mail": record(_MAIL, "Mail.", required=("to",)),
        "apprise": record(
            {**secret("url", "Addresses of Apprise, one a line.")},
            "One of the services that the Python library Apprise knows.",
        ),
        "ping": record(
            {
                **secret("url", "The address of the check."),
                "path": text("What is put behind it, such as /{slug}: the job's id with dashes for slashes."),
                "start": text("What is put behind that when a run begins, such as /start; nothing is sent without it."),
                "fail": text("What is put behind that when a run fails, such as /fail; nothing is sent without it."),
                "of": listing(
                    text("What.", choices=PING_OF), "What of the jobs; backup without it.", at_least=1, unique=True
                ),
                **_WAIT,
            },
            "A dead-man switch: called after each success, so that somebody else notices silence.",
        ),
    },
    "One more way to tell.",
    required=("name",),
    one_of=("webhook", "mail", "apprise", "ping"),
)

NOTIFICATIONS: Schema = record(
    {
        "webhooks": record(
            {
                "base_url": text("The address that every path is put behind."),
                **secret("token", "A token sent as Authorization: Bearer."),
                **_WAIT,
                "endpoints": record(
                    {event: text(f"{meaning} The path to send it to.") for event, meaning in WEBHOOK_EVENTS.items()},
                    "Which event goes to which path, as JSON by POST.",
                    at_least=1,
                ),
                "bodies": record(
                    {event: free(f"{meaning} What is sent.") for event, meaning in WEBHOOK_EVENTS.items()},
                    f"Documents of your own form for some events, with {_WORDS} in their texts.",
                ),
            },
            "HTTP addresses that are told, one for each event. The channel is called webhooks.",
            required=("base_url", "endpoints"),
        ),
        "mail": record({**_MAIL, **_ROUTING}, "Mail to the operators. The channel is called mail.", required=("to",)),
        "channels": listing(_CHANNEL, "More ways, each with a name."),
    },
    "How results and alerts are told.",
)
