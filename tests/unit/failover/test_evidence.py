# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a failover left can be trusted: everything that somebody could change is seen, and has its code."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import FailoverRunUnknown
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.copies import read_copies
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.entry import Entry, parse_entry
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import digest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.proof import Proof, examine
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.record import record
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.evidence_page import evidence_page
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from tests.support.clocks import START
from tests.support.command_line import CommandLine, describe
from tests.support.failovers import PLAN, write_failover
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage

NOW = START + datetime.timedelta(hours=1)
FOLDER = "adhd/.failover/run-0001/"
Change = t.Callable[[dict[str, t.Any]], None]


class Down(MemoryStorage):
    """A repository that does not answer."""

    def list(self, prefix: str = "") -> t.Any:
        unreachable()


@pytest.fixture
def storages() -> dict[str, Storage]:
    return {"local": MemoryStorage(), "offsite": MemoryStorage()}


def look(storages: t.Mapping[str, Storage], **more: t.Any) -> Proof:
    copies = read_copies("adhd", "run-0001", storages=storages)
    return examine(copies, service="adhd", run="run-0001", now=NOW, **more)


def codes(proof: Proof, *, grave: bool = True) -> set[str]:
    return {one.code for one in proof.doubts if one.grave is grave}


def entries_of(storage: Storage) -> list[Entry]:
    keys = sorted(one.key for one in storage.list(FOLDER))
    return [parse_entry(storage.get(key), key=key) for key in keys]


def rewrite(storages: t.Mapping[str, Storage], number: int, change: Change, *, chained: bool = True) -> None:
    """Change an entry everywhere; *chained*: as somebody would who knows that the later ones name its hash."""
    for storage in storages.values():
        previous = ""
        for entry in entries_of(storage):
            document = entry.as_dict()
            if entry.number == number:
                change(document)
            if chained:
                document["previous"] = previous
            data = (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
            storage.put(entry.key, data, if_absent=False)
            previous = parse_entry(data, key=entry.key).sha256


def test_what_a_failover_left_can_be_trusted(storages: dict[str, Storage]) -> None:
    ledger = write_failover(storages)
    proof = look(storages, noted=ledger.entries[-1].sha256.upper())
    assert (proof.verdict, proof.doubts) == ("trusted", ())
    assert proof.copies == {"local": 13, "offsite": 13}


def test_one_letter_that_is_changed_breaks_the_chain_and_differs_from_the_other_copy(
    storages: dict[str, Storage],
) -> None:
    write_failover(storages)
    rewrite({"local": storages["local"]}, 2, lambda one: one["data"].update(proven=False), chained=False)
    found = look(storages)
    assert codes(found) == {"ledger.chain_broken", "ledger.copies_differ"}
    assert {one.where for one in found.doubts} == {"local"}
    assert len(found.entries) == 13


def test_bytes_that_are_no_entry_and_objects_that_are_none(storages: dict[str, Storage]) -> None:
    write_failover(storages)
    storages["local"].put(f"{FOLDER}0003.json", b"{}", if_absent=False)
    storages["offsite"].put(f"{FOLDER}note.txt", b"hello")
    found = look(storages)
    assert codes(found) == {
        "ledger.entry_invalid",
        "ledger.chain_broken",
        "ledger.foreign_object",
        "ledger.copies_differ",
    }
    assert found.verdict == "untrusted"


def test_an_end_that_is_cut_off_in_one_copy_is_no_forgery_and_is_told(storages: dict[str, Storage]) -> None:
    write_failover(storages)
    storages["offsite"].delete([f"{FOLDER}0012.json"])
    assert codes(look(storages)) == set()
    assert codes(look(storages), grave=False) == {"ledger.copy_short"}
    assert look(storages).verdict == "incomplete"


def test_an_end_that_is_cut_off_everywhere_is_seen_by_whoever_noted_a_hash(storages: dict[str, Storage]) -> None:
    ledger = write_failover(storages)
    for storage in storages.values():
        storage.delete([f"{FOLDER}0012.json"])
    assert codes(look(storages), grave=False) == {"ledger.open"}
    assert codes(look(storages, noted=ledger.entries[-1].sha256)) == {"ledger.other_hash"}


def test_an_entry_is_taken_out_of_the_middle(storages: dict[str, Storage]) -> None:
    write_failover(storages)
    for storage in storages.values():
        storage.delete([f"{FOLDER}0004.json"])
    assert "ledger.chain_broken" in codes(look(storages))
    assert len(look(storages).entries) == 4


def test_repositories_that_do_not_answer_or_are_gone_and_a_single_copy(storages: dict[str, Storage]) -> None:
    write_failover(storages)
    down = look({"local": storages["local"], "offsite": Down()})
    assert codes(down, grave=False) == {"repository.unreadable", "ledger.copy_missing", "ledger.one_copy"}
    assert down.verdict == "incomplete"
    assert look({**storages, "elsewhere": Down()}).verdict == "trusted"
    assert codes(look({"local": storages["local"]}), grave=False) == {"ledger.copy_missing", "ledger.one_copy"}


def _plan(one: dict[str, t.Any], **changes: t.Any) -> None:
    plan = one["data"]["plan"]
    plan.update(changes)
    plan["sha256"] = digest({key: value for key, value in plan.items() if key != "sha256"})


CHANGES: t.Mapping[str, tuple[int, Change, str]] = {
    "a plan that was changed": (0, lambda one: one["data"]["plan"].update(chosen="second"), "plan.hash_differs"),
    "a plan that was changed with its hash": (0, lambda one: _plan(one, chosen="second"), "plan.other_resumed"),
    "a plan of another service": (0, lambda one: _plan(one, service="family"), "plan.other_service"),
    "a plan that is gone": (0, lambda one: one["data"].pop("plan"), "plan.missing"),
    "an approval of another plan": (
        0,
        lambda one: one["data"].update(approvals=[{"by": "eve", "plan_sha256": "0" * 64}]),
        "approval.other_plan",
    ),
    "a signed approval of another plan": (
        0,
        lambda one: one["data"].update(approvals=[{"statement": {"signer": "eve", "plan_sha256": "0" * 64}}]),
        "approval.other_plan",
    ),
    "what a plan's approval holds": (
        0,
        lambda one: one["data"].update(approval={"statements": [{"statement": {"plan_sha256": "0" * 64}}]}),
        "approval.other_plan",
    ),
    "a result": (10, lambda one: one["data"].update(row=7), "step.hash_differs"),
    "the evidence": (12, lambda one: one["data"]["evidence"].update(promoted="second"), "evidence.differs"),
    "the measured time": (
        12,
        lambda one: one["data"]["evidence"].update(recovery_seconds=1.0),
        "evidence.differs",
    ),
    "the result in the evidence": (
        12,
        lambda one: one["data"]["evidence"]["steps"][0]["result"].update(method="command"),
        "step.result_differs",
    ),
    "a step's state in the evidence": (
        12,
        lambda one: one["data"]["evidence"]["steps"][0].update(state="failed"),
        "step.hash_differs",
    ),
    "a step that the evidence leaves out": (
        12,
        lambda one: one["data"]["evidence"]["steps"].pop(),
        "evidence.differs",
    ),
    "no evidence": (12, lambda one: one["data"].pop("evidence"), "evidence.missing"),
    "a time that goes backwards": (6, lambda one: one.update(at="2026-11-20T02:00:00Z"), "time.backwards"),
    "a time to come": (12, lambda one: one.update(at="2027-11-20T02:00:00Z"), "time.future"),
    "no time": (6, lambda one: one.update(at="yesterday"), "time.invalid"),
    "a plan that was made later": (0, lambda one: _plan(one, made="2026-11-22T02:00:00Z"), "time.plan_later"),
    "somebody who had not taken it": (
        6,
        lambda one: one["by"].update(session="0" * 16),
        "ledger.other_session",
    ),
    "a step that the plan does not have": (6, lambda one: one.update(step="other"), "step.unknown"),
    "a step that was never begun": (1, lambda one: one.update(step="verify"), "step.not_begun"),
    "a step that was finished twice": (8, lambda one: one.update(step="promote"), "step.twice"),
    "a step before its turn": (1, lambda one: one.update(step="rewire-server-web"), "step.out_of_order"),
    "an end in the middle": (4, lambda one: one.update(event="abandoned", step=""), "ledger.after_end"),
    "another beginning": (0, lambda one: one.update(event="resumed"), "ledger.order"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_who_writes_the_whole_ledger_anew_is_seen_by_what_it_says(what: str, storages: dict[str, Storage]) -> None:
    number, change, code = CHANGES[what]
    ledger = write_failover(storages)
    rewrite(storages, number, change)
    found = look(storages, noted=ledger.entries[-1].sha256)
    assert code in codes(found)
    assert "ledger.other_hash" in codes(found)
    assert codes(found) <= codes(look(storages)) | {"ledger.other_hash"}


def test_a_run_that_lost_the_race_is_told_and_not_taken(storages: dict[str, Storage]) -> None:
    ledger = write_failover({"local": storages["local"]})
    lost = dataclasses.replace(ledger.entries[0], by=dataclasses.replace(ledger.operator, name="eve"))
    given_up = dataclasses.replace(
        lost, number=1, event="abandoned", previous=lost.sha256, data={}, at="2026-11-21T02:00:01Z"
    )
    for one in (lost, given_up):
        storages["offsite"].put(one.key, one.as_bytes())
    found = look(storages)
    assert codes(found) == set()
    assert "ledger.gave_way" in codes(found, grave=False)
    assert found.entries[0].by.name == "ada"


def test_steps_of_a_kind_that_this_version_does_not_know(storages: dict[str, Storage]) -> None:
    write_failover(storages)

    def other(one: dict[str, t.Any]) -> None:
        one["data"]["plan"]["kind"] = "somewhere-else"
        one["data"]["plan"]["steps"][3].update(kind="teleport")
        _plan(one)

    rewrite(storages, 0, other)
    found = look(storages)
    # The hash of the plan is in later entries, and all else holds.
    assert codes(found) == {"plan.other_resumed", "evidence.differs", "step.hash_differs"}
    told = record(found.entries)
    assert (told["kind"], told["steps"][3]["kind"]) == ("somewhere-else", "teleport")
    assert "Somewhere else: adhd, run-0001" in evidence_page(told, found.as_dict(), now=NOW)


def test_the_record_has_each_attempt_and_the_hash_of_each_output(storages: dict[str, Storage]) -> None:
    told = record(look(storages).entries) if write_failover(storages) else {}
    promote = told["steps"][1]
    assert [one["state"] for one in promote["attempts"]] == ["failed", "done"]
    assert promote["result_sha256"] == digest({"timeline": 2, "switched": "0/5000148", "written": {"row": 1}})
    assert [one["by"] for one in told["confirmed"]] == ["ada on desk", "grace on sofa"]
    assert {one["plan_sha256"] for one in told["confirmed"]} == {PLAN.fingerprint}
    assert told["state"] == "complete"
    assert told["versions"]["ansible-core"] == "2.19.4"
    assert told["figures"]["objectives"]["rto_met"] is True


def test_approvals_are_told_with_the_hash_of_what_was_approved(storages: dict[str, Storage]) -> None:
    statement = {"signer": "grace", "plan_sha256": PLAN.fingerprint, "made": "2026-11-21T01:59:00Z"}
    signed = [{"statement": statement, "signature": "..."}]
    write_failover(storages, approval={"plan_sha256": PLAN.fingerprint, "needed": 1, "statements": signed})
    proof = look(storages)
    assert proof.doubts == ()
    told = record(proof.entries)
    assert told["approvals"] == [{"by": "grace", "at": "2026-11-21T01:59:00Z", "plan_sha256": PLAN.fingerprint}]
    assert '<td data-name="Who"><span>grace</span></td>' in evidence_page(told, proof.as_dict(), now=NOW)


def test_a_run_that_is_open_has_what_is_known_so_far(storages: dict[str, Storage]) -> None:
    write_failover(storages, until="promote")
    told = record(look(storages).entries)
    assert (told["state"], told["ended"]) == ("open", None)
    assert [one["state"] for one in told["steps"]] == ["done", "done", "not begun", "not begun"]
    assert "now, it is open" in evidence_page(told, look(storages).as_dict(), now=NOW)


def test_the_page_loads_nothing_and_escapes_all_that_it_is_told(storages: dict[str, Storage]) -> None:
    write_failover(storages, reason='<script src="https://evil.example/x.js">')
    found = look(storages)
    page = evidence_page(record(found.entries), found.as_dict(), now=NOW)
    assert "<script" not in page
    assert "&lt;script src=" in page
    assert "&lt;database&gt;.env" in page
    assert "default-src &#x27;none&#x27;" not in page
    assert "default-src 'none'" in page
    assert "http-equiv" in page
    for hash_ in (PLAN.fingerprint, found.last_sha256, digest({"row": 2, "seconds": 0.04})):
        assert hash_ in page
    assert f"lifeboat evidence verify adhd run-0001 --sha256 {found.last_sha256}" in page


@pytest.fixture
def lifeboat(tmp_path: pathlib.Path) -> CommandLine:
    from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
    from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage

    repositories = {name: {"type": "file", "path": str(tmp_path / name)} for name in ("local", "second")}
    source = {
        "name": "main",
        "engine": "postgresql",
        "connection": {"host": "127.0.0.1"},
        "backups": [{"kind": "base", "repositories": ["local", "second"], "keep": {"within": "7d"}}],
    }
    for one in repositories.values():
        pathlib.Path(one["path"]).mkdir()
    host = Host()
    storages = {
        name: open_storage(one, name=name, clock=host.clock, runner=host.runner) for name, one in repositories.items()
    }
    write_failover(storages)
    return describe(
        tmp_path / "config.json",
        {"lifeboat_repositories": repositories, "lifeboat_services": [{"name": "adhd", "sources": [source]}]},
    )


def test_the_command_ends_with_what_can_be_trusted(lifeboat: CommandLine, tmp_path: pathlib.Path) -> None:
    shown = lifeboat("evidence show adhd").succeeded()
    assert "Promotion of a standby, adhd run-0001: complete" in shown.out
    assert "lost: 0 commits (RPO 5m, met)" in shown.out
    assert lifeboat("evidence verify adhd run-0001").succeeded().out.startswith("adhd run-0001: can be trusted.")
    document = lifeboat("evidence verify adhd --json").succeeded().document
    assert (document["verdict"], document["doubts"]) == ("trusted", [])
    assert lifeboat(f"evidence verify adhd --sha256 {document['last_sha256']}").succeeded()
    assert "[ledger.other_hash]" in lifeboat(f"evidence verify adhd --sha256 {'0' * 64}").ended(1).out
    lifeboat("evidence verify adhd --sha256 12").refused("request.invalid", hint="64")
    page = tmp_path / "page.html"
    lifeboat("evidence page adhd run-0001 --output", str(page)).succeeded()
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    lifeboat("evidence page adhd run-0001 --output", str(tmp_path / "no" / "page.html")).refused("output.unwritable")

    (tmp_path / "second" / FOLDER / "0012.json").unlink()
    assert "note [ledger.copy_short] second" in lifeboat("evidence verify adhd run-0001").ended(3).out
    third = tmp_path / "local" / FOLDER / "0003.json"
    third.write_bytes(third.read_bytes().replace(b"intended", b"done"))
    assert "PROBLEM [ledger.chain_broken] local" in lifeboat("evidence verify adhd run-0001").ended(1).out
    lifeboat("evidence show adhd run-0009").refused("failover.run_unknown", hint="lifeboat evidence show adhd")
    lifeboat("evidence verify nobody").refused("failover.run_unknown")


def test_nothing_of_a_run_is_there(storages: dict[str, Storage]) -> None:
    with pytest.raises(FailoverRunUnknown):
        look(storages)
