# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How playbooks open the ledger: the first intent comes with the opening, and is not taken for that of another run."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import yaml

ROOT: t.Final = pathlib.Path(__file__).parents[3]
LEDGER: t.Final = "lifeboat.recovery.failover_ledger"
OPENING: t.Final = ("dr_failover.yml", "full_restore.yml", "promote_standby.yml")


def tasks_of(playbook: str) -> list[dict[str, t.Any]]:
    """Those of the first level; blocks only look."""
    plays = yaml.safe_load((ROOT / "playbooks" / playbook).read_text(encoding="utf-8"))
    return [task for play in plays for task in play.get("tasks", ())]


@pytest.mark.parametrize("playbook", OPENING)
def test_the_first_intent_is_noted_with_the_opening(playbook: str) -> None:
    tasks = tasks_of(playbook)
    (number,) = (number for number, task in enumerate(tasks) if "resume" in str(task.get(LEDGER, {}).get("action", "")))
    opening, keeping = tasks[number], tasks[number + 1]["ansible.builtin.set_fact"]
    assert opening[LEDGER]["begins"] == "{{ lifeboat_first or omit }}"
    assert "following_step(''" in opening["vars"]["lifeboat_first"]
    assert "lifeboat_abandon" in opening["vars"]["lifeboat_first"]
    # The step sees by it that its intent is there.
    assert keeping["lifeboat_begun"] == "{{ lifeboat_recorded.ledger.entries[-1].step }}"
    # What this run notes before its first step is no sign of a run that died in it.
    assert "begun_before" in keeping.get("lifeboat_died_in", "begun_before")
