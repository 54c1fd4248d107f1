# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an agent says of a backup, in the form that the playbook sums up."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.lifeboat.recovery.plugins.filter.backup_play import agent_backup, backup_summary

JOB = "shop/system/system"
BACKUP = {
    "id": "20261121T010000Z-658640",
    "state": "complete",
    "plain_bytes": 57_200,
    "stored_bytes": 12_400,
    "seconds": 16.0,
    "repositories": [{"name": "cloud", "state": "complete"}],
}


def said(result: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    answer: dict[str, t.Any] = agent_backup({"stdout": json.dumps({"results": [{"job": JOB, **result}]}), "stderr": ""})
    return answer


def summed(answer: t.Mapping[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    host = {"inventory_hostname": "db1", "lifeboat_results": [{**answer, "job": JOB}]}
    made: dict[str, t.Any] = backup_summary([host], **more)
    return made


def test_a_set_is_summed_up_as_any_backup() -> None:
    answer = said({"backup": BACKUP, "error": None})
    assert (answer["failed"], answer["changed"]) == (False, True)
    summary = summed(answer)
    assert summary["failed"] is False
    assert BACKUP["id"] in summary["table"]


def test_a_partial_one_is_loud() -> None:
    partial = {**BACKUP, "state": "partial", "repositories": [{"name": "cloud", "state": "failed"}]}
    answer = said({"backup": partial, "error": {"code": "backup.partial", "message": "Not in cloud.", "hint": ""}})
    assert answer["failed"] is False
    assert "Not in cloud." in summed(answer)["verdict"]


def test_a_failure_keeps_its_code_and_words() -> None:
    answer = said({"error": {"code": "backup.set_incomplete", "message": "There is no set.", "hint": ""}})
    assert (answer["failed"], answer["code"], answer["msg"]) == (True, "backup.set_incomplete", "There is no set.")
    assert summed(answer)["failed"] is True


def test_a_plan_is_no_change() -> None:
    answer = said({"plan": {"steps": []}})
    assert (answer["failed"], answer["changed"]) == (False, False)
    assert "1 planned" in summed(answer, check_mode=True)["verdict"]


def test_what_can_not_be_read_is_told_as_it_came() -> None:
    assert agent_backup({"stdout": "", "stderr": "lifeboat: not found\n"}) == {
        "failed": True,
        "changed": False,
        "msg": "lifeboat: not found",
    }
