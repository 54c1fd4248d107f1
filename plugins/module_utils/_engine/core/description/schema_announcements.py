# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of what people are told while a service moves."""

from __future__ import annotations

from .schema_notifications import SEVERITIES
from .schema_parts import Schema, always, listing, name, record, text

#: What happens to a service that is moved, in its order.
PLANNED, BEGAN, DONE, FAILED = "planned", "began", "done", "failed"
ANNOUNCED_EVENTS: dict[str, str] = {
    PLANNED: "It will be moved.",
    BEGAN: "It is being moved.",
    DONE: "It has been moved, and works.",
    FAILED: "Moving it has stopped, and somebody is at work.",
}
#: What templates may use.
WORDS: dict[str, str] = {
    "service": "the service",
    "event": "planned, began, done or failed",
    "audience": "who is told",
    "region": "where it goes",
    "left": "the region that it leaves",
    "run": "the failover, such as run-0001",
    "operator": "who does it",
    "at": "when this is told, RFC 3339 in UTC",
    "reason": "why it stopped; empty otherwise",
    "steps": "the sentences of the plan, as a list",
    "plan": "the plan's SHA-256",
    "message": "what degraded_mode says to users; empty without it",
    "alternatives": "what it says that they can do instead, as a list",
    "drill": "whether this is a drill",
}
_JINJA = (
    f"A Jinja2 template with {', '.join(WORDS)}. In an inventory write it as !unsafe, so that Ansible leaves it alone."
)

ANNOUNCEMENT: Schema = record(
    {
        "audience": name("Who: operators, stakeholders, users, status-page. Unique within the service."),
        "channels": listing(
            name("A channel."),
            "By which channels of notifications: names of channels, mail, or webhooks (its endpoint notify_users).",
            at_least=1,
            unique=True,
        ),
        "events": listing(
            text("What happens.", choices=tuple(ANNOUNCED_EVENTS)),
            "Of what; of all without it.",
            at_least=1,
            unique=True,
        ),
        "in_drills": always("Told in drills, too, with Drill in front of the title; nobody else hears of a drill."),
        "severity": text("How it is marked; high for failed and info for the rest without it.", choices=SEVERITIES),
        "title": text(f"One line for all events. {_JINJA}"),
        "texts": record(
            {event: text(f"{meaning} {_JINJA}") for event, meaning in ANNOUNCED_EVENTS.items()},
            "What is told; a text of Lifeboat's own without it.",
        ),
        "files": record(
            {event: text(f"{meaning} The path of a Jinja2 template on the controller.") for event, meaning in
             ANNOUNCED_EVENTS.items()},
            "The same, from files: relative to the inventory's folder, else to that of the playbook.",
        ),
    },
    "People who are told the same by the same channels, each event once in a failover.",
    required=("audience", "channels"),
)  # fmt: skip
