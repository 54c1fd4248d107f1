# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat backup --due`` and ``lifeboat config check``, as cron and the role ``agent`` call them."""

from __future__ import annotations

import datetime
import json
import pathlib

import pytest

from tests.support.command_line import CommandLine, describe


@pytest.fixture
def lifeboat(tmp_path: pathlib.Path) -> CommandLine:
    """A job each day whose server never answers."""
    common = {"kind": "rdb", "repositories": ["local"], "keep": {"count": 7}}
    source = {
        "name": "cache",
        "engine": "redis",
        "connection": {"port": 1},
        "backups": [{**common, "schedule": "0 2 * * *"}, {**common, "name": "by-hand"}],
    }
    return describe(
        tmp_path / "config.yml",
        {
            "lifeboat_settings": {"state_directory": str(tmp_path / "state")},
            "lifeboat_repositories": {"local": {"type": "file", "path": str(tmp_path), "create": True}},
            "lifeboat_services": [{"name": "shop", "sources": [source]}],
        },
    )


def test_what_is_due_is_tried_and_what_is_not_is_left_alone(lifeboat: CommandLine, tmp_path: pathlib.Path) -> None:
    said = lifeboat("backup --due --quiet").ended(1)
    assert "redis.unreachable" in said.err
    assert "by-hand" not in said.out + said.err
    (line,) = (tmp_path / "state/runs/shop.cache.rdb.jsonl").read_text(encoding="utf-8").splitlines()
    failed = json.loads(line)
    assert (failed["described_as"], failed["state"]) == ("shop/cache/rdb", "failed")
    # It is tried again until it has gone well.
    lifeboat("backup --due --quiet").ended(1)
    now = datetime.datetime.now(tz=datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    with open(tmp_path / "state/runs/shop.cache.rdb.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({**failed, "state": "complete", "started": now}) + "\n")
    assert lifeboat("backup --due --quiet").succeeded().out == "Nothing is due.\n"
    assert lifeboat("backup shop/cache/rdb --due --json").succeeded().document == {"results": []}


def test_config_check_says_what_is_in_the_description(lifeboat: CommandLine) -> None:
    said = lifeboat("config check").succeeded()
    assert "1 service, 2 jobs; every objective can be met." in said.out
    assert lifeboat("config check --json").succeeded().document["jobs"] == ["shop/cache/rdb", "shop/cache/by-hand"]


def test_config_check_refuses_what_is_wrong_with_its_place(lifeboat: CommandLine) -> None:
    path = lifeboat.configuration
    path.write_text(path.read_text(encoding="utf-8").replace("0 2 * * *", "0 25 * * *"), encoding="utf-8")
    said = lifeboat("config check").refused("configuration.invalid")
    assert "backups[0] > schedule: the hour field '25'" in said.err


def test_a_host_that_makes_no_backups_refuses_to_make_one(lifeboat: CommandLine, tmp_path: pathlib.Path) -> None:
    path = lifeboat.configuration
    description = json.loads(path.read_text(encoding="utf-8"))
    description["lifeboat_settings"]["makes_backups"] = False
    path.write_text(json.dumps(description), encoding="utf-8")
    for command in ("backup --due", "backup shop/cache/rdb", "ship", "label shop before-upgrade"):
        said = lifeboat(command).refused("request.invalid")
        assert "This host makes no backups" in said.err
        assert "makes_backups: true" in said.err
    assert not (tmp_path / "state/runs").exists()
    lifeboat("config check").succeeded()
