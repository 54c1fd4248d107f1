# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The witness among the ways of fencing: what could not be a proof, or could not be stopped, is found where it is."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ConfigurationInvalid
from tests.unit.description.samples import description

WITNESS: t.Final = {"witness": {"repository": "local", "lease": "30s"}}


def described(*methods: t.Any, engine: str = "postgresql", controlled: bool = True, **fencing: t.Any) -> t.Any:
    data = description()
    source = data["lifeboat_services"][1 if engine == "postgresql" else 0]["sources"][0]
    source["fencing"] = {"data_directory": "/data", **fencing, "methods": list(methods)}
    source.pop("service_control", None)
    if controlled:
        source["service_control"] = {"unit": "postgresql@15-main"}
    return data


def test_it_is_read_as_it_is_written() -> None:
    source = load_description(described({"host": True}, WITNESS)).services[1].sources[0]
    assert source.fencing["methods"][1] == WITNESS


@pytest.mark.parametrize(
    ("data", "place", "problem"),
    [
        (described(WITNESS, WITNESS), "methods[1] > witness", "is the second witness"),
        (
            described({"witness": {"repository": "nowhere"}}),
            "witness > repository",
            "no backup of the source is stored",
        ),
        (described({"witness": {"repository": "local", "lease": "9s"}}), "witness > lease", "9s is too short."),
        (described(WITNESS, controlled=False), "witness", "needs service_control"),
        (described(WITNESS, data_directory=""), "witness", "needs fencing.data_directory"),
        (described(WITNESS, engine="mongodb"), "witness", "is for postgresql and redis, not for mongodb."),
        (described({"witness": {"lease": "30s"}}), "witness", "repository"),
        (described({**WITNESS, "host": True}), "methods[0]", ""),
    ],
)
def test_what_can_not_be_meant_is_found_where_it_is(data: t.Any, place: str, problem: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        load_description(data)
    found = [(one["path"], one["problem"]) for one in caught.value.details["problems"]]
    assert any(place in path and problem in what for path, what in found), found
