# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what is generated from the engine's JSON Schemas, or checks that it is up to date:

docs/schema/*.json, the schemas themselves, and in docs/description.md the tables of keys (behind its last mark).

    python tools/export_schemas.py            write
    python tools/export_schemas.py --check    exit 1 and name the files that say something else
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import typing as t

from lifeboat.catalog.manifest_schema import MANIFEST_SCHEMA
from lifeboat.catalog.pin_schema import PIN_SCHEMA
from lifeboat.catalog.removal_schema import REMOVAL_SCHEMA
from lifeboat.catalog.verification_schema import VERIFICATION_SCHEMA
from lifeboat.core.description.kinds import KINDS
from lifeboat.core.description.schema import DESCRIPTION_SCHEMA
from lifeboat.core.description.schema_engines import OPTIONS
from lifeboat.core.description.schema_parts import (
    CRON_FORMAT,
    DURATION_FORMAT,
    NAME_FORMAT,
    RECIPIENT_FORMAT,
    TIMEZONE_FORMAT,
)
from lifeboat.operations.status_schema import STATUS_SCHEMA
from lifeboat.retention.plan_schema import PLAN_SCHEMA
from lifeboat.streams.record_schema import FLOOR_SCHEMA, INDEX_SCHEMA, RECORD_SCHEMA

ROOT: t.Final = pathlib.Path(__file__).resolve().parents[1]
SCHEMAS: t.Final[t.Mapping[str, t.Mapping[str, t.Any]]] = {
    "docs/schema/description.schema.json": DESCRIPTION_SCHEMA,
    "docs/schema/manifest-1.schema.json": MANIFEST_SCHEMA,
    "docs/schema/pin-1.schema.json": PIN_SCHEMA,
    "docs/schema/removal-1.schema.json": REMOVAL_SCHEMA,
    "docs/schema/stream-floor-1.schema.json": FLOOR_SCHEMA,
    "docs/schema/retention-plan-1.schema.json": PLAN_SCHEMA,
    "docs/schema/status-1.schema.json": STATUS_SCHEMA,
    "docs/schema/stream-index-1.schema.json": INDEX_SCHEMA,
    "docs/schema/stream-record-1.schema.json": RECORD_SCHEMA,
    "docs/schema/verification-1.schema.json": VERIFICATION_SCHEMA,
}
PAGE: t.Final = "docs/description.md"
MARK: t.Final = "<!-- Everything below is written by tools/export_schemas.py. -->\n"

_FORMATS = {
    DURATION_FORMAT: "length of time",
    CRON_FORMAT: "cron expression",
    TIMEZONE_FORMAT: "time zone",
    NAME_FORMAT: "name",
    RECIPIENT_FORMAT: "public key",
}
_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
    "array": "list",
    "": "name, or mapping with `name` and `keep`",
}
_DEFINITIONS = DESCRIPTION_SCHEMA["$defs"]
# Where a reference leads to, on the page.
_SECTIONS = {
    "settings": "lifeboat_settings",
    "repository": "lifeboat_repositories",
    "service": "lifeboat_services",
    "source": "sources",
    "compression": "compression",
    "encryption": "encryption",
    "keep": "keep",
    "objectives": "objectives",
    "question": "questions",
}


def tables() -> str:
    """Every key of the description, as Markdown tables."""
    parts = ["## Every key\n"]
    parts += _tables("lifeboat_settings", _DEFINITIONS["settings"])
    for kind in ("file", "s3", "git"):
        parts += _tables(f"lifeboat_repositories, type: {kind}", _DEFINITIONS[f"repository_{kind}"])
    for name in ("compression", "encryption", "keep", "objectives"):
        parts += _tables(name, _DEFINITIONS[name])
    parts += _tables("lifeboat_services", _DEFINITIONS["service"])
    parts += _tables("sources", _DEFINITIONS["source"])
    for engine in KINDS:
        parts += _tables(f"connection, engine: {engine}", _DEFINITIONS[f"connection_{engine}"])
    # But for the kinds, backups and spares are the same for all engines; a standby of PostgreSQL has what others have.
    parts += _tables("backups", _DEFINITIONS["backup_mongodb"], leave_out=("kind",))
    parts += _tables("standbys", _DEFINITIONS["standby_postgresql"])
    parts += _tables("spares", _DEFINITIONS["spare_mongodb"])
    for engine, kinds in OPTIONS.items():
        for kind, options in kinds.items():
            if options:
                description = f"For backups of the kind `{kind}`."
                parts += _tables(f"options, {engine}: {kind}", {"properties": options, "description": description})
    parts += _tables("questions", _DEFINITIONS["question"])
    return "\n".join(parts)


def _tables(title: str, schema: t.Mapping[str, t.Any], *, leave_out: t.Collection[str] = ()) -> list[str]:
    """The table of one mapping, and those of the mappings in it."""
    lines = [f"### {title}\n", schema.get("description", ""), ""]
    branches = [branch["required"][0] for branch in schema.get("oneOf", [])]
    if branches:
        lines += [f"Exactly one of {', '.join(f'`{key}`' for key in branches)}.", ""]
    lines += ["| key | value | meaning |", "| --- | --- | --- |"]
    inner: list[str] = []
    for key, entry in schema["properties"].items():
        if key in leave_out:
            continue
        needed = "; **needed**" if key in schema.get("required", ()) else ""
        default = f"; default `{json.dumps(entry['default']).strip(chr(34))}`" if "default" in entry else ""
        lines.append(f"| `{key}` | {_value(entry)}{default}{needed} | {_meaning(entry)} |")
        nested = entry.get("items", entry)
        if nested.get("type") == "object" and nested.get("properties"):
            inner += _tables(f"{title}: {key}", nested)
    return [*lines, "", *inner]


def _value(entry: t.Mapping[str, t.Any]) -> str:
    if "$ref" in entry:
        return _reference(entry["$ref"])
    if "enum" in entry:
        return ", ".join(f"`{choice}`" for choice in entry["enum"])
    if "format" in entry:
        return _FORMATS[entry["format"]]
    kind = entry.get("type", "")
    if kind == "array":
        return f"list of: {_value(entry['items'])}"
    if kind == "integer" and "maximum" in entry:
        return f"{entry['minimum']} to {entry['maximum']}"
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(_TYPES[name] for name in kinds)


def _reference(reference: str) -> str:
    _root, _defs, name, *deeper = reference.split("/")
    if deeper:
        return _value(_DEFINITIONS[name][deeper[0]][deeper[1]])
    return f"see {_SECTIONS.get(name, name.replace('_mongodb', ''))}"


def _meaning(entry: t.Mapping[str, t.Any]) -> str:
    if "$ref" in entry:
        found: t.Any = DESCRIPTION_SCHEMA
        for step in entry["$ref"].split("/")[1:]:
            found = found[step]
        return str(found["description"])
    # What each of these values may be is told above the tables.
    meaning = str(entry["description"])
    for told in (" A whole number and one of s, m, h, d, w, y", " A cron expression of five fields"):
        meaning = meaning.partition(told)[0]
    return meaning


def wanted() -> dict[str, str]:
    """What each generated file should hold, by its path below the root."""
    files = {path: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for path, schema in SCHEMAS.items()}
    written, mark, _generated = (ROOT / PAGE).read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise SystemExit(f"{PAGE} lacks the line: {MARK}")
    files[PAGE] = written + MARK + "\n" + tables().rstrip() + "\n"
    return files


def outdated() -> list[str]:
    """The paths of files that are missing or hold something else."""
    return [
        path
        for path, content in wanted().items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding="utf-8") != content
    ]


def main(arguments: t.Sequence[str] | None = None) -> int:
    """The exit status: 1 when a file is outdated and --check was given."""
    parser = argparse.ArgumentParser(description="Write what is generated from the JSON Schemas.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is outdated")
    chosen = parser.parse_args(arguments)
    paths = outdated()
    if chosen.check:
        for path in paths:
            print(f"{path} is outdated; run: python tools/export_schemas.py", file=sys.stderr)
        return 1 if paths else 0
    content = wanted()
    for path in paths:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(content[path], encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
