# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published schema: current, valid, explained everywhere, closed everywhere; the reference page in step with it."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import typing as t

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.kinds import KINDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schema import (
    DESCRIPTION_SCHEMA,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import is_name
from tests.unit.description.samples import description

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/description.md"


def schemas(schema: t.Any, path: str = "") -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    """Every schema inside *schema*, with a path."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for group in ("properties", "$defs"):
        for key, inner in schema.get(group, {}).items():
            yield from schemas(inner, f"{path}/{key}")
    for key in ("items", "additionalProperties", "then", "else"):
        yield from schemas(schema.get(key), f"{path}/{key}")
    for index, inner in enumerate(schema.get("allOf", [])):
        yield from schemas(inner, f"{path}/allOf{index}")


def test_what_is_generated_from_the_schema_is_current() -> None:
    tool = [sys.executable, str(ROOT / "tools/export_schemas.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_schema_is_one() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(DESCRIPTION_SCHEMA)


def test_every_property_is_explained() -> None:
    silent = [
        f"{path}/{key}"
        for path, schema in schemas(DESCRIPTION_SCHEMA)
        for key, inner in schema.get("properties", {}).items()
        # A condition names properties again, and a reference is explained where it leads.
        if not inner.get("description") and "$ref" not in inner and not re.search(r"allOf\d+/then$", path)
    ]
    assert not silent


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DESCRIPTION_SCHEMA)
    for reference in set(re.findall(r'"#/([^"]+)"', text)):
        here: t.Any = DESCRIPTION_SCHEMA
        for step in reference.split("/"):
            here = here[step]
        assert here.get("description"), reference


def test_every_mapping_is_closed() -> None:
    """Where a schema lists properties, it refuses others; discriminators hand over to a schema that does."""
    discriminators = {"/repository"}
    for path, schema in schemas(DESCRIPTION_SCHEMA):
        if schema.get("type") == "object" and "properties" in schema and path not in discriminators:
            assert schema.get("additionalProperties") is False, path


def test_a_schema_without_format_checks_takes_and_refuses_the_same_shapes() -> None:
    """What an editor says with the published file alone is what Lifeboat says."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(DESCRIPTION_SCHEMA)
    assert validator.is_valid(description())
    for path, value in {"rpo": "15", "rto": "1 hour"}.items():
        wrong = description()
        wrong["lifeboat_services"][0]["objectives"][path] = value
        assert not validator.is_valid(wrong)


def test_the_patterns_are_those_of_the_code() -> None:
    names = ["a", "a.b-c_d9", "A", "-a", "a" * 63, "a" * 64, "", "a/b"]
    pattern = DESCRIPTION_SCHEMA["$defs"]["service"]["properties"]["name"]["pattern"]
    assert [bool(re.search(pattern, name)) for name in names] == [is_name(name) for name in names]


# --- docs/description.md ------------------------------------------------------------------------------------------


def blocks() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_example_of_the_page_loads_without_a_doubt() -> None:
    whole = [block for block in blocks() if "lifeboat_services:" in block and "lifeboat_repositories:" in block]
    assert whole
    for block in whole:
        assert load_description(yaml.safe_load(block)).warnings == ()


@pytest.mark.parametrize("block", blocks())
def test_every_excerpt_of_the_page_fits_into_a_description(block: str) -> None:
    """An excerpt is put where it belongs: at the top, into the settings, a service or a source of its engine."""
    excerpt = yaml.safe_load(block)
    data = description()
    if "lifeboat_repositories" in excerpt:
        data = excerpt
    elif "lifeboat_settings" in excerpt:
        data["lifeboat_settings"] = excerpt["lifeboat_settings"]
    elif "sources" in excerpt:
        data["lifeboat_services"] = [{"name": "excerpt", **excerpt}]
    elif "engine" in excerpt:
        sources = [source for service in data["lifeboat_services"] for source in service["sources"]]
        next(source for source in sources if source["engine"] == excerpt["engine"]).update(excerpt)
    else:
        data["lifeboat_services"][0].update(excerpt)
    load_description(data)


def test_the_page_names_every_key() -> None:
    text = PAGE.read_text(encoding="utf-8")
    missing = {
        key
        for path, schema in schemas(DESCRIPTION_SCHEMA)
        for key in schema.get("properties", {})
        if f"`{key}`" not in text and f"{key}:" not in text
    }
    assert not missing


def test_the_page_names_every_kind() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert not [kind for kinds in KINDS.values() for kind in kinds if f"`{kind}`" not in text]
