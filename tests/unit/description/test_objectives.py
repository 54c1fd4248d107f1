# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objectives that the schedules can't meet, each with what to change."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.objectives import (
    UnmetObjective,
    unmet_objectives,
)

INVENTORIES = pathlib.Path(__file__).resolve().parents[3] / "inventories"
Json = dict[str, t.Any]


def backup(kind: str, schedule: str = "", **more: t.Any) -> Json:
    when = {"schedule": schedule} if schedule else {}
    return {"kind": kind, **when, "repositories": ["local"], "keep": {"count": 7}, **more}


def unmet(engine: str, backups: list[Json], *, rpo: str = "5m", **more: t.Any) -> list[UnmetObjective]:
    connection = {"postgresql": {"database": "x"}, "mongodb": {"uri_file": "/nowhere"}, "redis": {"port": 1}}[engine]
    source = {"name": "main", "engine": engine, "connection": connection, "backups": backups}
    service = {"name": "shop", "objectives": {"rpo": rpo}, "sources": [source], **more}
    found = load_description(
        {"lifeboat_repositories": {"local": {"type": "file", "path": "/b"}}, "lifeboat_services": [service]}
    )
    return list(unmet_objectives(found.services))


def test_a_job_each_quarter_of_an_hour_cannot_meet_five_minutes() -> None:
    (found,) = unmet("redis", [backup("rdb", "*/15 * * * *")])
    assert (found.place, found.objective) == ("shop/main", "rpo")
    assert "an rpo of 5 minutes can't be met: the most frequent backup (rdb) runs every 15 minutes" in found.text
    assert found.change == (
        "Run shop/main/rdb at least every 5 minutes, or add a backup of the kind aof-log (a stream), "
        "or allow more: rpo: 15m."
    )


@pytest.mark.parametrize(
    ("engine", "backups", "rpo", "met"),
    [
        ("redis", [backup("rdb", "*/15 * * * *")], "15m", True),  # exactly
        ("redis", [backup("rdb", "*/15 * * * *")], "14m", False),
        ("redis", [backup("rdb", "0 9-18 * * *")], "1h", False),  # nobody looks at night
        ("redis", [backup("rdb", "0 2 * * *"), backup("aof-log", "* * * * *")], "1m", True),
        ("postgresql", [backup("base", "0 2 * * *"), backup("wal", triggers=["continuous"])], "1m", True),
        (
            "postgresql",
            [backup("logical", "0 2 * * *"), backup("wal", triggers=["continuous"])],
            "1m",
            False,
        ),  # no base
        (
            "postgresql",
            [backup("base", "0 2 * * *"), backup("wal", triggers=["continuous"], options={"archive_timeout": "10m"})],
            "5m",
            False,
        ),
        ("mongodb", [backup("full", "0 2 * * *"), backup("oplog", "*/5 * * * *")], "5m", True),
        ("mongodb", [backup("full", "0 2 * * *"), backup("oplog", "*/15 * * * *")], "5m", False),
        ("mongodb", [backup("oplog", "*/5 * * * *")], "5m", False),  # no base
    ],
)
def test_streams_count_where_there_is_a_base_to_replay_them_behind(
    engine: str, backups: list[Json], rpo: str, met: bool
) -> None:
    assert (unmet(engine, backups, rpo=rpo) == []) is met


def test_a_stream_alone_is_told_what_it_lacks() -> None:
    (found,) = unmet("mongodb", [backup("oplog", "*/5 * * * *")])
    assert found.change == "Add a backup of the kind full to shop/main."


def test_a_class_asks_for_its_own_objective() -> None:
    data = {
        "name": "main",
        "engine": "redis",
        "connection": {"port": 1},
        "classes": ["p1"],
        "objectives": {"rpo": "1d"},
    }
    sources = [{**data, "backups": [backup("rdb", "0 2 * * *")]}]
    classes = [{"name": "p1", "rpo": "5m", "covers": ["sessions"]}]
    (found,) = unmet("redis", [], rpo="1d", classes=classes, sources=sources)
    assert (found.place, found.objective) == ("shop/main", "p1")
    assert "an rpo of 5 minutes (class p1) can't be met" in found.text


def test_a_job_asks_for_its_own_objective() -> None:
    backups = [backup("rdb", "*/5 * * * *"), backup("aof", "0 2 * * *", objectives={"rpo": "1h"})]
    (found,) = unmet("redis", backups)
    assert found.place == "shop/main/aof"


@pytest.mark.parametrize("name", ["family", "adhd"])
def test_the_examples_meet_their_own_objectives(name: str) -> None:
    data: Json = {}
    for path in sorted((INVENTORIES / name / "group_vars" / name).glob("*.yml")):
        data.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert list(unmet_objectives(load_description(data).services)) == []
