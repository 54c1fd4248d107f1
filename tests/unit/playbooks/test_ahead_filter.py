# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files the role ``standby`` brings to which spares."""

from __future__ import annotations

import copy
import typing as t

import pytest

from tests.unit.description.samples import description

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.recovery.plugins.filter.ahead_play import files_to_bring

Json = dict[str, t.Any]
SPARE = {
    "name": "far",
    "region": "south",
    "inventory_host": "db2",
    "connection": {"paths": ["/etc/shop"]},
    "ahead": True,
}


def brought(*spares: Json) -> list[Json]:
    data = copy.deepcopy(description())
    service = data["lifeboat_services"][0]
    service["regions"] = [{"name": "north", "role": "primary"}, {"name": "south", "role": "standby"}]
    keep = {"repositories": ["local", "offsite"], "keep": {"within": "7d"}}
    service["sources"].append(
        {
            "name": "edge",
            "engine": "files",
            "connection": {"paths": ["/etc/shop"]},
            "spares": list(spares),
            "backups": [{"kind": "config", **keep}],
        }
    )
    return files_to_bring(
        data["lifeboat_services"],
        data["lifeboat_repositories"],
        data.get("lifeboat_settings"),
        host="db1",
        groups={"all": ["db1", "db2"]},
    )


def test_only_spares_that_are_kept_ahead_are_brought_their_files_in_place() -> None:
    (one,) = brought(SPARE, {**SPARE, "name": "later", "ahead": False})
    assert one["id"].endswith("/edge/far")
    assert (one["from"], one["on"]) == ("db1", "db2")
    assert (one["target"]["kind"], one["target"]["source"]) == ("config", "edge")
    assert one["options"]["in_place"] is True
    assert one["choice"]["id"] == "", "the newest one is chosen when it is brought"


def test_only_repositories_are_read_that_the_spare_can_reach() -> None:
    (one,) = brought(SPARE)
    assert [repository["name"] for repository in one["repositories"]] == ["offsite"]
    (named,) = brought({**SPARE, "repositories": ["local"]})
    assert [repository["name"] for repository in named["repositories"]] == ["local"]


def test_a_spare_on_a_host_that_nobody_knows_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="which the inventory does not have"):
        brought({**SPARE, "inventory_host": "db9"})
