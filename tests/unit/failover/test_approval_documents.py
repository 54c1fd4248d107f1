# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is signed has one form; whatever else lies in a file or a repository is told and counts for nothing."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    FailoverApprovalInvalid,
    FailoverNotRecorded,
    FailoverPlanInvalid,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.approval import (
    LARGEST,
    approvals_folder,
    parse_signed,
    plan_key,
    signed_key,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.approval_store import (
    parse_stored_approval,
    parse_stored_plan,
    put_plan,
    put_signed,
    read_given,
    read_plan,
    waiting_plans,
)
from tests.support.approvals import PLAN, armour, plan_of, said, withdrawn
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage

SHA = PLAN.fingerprint
FOLDER = f"family/.failover/.approvals/{SHA}/"


class Down(MemoryStorage):
    """Nobody answers."""

    def list(self, prefix: str = "") -> t.Any:
        unreachable()

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
        unreachable()


def stored(storage: MemoryStorage) -> list[str]:
    return [one.key for one in storage.list()]


def test_what_is_signed_has_one_form() -> None:
    statement = said("ada").statement
    assert statement.as_bytes() == (
        b'{"format":"lifeboat-failover-approval","format_version":1,"kind":"promote-standby",'
        b'"made":"2026-11-21T01:00:00Z","plan_sha256":"' + SHA.encode() + b'","says":"approve",'
        b'"service":"family","signer":"ada","until":"2026-11-21T05:00:00Z"}\n'
    )


@pytest.mark.parametrize("signed", [said("ada"), withdrawn("ada")], ids=["approve", "withdraw"])
def test_it_is_read_as_it_was_written_in_whatever_order(signed: t.Any) -> None:
    assert parse_signed(signed.as_bytes()) == signed
    turned = json.dumps(dict(reversed(list(signed.as_dict().items()))))
    assert parse_signed(turned.encode()).as_bytes() == signed.as_bytes()


def changed(**changes: t.Any) -> dict[str, t.Any]:
    document = said("ada").as_dict()
    for name, value in changes.items():
        place = document if name == "signature" else document["statement"]
        if value is None:
            del place[name]
        else:
            place[name] = value
    return document


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b"nothing",
        b"\xff\xfe",
        b"[" * 5000,
        b" " * (LARGEST + 1),
        None,
        "text",
        {"statement": said("ada").statement.as_dict()},
        {**said("ada").as_dict(), "more": 1},
        {"statement": [], "signature": armour("ada")},
        changed(format="another"),
        changed(format_version=2),
        changed(format_version=None),
        changed(says="shout"),
        changed(says=None),
        changed(service="../shop"),
        changed(service="Family"),
        changed(service=["family"]),
        changed(signer="ada\nmallory"),
        changed(signer=""),
        changed(signer=".plan"),
        changed(kind="x y"),
        changed(kind=""),
        changed(plan_sha256=SHA[:16]),
        changed(plan_sha256=SHA.upper()),
        changed(plan_sha256=SHA + "0"),
        changed(plan_sha256=SHA + "\n"),
        changed(plan_sha256=""),
        changed(plan_sha256=0),
        changed(made="yesterday"),
        changed(made="2026-11-21T01:00:00"),
        changed(until=""),
        changed(until=None),
        changed(until="2026-02-30T00:00:00Z"),
        changed(more="x"),
        changed(signature=""),
        changed(signature=None),
        changed(signature=5),
        changed(signature="-----BEGIN PGP SIGNATURE-----\nAAAA\n-----END PGP SIGNATURE-----\n"),
        changed(signature=armour("ada") + armour("ada")),
        changed(signature="x" + armour("ada")),
        changed(signature=armour("ada").replace("\n-----END", "\x1b[2J\n-----END")),
        changed(says="withdraw"),
    ],
)
def test_what_is_no_approval_is_refused_in_words(document: t.Any) -> None:
    with pytest.raises(FailoverApprovalInvalid, match="can't be read") as raised:
        parse_signed(document, where="local:x.json")
    assert "local:x.json" in raised.value.message
    assert raised.value.hint


def test_it_is_kept_once_in_each_repository_and_read_once() -> None:
    storages = {"local": MemoryStorage(), "offsite": MemoryStorage()}
    assert put_signed(said("ada"), storages).added == ("local", "offsite")
    assert put_signed(said("ada"), storages).added == ()
    assert stored(storages["local"]) == [f"{FOLDER}ada.json"]
    put_signed(withdrawn("ada"), storages)
    given = read_given("family", SHA, storages)
    assert set(given.signed) == {said("ada"), withdrawn("ada")}
    assert [one.where for one in given.signed] == [f"local:{FOLDER}.withdrawn.ada.json", f"local:{FOLDER}ada.json"]


def test_rubbish_in_its_place_stops_nobody_from_approving() -> None:
    storages = {"local": MemoryStorage()}
    storages["local"].put(f"{FOLDER}ada.json", b"rubbish")
    storages["local"].put(f"{FOLDER}ada+2.json", said("ada", by="mallory").as_bytes())
    put_signed(said("ada"), storages)
    given = read_given("family", SHA, storages)
    assert said("ada") in given.signed
    assert len(given.unreadable) == 1
    assert stored(storages["local"])[-1] == f"{FOLDER}ada.json"


def test_one_that_was_put_under_another_plan_names_its_own() -> None:
    signed = said("ada", plan_of(what="Other."))
    with pytest.raises(FailoverApprovalInvalid, match="is about another plan"):
        parse_stored_approval(signed.as_bytes(), key=f"{FOLDER}ada.json")
    assert parse_stored_approval(signed.as_bytes(), key=signed_key(signed.statement)) == signed


def test_a_repository_that_is_down_is_told_and_no_repository_is_an_error() -> None:
    storages = {"local": MemoryStorage(), "offsite": Down()}
    assert list(put_signed(said("ada"), storages).problems) == ["offsite"]
    given = read_given("family", SHA, storages)
    assert (given.signed, list(given.problems)) == ((said("ada"),), ["offsite"])
    with pytest.raises(FailoverNotRecorded, match="No repository took the approval"):
        put_signed(said("ada"), {"offsite": Down()})
    with pytest.raises(StorageUnreachable):
        read_given("family", SHA, {"offsite": Down()})


def test_a_plan_is_found_by_its_whole_hash_only() -> None:
    storages = {"local": MemoryStorage(), "offsite": MemoryStorage()}
    assert put_plan(PLAN, {"offsite": storages["offsite"]}).added == ("offsite",)
    assert put_plan(PLAN, storages).added == ("local",)
    assert read_plan("family", SHA, storages) == PLAN
    for wanted in (SHA[:16], SHA[:-1], SHA.upper(), "", "../" + SHA):
        with pytest.raises(FailoverPlanInvalid, match="is not the whole SHA-256"):
            read_plan("family", wanted, storages)
    with pytest.raises(FailoverPlanInvalid, match="No repository has the plan"):
        read_plan("shop", SHA, storages)


def test_a_plan_that_was_changed_in_the_repository_can_not_be_approved_by_mistake() -> None:
    document = PLAN.as_dict()
    document["steps"][1]["what"] = "Promote mallory's."
    own = plan_of(what="Promote mallory's.").as_dict()
    for forged in (document, own, {**own, "sha256": SHA}):
        storage = MemoryStorage()
        storage.put(plan_key("family", SHA), json.dumps(forged).encode())
        with pytest.raises(FailoverPlanInvalid, match="No repository has the plan"):
            read_plan("family", SHA, {"local": storage})
        assert waiting_plans("family", {"local": storage}) == []
        with pytest.raises(FailoverPlanInvalid):
            parse_stored_plan(json.dumps(forged).encode(), key=plan_key("family", SHA))


def test_waiting_plans_are_those_of_the_service_newest_first() -> None:
    storages = {"local": MemoryStorage()}
    other = plan_of(what="Other.")
    later = type(PLAN)(**{**vars(PLAN), "made": "2026-11-22T02:00:00Z"})
    for plan in (PLAN, other, later, plan_of("shop")):
        put_plan(plan, storages)
    storages["local"].put(f"{approvals_folder('family')}nothing/.plan.json", b"{}")
    assert waiting_plans("family", storages)[0] == later
    assert len(waiting_plans("family", storages)) == 3
