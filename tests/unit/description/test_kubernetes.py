# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications on Kubernetes: what can't be meant is found in the description."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ConfigurationInvalid
from tests.unit.description.samples import description

ENV: t.Final = {"env": "DATABASE_HOST", "value": "{host}"}
SECRET: t.Final = {"secret": "database", "key": "url", "value": "@{host}:{port}", "match": "@[^/]+", "source": "main"}


def described(**kubernetes: t.Any) -> dict[str, t.Any]:
    data = description()
    data["lifeboat_services"][0]["applications"][0]["kubernetes"] = {"deployment": "api", **kubernetes}
    return data


def test_all_of_it_can_be_said() -> None:
    load_description(described(wiring=[ENV, SECRET], manifests=["/etc/lifeboat/api.yml"], replicas=3, timeout="90s"))


@pytest.mark.parametrize(
    ("kubernetes", "place", "problem"),
    [
        ({"wiring": [{"env": "A"}]}, "wiring[0]", "value"),
        ({"wiring": [{**ENV, "secret": "x", "key": "y"}]}, "wiring[0]", ""),
        ({"wiring": [{"value": "x"}]}, "wiring[0]", ""),
        ({"wiring": [{"secret": "x", "value": "y"}]}, "wiring[0]", "does not say which key"),
        ({"wiring": [{**ENV, "key": "x"}]}, "key", "is of no use without secret."),
        ({"wiring": [{**SECRET, "container": "x"}]}, "container", "is of no use without env."),
        ({"wiring": [{**SECRET, "match": "("}]}, "match", "is no regular expression"),
        ({"wiring": [{**ENV, "source": "mian"}]}, "source", "the service has no source 'mian'"),
        ({"manifests": ["api.yml"]}, "manifests[0]", "is not an absolute path."),
        ({"timeout": "soon"}, "timeout", "soon"),
    ],
)
def test_what_can_not_be_meant_is_found_where_it_is(kubernetes: dict[str, t.Any], place: str, problem: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        load_description(described(**kubernetes))
    found = caught.value.details["problems"]
    assert [one for one in found if place in one["path"] and problem in one["problem"]], found
