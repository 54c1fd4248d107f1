# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles of the user's that point applications at what has moved: whether they are there, and what they are told."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

role_play: t.Any = pytest.importorskip("ansible_collections.lifeboat.recovery.plugins.filter.role_play")

COLLECTIONS = pathlib.Path(role_play.__file__).parents[5]


def problems(role: str | None, *folders: pathlib.Path) -> list[str]:
    return list(
        role_play.role_problems([{"name": "api", "role": role}], [str(one) for one in folders], [str(COLLECTIONS)])
    )


def test_a_role_of_roles_path_is_found(tmp_path: pathlib.Path) -> None:
    (tmp_path / "b" / "deploy").mkdir(parents=True)
    assert problems("deploy", tmp_path / "a", tmp_path / "b") == []
    assert problems(None, tmp_path / "a") == []


def test_a_role_of_a_collection_is_found() -> None:
    assert problems("lifeboat.recovery.agent") == []


def test_one_that_is_not_there_is_named_with_what_to_do(tmp_path: pathlib.Path) -> None:
    (found,) = problems("deploy", tmp_path)
    assert found == (
        f"the role deploy of api is not there: put it into one of {tmp_path} on the controller, or name it as "
        "NAMESPACE.COLLECTION.ROLE"
    )
    (found,) = problems("acme.shop.deploy", tmp_path)
    assert found == (
        "the role acme.shop.deploy of api is not there: install the collection acme.shop on the controller"
    )
    (found,) = problems("lifeboat.recovery.nothing", tmp_path)
    assert "install the collection lifeboat.recovery" in found


@pytest.mark.parametrize(
    "plan",
    [
        {"service": "shop", "source": "main", "facts": {"address": {"host": "192.0.2.2", "port": 5432}}},
        {"service": "shop", "facts": {"addresses": {"main": {"host": "192.0.2.2", "port": 5432}}}},
    ],
)
def test_it_is_told_where_the_databases_are_by_every_kind_of_plan(plan: dict[str, t.Any]) -> None:
    told = role_play.role_facts(plan, {"name": "api", "host": "south1", "role": "deploy"}, run="run-0001")
    assert told == {
        "service": "shop",
        "application": "api",
        "host": "south1",
        "run": "run-0001",
        "databases": {"main": {"host": "192.0.2.2", "port": 5432}},
    }
