# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is given: it loads, or it is refused by name. Nothing else ever happens."""

from __future__ import annotations

import copy
import typing as t

import pytest
from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schema import (
    DESCRIPTION_SCHEMA,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ConfigurationInvalid
from tests.support.fuzzing import many
from tests.unit.description.samples import description

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def _words(schema: t.Any) -> t.Iterator[str]:
    """Every key and every choice that the schema knows: random values made of them get far into the checks."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from (choice for choice in schema.get("enum", ()) if isinstance(choice, str))
        for value in schema.values():
            yield from _words(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _words(value)


WORDS = st.sampled_from(sorted(set(_words(DESCRIPTION_SCHEMA))))
TEXTS = WORDS | st.sampled_from(["main", "local", "0 2 * * *", "30d", "/b", "family", ""]) | st.text(max_size=8)
LIKELY = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | TEXTS, inner, max_size=5),
    max_leaves=25,
)


def loads_or_is_refused(value: t.Any) -> None:
    refused = None
    try:
        load_description(value)
    except ConfigurationInvalid as error:
        refused = error
    assert refused is None or (refused.message and isinstance(refused.details.get("problems", []), list))


@many(200, deadline=None)
@given(JSON)
def test_any_json_value(value: t.Any) -> None:
    loads_or_is_refused(value)


@many(200, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "lifeboat_repositories": LIKELY | st.dictionaries(TEXTS, LIKELY, max_size=3),
            "lifeboat_services": LIKELY | st.lists(LIKELY, max_size=3),
            "lifeboat_settings": LIKELY,
        },
    )
)
def test_any_value_made_of_the_schemas_words(value: t.Any) -> None:
    loads_or_is_refused(value)


def _places(value: t.Any) -> t.Iterator[tuple[t.Any, t.Any]]:
    """Every (holder, key) in *value*."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


@pytest.mark.thorough
@many(100, deadline=None)
@given(st.data())
def test_a_good_description_with_anything_anywhere(data: st.DataObject) -> None:
    value = copy.deepcopy(description())
    for _change in range(data.draw(st.integers(1, 3))):
        places = list(_places(value))
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        how = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if how == "remove":
            del holder[key]
        elif how == "replace" or isinstance(holder, list):
            holder[key] = data.draw(LIKELY)
        else:
            holder[data.draw(WORDS | TEXTS)] = data.draw(LIKELY)
    loads_or_is_refused(value)
