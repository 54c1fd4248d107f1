# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A question that is compared with the previous answer: that of the newest verified backup before this one."""

from __future__ import annotations

import pathlib
import time
import typing as t

import pytest

from tests.integration.redis.test_command_line import Place, description, made
from tests.support.command_line import Said, describe

pytestmark = pytest.mark.slow
QUESTION = {"name": "list", "redis": ["LLEN", "list"], "within_count_of": {"reference": "previous", "count": 5}}


def back_up(place: Place, *, more: int = 0) -> str:
    """The id of a backup whose list is so much longer than that of the one before."""
    with place.server.client() as client:
        client.rpush("list", *["x"] * more)
    time.sleep(1.1)  # backups of one second have no order
    place.lifeboat("backup shop --quiet").succeeded()
    return str(place.lifeboat("list --json").document["backups"][-1]["id"])


def answers(said: Said) -> list[tuple[str, t.Any, str]]:
    """State, answer and message of the question, of each backup that was verified."""
    checks = [
        check
        for result in said.document["results"]
        for check in result["verification"]["checks"]
        if check["name"] == QUESTION["name"]
    ]
    return [(check["state"], check["found"], check["message"]) for check in checks]


def test_it_is_that_of_the_newest_verified_backup_before(tmp_path: pathlib.Path) -> None:
    with made(tmp_path) as place:
        compared = description(tmp_path, place.server.port)
        compared["lifeboat_services"][0]["sources"][0]["verify"]["questions"] = [QUESTION]
        lifeboat = describe(tmp_path / "compared.yml", compared)

        def verify(which: str) -> list[tuple[str, t.Any, str]]:
            return answers(lifeboat(f"verify {which} --quiet --json"))

        first = back_up(place, more=1)
        [(state, found, message)] = verify(first)
        assert (state, found) == ("skipped", 1001), "there is nothing to compare it with, and that proves nothing"
        assert "nothing known to compare: previous" in message
        [(state, found, _message)] = verify(back_up(place, more=3))
        assert (state, found) == ("passed", 1004)
        # As a random sample would do: the latest verification is one of the oldest backup, which is too far away.
        verify(first)
        [(state, found, _message)] = verify(back_up(place, more=3))
        assert (state, found) == ("passed", 1007)

        with place.server.client() as client:
            client.ltrim("list", 0, 499)
        said = lifeboat(f"verify {back_up(place, more=1)} --quiet").refused("verify.not_proved", status=1)
        assert "501 differs from previous (1007) by 506, more than 5" in said.out

        # What was not proved is no measure; what was proved a moment ago, in the same run, is.
        back_up(place, more=508)
        back_up(place, more=4)
        assert [(state, found) for state, found, _message in verify("--newest 2")] == [
            ("passed", 1009),
            ("passed", 1013),
        ]
