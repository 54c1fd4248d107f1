# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building blocks of the JSON Schema: each makes one schema with its description."""

from __future__ import annotations

import typing as t

from .duration import DURATION_PATTERN

Schema = dict[str, t.Any]

# Formats that schema_problems.py checks with an explanation in words.
DURATION_FORMAT = "lifeboat-duration"
CRON_FORMAT = "lifeboat-cron"
TIMEZONE_FORMAT = "lifeboat-timezone"
NAME_FORMAT = "lifeboat-name"
RECIPIENT_FORMAT = "lifeboat-age-recipient"
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"


def text(description: str, *, choices: t.Sequence[str] = (), default: str | None = None) -> Schema:
    """A string that is not empty, or one of *choices*."""
    schema: Schema = {"description": description, "type": "string"}
    if choices:
        schema["enum"] = list(choices)
    else:
        schema["minLength"] = 1
    if default is not None:
        schema["default"] = default
    return schema


def number(description: str, *, lowest: int = 0, highest: int | None = None, default: int | None = None) -> Schema:
    """A whole number within bounds."""
    schema: Schema = {"description": description, "type": "integer", "minimum": lowest}
    if highest is not None:
        schema["maximum"] = highest
    if default is not None:
        schema["default"] = default
    return schema


def switch(description: str, *, default: bool | None = None) -> Schema:
    """A boolean."""
    schema: Schema = {"description": description, "type": "boolean"}
    return schema if default is None else {**schema, "default": default}


def always(description: str) -> Schema:
    """A boolean that can only be set."""
    return {"description": description, "type": "boolean", "const": True}


def name(description: str) -> Schema:
    """A name that becomes a folder, a key and a label."""
    return {"description": description, "type": "string", "pattern": NAME_PATTERN, "format": NAME_FORMAT}


def duration(description: str) -> Schema:
    """A length of time such as 15m."""
    return {
        "description": f"{description} A whole number and one of s, m, h, d, w, y: 15m, 4h, 30d, 12w.",
        "type": "string",
        "pattern": DURATION_PATTERN,
        "format": DURATION_FORMAT,
    }


def cron(description: str) -> Schema:
    """A cron expression."""
    return {
        "description": f"{description} A cron expression of five fields: minute hour day-of-month month day-of-week.",
        "type": "string",
        "format": CRON_FORMAT,
    }


def timezone(description: str) -> Schema:
    """An IANA time zone."""
    return {"description": description, "type": "string", "format": TIMEZONE_FORMAT}


def listing(items: Schema, description: str, *, at_least: int = 0, unique: bool = False) -> Schema:
    """A list of *items*."""
    schema: Schema = {"description": description, "type": "array", "items": items}
    if at_least:
        schema["minItems"] = at_least
    if unique:
        schema["uniqueItems"] = True
    return schema


def texts(description: str, *, at_least: int = 0) -> Schema:
    """A list of strings that are not empty."""
    return listing({"type": "string", "minLength": 1}, description, at_least=at_least)


def text_or_texts(description: str) -> Schema:
    """A string or a list of strings, none of them empty."""
    return {
        "description": description,
        "type": ["string", "array"],
        "items": {"type": "string", "minLength": 1},
        "minLength": 1,
        "minItems": 1,
    }


def seconds(description: str, *, highest: int, default: int = 10) -> Schema:
    """A number of seconds above 0."""
    return {
        "description": f"{description} In seconds.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": highest,
        "default": default,
    }


def record(
    properties: t.Mapping[str, Schema],
    description: str,
    *,
    required: t.Sequence[str] = (),
    one_of: t.Sequence[str] = (),
    at_least: int = 0,
) -> Schema:
    """A mapping with these properties and no others; *one_of* lists those of which exactly one must be there."""
    schema: Schema = {
        "description": description,
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
    }
    if required:
        schema["required"] = list(required)
    if one_of:
        schema["oneOf"] = [{"required": [key]} for key in one_of]
    if at_least:
        schema["minProperties"] = at_least
    return schema


def free(description: str) -> Schema:
    """A mapping in the words of a database (a filter, a query), passed on as it is."""
    return {"description": description, "type": "object"}


def named(values: Schema, description: str) -> Schema:
    """A mapping from names to *values*; the names themselves are checked with an explanation by meaning_problems.py."""
    return {"description": description, "type": "object", "additionalProperties": values}


def secret(key: str, description: str) -> dict[str, Schema]:
    """A secret in its four forms, of which one may be given; by value is possible and earns a warning."""
    return {
        key: text(
            f"{description} By value: it then stands in the inventory and in results; prefer one of the next three."
        ),
        f"{key}_file": text(f"{description} The path of a file on the host that holds it; keep the file at mode 0600."),
        f"{key}_env": text(f"{description} The name of an environment variable that holds it."),
        f"{key}_command": text(f"{description} A command on the host that prints it."),
    }
