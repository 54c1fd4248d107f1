# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema of the description of what to protect (published as ``docs/schema/description.schema.json``).

A Python constant, because data files are not shipped to targets. Unknown keys are refused everywhere.
"""

from __future__ import annotations

from .schema_approvals import APPROVALS
from .schema_degraded import DEGRADED_MODE
from .schema_dns import DNS_RECORD
from .schema_failover import FAILOVER
from .schema_notifications import NOTIFICATIONS
from .schema_parts import Schema, duration, listing, name, named, record, text, texts
from .schema_repositories import COMPRESSION, ENCRYPTION, KEEP, REPOSITORIES, REPOSITORY, SETTINGS
from .schema_sources import ENGINE_DEFINITIONS, QUESTION, SOURCE
from .schema_surroundings import (
    ALERT,
    APPLICATION,
    COMMUNICATION,
    EXERCISE,
    REGION,
    REPORT,
)

OBJECTIVES: Schema = record(
    {
        "rpo": duration("Recovery point objective: the longest time whose changes may be lost."),
        "rto": duration("Recovery time objective: how long it may take until the service works again."),
        "window": duration("How far back any moment must be recoverable; retention removes nothing that this needs."),
    },
    "What a recovery must achieve.",
    at_least=1,
)

CLASS: Schema = record(
    {
        "name": name("Unique within the service."),
        "title": text("What people call it."),
        "covers": texts("The data or functions in it.", at_least=1),
        "rpo": duration("The longest time whose changes may be lost."),
        "rto": duration("How long it may take until it works again."),
    },
    "Data or functions that share objectives of their own.",
    required=("name", "covers"),
)

SERVICE: Schema = record(
    {
        "name": name("Unique in the description."),
        "description": text("What it is, for people."),
        "objectives": {"$ref": "#/$defs/objectives"},
        "classes": listing(CLASS, "Classes of data or functions with objectives of their own."),
        "sources": listing({"$ref": "#/$defs/source"}, "The databases and files that it consists of."),
        "approvals": APPROVALS,
        "applications": listing(APPLICATION, "What uses the data."),
        "regions": listing(REGION, "Where it runs and where it can go."),
        "dns": listing(DNS_RECORD, "Names that point to it."),
        "alerts": listing(ALERT, "What somebody must know of."),
        "exercises": listing(EXERCISE, "What is practised and looked at regularly."),
        "reports": listing(REPORT, "Summaries of its state."),
        "communication": COMMUNICATION,
        "notifications": NOTIFICATIONS,
        "degraded_mode": DEGRADED_MODE,
        "failover": FAILOVER,
    },
    "A service: what people would miss.",
    required=("name", "sources"),
)

DESCRIPTION_SCHEMA: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Lifeboat description of what to protect",
    **record(
        {
            "lifeboat_repositories": named({"$ref": "#/$defs/repository"}, "Places for backups by name."),
            "lifeboat_services": listing({"$ref": "#/$defs/service"}, "What to protect."),
            "lifeboat_settings": {"$ref": "#/$defs/settings"},
        },
        "Read by the inventory, the roles, the command line and the documentation alike.",
        required=("lifeboat_repositories", "lifeboat_services"),
    ),
    "$defs": {
        "settings": SETTINGS,
        "repository": REPOSITORY,
        **{f"repository_{kind}": schema for kind, schema in REPOSITORIES.items()},
        "compression": COMPRESSION,
        "encryption": ENCRYPTION,
        "keep": KEEP,
        "objectives": OBJECTIVES,
        "question": QUESTION,
        "source": SOURCE,
        **ENGINE_DEFINITIONS,
        "service": SERVICE,
    },
}
