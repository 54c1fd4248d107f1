# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Approvals by real keys: signed and asked about by ssh-keygen, kept in repositories, and what people try with them."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import FailoverApprovalInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.approval import (
    APPROVE,
    parse_signed,
    statement_about,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.approval_rules import (
    Signer,
    judge,
    policy_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.approval_store import put_plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.ssh_signature import sign, verifier
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.approvals import PLAN, plan_of
from tests.support.approvers import Desk, Person, keygen
from tests.support.clocks import FakeClock

HOUR = "2026-11-21T02:00:00Z"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Person]:
    folder = tmp_path_factory.mktemp("people")
    kinds = {"ada": "ed25519", "grace": "ecdsa", "linus": "rsa", "mallory": "ed25519"}
    return {name: Person.new(folder, name, kind=kind) for name, kind in kinds.items()}


@pytest.fixture
def desk(tmp_path: pathlib.Path, people: dict[str, Person]) -> Desk:
    return Desk.new(tmp_path, PLAN, [people[name].signer for name in ("ada", "grace", "linus")])


def names(asked: dict[str, t.Any]) -> list[str]:
    return [one["signer"] for one in asked["approved"]]


def test_each_kind_of_key_signs_and_is_kept_in_every_repository(desk: Desk, people: dict[str, Person]) -> None:
    assert desk.asked()["missing"] == 2
    first = desk.approve(people["ada"]).succeeded()
    assert "Signed by ada, kept in local, offsite." in first.out
    assert "1 of 2 approvals." in first.out
    assert "1 approval is missing; grace and linus may give it." in first.out
    desk.approve(people["grace"]).succeeded()
    asked = desk.asked()
    assert (sorted(names(asked)), asked["missing"], asked["refused"]) == (["ada", "grace"], 0, [])
    desk.approve(people["linus"]).succeeded()
    assert sorted(names(desk.asked())) == ["ada", "grace", "linus"]
    for repository in ("local", "offsite"):
        assert [path.name for path in desk.approvals(repository)] == ["ada.json", "grace.json", "linus.json"]


def test_stock_ssh_keygen_reads_what_was_signed(desk: Desk, people: dict[str, Person], tmp_path: pathlib.Path) -> None:
    desk.approve(people["ada"]).succeeded()
    document = json.loads(desk.approvals()[0].read_text())
    (tmp_path / "signature").write_text(document["signature"])
    (tmp_path / "allowed").write_text(f"ada {people['ada'].public}\n")
    command = "ssh-keygen -Y verify -n lifeboat-failover -f allowed -I ada -s signature"
    canonical = json.dumps(document["statement"], sort_keys=True, separators=(",", ":")) + "\n"
    subprocess.run(command.split(), cwd=tmp_path, input=canonical, text=True, check=True, timeout=60)


def test_the_plan_is_shown_first_and_signed_with_yes_only(desk: Desk, people: dict[str, Person]) -> None:
    said = desk.lifeboat("failover approve --plan", str(desk.plan_file), "--key", str(people["ada"].key)).succeeded()
    assert "  2. Promote it. (on new, no way back but a restore)" in said.out
    assert PLAN.fingerprint in said.out
    assert "Nothing was signed. To approve it as ada, until " in said.out
    assert desk.approvals() == []
    again = said.out.rsplit(": lifeboat ", maxsplit=1)[1]
    assert "kept in local, offsite" in desk.lifeboat(again).succeeded().out


def test_somebody_else_s_key_is_refused_before_anything_is_kept(desk: Desk, people: dict[str, Person]) -> None:
    mallory = people["mallory"]
    desk.approve(mallory).refused("failover.key_unusable", hint="--as NAME")
    desk.approve(mallory, "--as", "mallory").refused("failover.key_unusable", hint="ada, grace, linus")
    desk.approve(mallory, "--as", "ada").refused("failover.key_unusable", hint="the description has for you")
    assert desk.approvals() == []


def test_a_changed_plan_can_not_be_approved(desk: Desk, people: dict[str, Person]) -> None:
    document = PLAN.as_dict()
    document["steps"][1]["what"] = "Promote another."
    desk.plan_file.write_text(json.dumps(document))
    desk.approve(people["ada"]).refused("failover.plan_invalid")
    desk.plan_file.write_text("{")
    desk.approve(people["ada"]).refused("failover.plan_invalid")


def test_what_was_signed_for_one_plan_is_nothing_for_another(desk: Desk, people: dict[str, Person]) -> None:
    desk.approve(people["ada"]).succeeded()
    other = plan_of(what="Promote another.")
    desk.plan_file.write_text(json.dumps(other.as_dict()))
    moved = desk.folder / "local/family/.failover/.approvals" / other.fingerprint
    moved.mkdir()
    document = json.loads(desk.approvals()[0].read_text())
    (moved / "ada.json").write_text(json.dumps(document))
    # As it is, and with the words of the other plan over the old signature.
    (moved / "ada+2.json").write_text(
        json.dumps({**document, "statement": {**document["statement"], "plan_sha256": other.fingerprint}})
    )
    asked = desk.asked()
    assert names(asked) == []
    assert len(asked["refused"]) == 2
    assert any("it is about another plan" in one for one in asked["refused"])
    assert any("ssh-keygen does not accept the signature as ada's" in one for one in asked["refused"])


@pytest.mark.parametrize("change", [{"until": "2099-01-01T00:00:00Z"}, {"signer": "grace"}, {"service": "adhd"}])
def test_no_word_of_what_was_signed_can_be_changed(
    desk: Desk, people: dict[str, Person], change: dict[str, str]
) -> None:
    desk.approve(people["ada"]).succeeded()
    for repository in ("local", "offsite"):
        (path,) = desk.approvals(repository)
        document = json.loads(path.read_text())
        document["statement"].update(change)
        path.chmod(0o600)
        path.write_text(json.dumps(document))
    assert names(desk.asked()) == []


def test_a_signature_of_another_namespace_is_no_approval(people: dict[str, Person], tmp_path: pathlib.Path) -> None:
    """What somebody signed for git must not approve anything."""
    statement = statement_about(PLAN, says=APPROVE, signer="ada", made=HOUR, until="2026-11-21T03:00:00Z")
    for namespace, accepted in (("git", False), ("lifeboat-failover", True)):
        made = subprocess.run(
            ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(people["ada"].key)],
            input=statement.as_bytes(),
            capture_output=True,
            check=True,
            timeout=60,
        )
        signed = parse_signed({"statement": statement.as_dict(), "signature": made.stdout.decode()})
        verdict = judge(
            PLAN,
            policy_from({"needed": 1, "signers": [people["ada"].signer]}),
            [signed],
            verify=verifier(SubprocessRunner()),
            now=parse_time(HOUR),
        )
        assert (verdict.missing == 0) is accepted, verdict.refused


def test_expired_and_renewed(desk: Desk, people: dict[str, Person]) -> None:
    made, until = "2026-11-20T02:00:00Z", "2026-11-20T06:00:00Z"
    statement = statement_about(PLAN, says=APPROVE, signer="ada", made=made, until=until)
    signed = sign(statement, key=str(people["ada"].key), runner=SubprocessRunner())
    folder = desk.folder / "local/family/.failover/.approvals" / PLAN.fingerprint
    folder.mkdir(parents=True)
    (folder / "ada.json").write_bytes(signed.as_bytes())
    asked = desk.asked()
    assert names(asked) == []
    assert f"it has expired at {until}" in asked["refused"][0]
    desk.approve(people["ada"]).succeeded()
    assert names(desk.asked()) == ["ada"]
    assert [path.name for path in desk.approvals()] == ["ada+2.json", "ada.json"]


def test_taken_back(desk: Desk, people: dict[str, Person]) -> None:
    desk.approve(people["ada"]).succeeded()
    words = ("failover withdraw --yes --plan", str(desk.plan_file), "--key")
    desk.lifeboat(*words, str(people["mallory"].key), "--as", "ada").refused("failover.key_unusable")
    assert names(desk.asked()) == ["ada"]
    desk.lifeboat(*words, str(people["ada"].key)).succeeded()
    asked = desk.asked()
    assert names(asked) == []
    assert "ada withdrew it at" in asked["refused"][0]


def test_by_a_file_where_the_repositories_can_not_be_reached(desk: Desk, people: dict[str, Person]) -> None:
    for repository in ("local", "offsite"):
        (desk.folder / repository).rmdir()
    file = desk.folder / "grace.json"
    desk.approve(people["grace"], "--out", str(file)).succeeded()
    desk.approve(people["grace"], "--out", str(file)).refused("output.unwritable")
    for repository in ("local", "offsite"):
        (desk.folder / repository).mkdir()
    assert names(desk.asked()) == []
    assert names(desk.asked("--approval", str(file))) == ["grace"]


def test_a_plan_in_the_repositories_is_approved_by_its_hash(desk: Desk, people: dict[str, Person]) -> None:
    put_plan(PLAN, {"local": LocalStorage(path=str(desk.folder / "local"))})
    listed = desk.lifeboat("failover show").succeeded().out
    assert "family: no failover so far" in listed
    assert f"The plan's SHA-256: {PLAN.fingerprint}" in listed
    assert "2 approvals are missing; ada, grace and linus may give them." in listed
    key = str(people["ada"].key)
    desk.lifeboat("failover approve --yes --plan", PLAN.fingerprint, "--key", key).succeeded()
    desk.lifeboat("failover approve --yes --plan", PLAN.fingerprint[:20], "--key", key).refused("request.invalid")
    assert names(desk.asked()) == ["ada"]
    waiting = desk.lifeboat("failover show family --json").succeeded().document["services"][0]["waiting"]
    assert waiting[0]["approvals"]["missing"] == 1


def test_a_certificate_counts_as_long_as_it_is_valid(tmp_path: pathlib.Path, people: dict[str, Person]) -> None:
    authority, ada = Person.new(tmp_path, "authority"), Person.new(tmp_path, "ada")
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f'ada@example.org cert-authority,namespaces="lifeboat-failover" {authority.public}\n')
    signers = [
        {"name": "ada", "allowed_signers": str(allowed), "principal": "ada@example.org"},
        people["grace"].signer,
    ]
    desk = Desk.new(tmp_path, PLAN, signers)
    certificate = f"{ada.key}-cert.pub"

    def certified(principal: str, validity: str) -> Person:
        keygen("-s", authority.key, "-I", "ada", "-n", principal, "-V", validity, f"{ada.key}.pub")
        # ssh-keygen signs with a certificate when it is given its file.
        return Person(name="ada", key=pathlib.Path(certificate))

    signing = ("--as", "ada")
    desk.approve(ada, *signing).refused("failover.key_unusable")
    desk.approve(certified("ada@example.org", "-2h:-1h"), *signing).refused("failover.key_unusable")
    desk.approve(certified("mallory@example.org", "+1h"), *signing).refused("failover.key_unusable")
    desk.approve(certified("ada@example.org", "+1h"), *signing).succeeded()
    assert names(desk.asked()) == ["ada"]


def test_a_revoked_key_counts_no_more(tmp_path: pathlib.Path, people: dict[str, Person]) -> None:
    revoked = tmp_path / "revoked"
    keygen("-k", "-f", revoked)
    desk = Desk.new(tmp_path, PLAN, [people[name].signer for name in ("ada", "grace")], revoked_keys=str(revoked))
    desk.approve(people["ada"]).succeeded()
    assert names(desk.asked()) == ["ada"]
    keygen("-k", "-f", revoked, f"{people['ada'].key}.pub")
    asked = desk.asked()
    assert names(asked) == []
    assert f"or {revoked} has its key" in asked["refused"][0]
    revoked.unlink()
    assert f"{revoked} is not on this host" in desk.asked()["refused"][0], "who may be revoked counts for nothing"


def test_a_key_with_a_passphrase_is_used_through_the_agent(tmp_path: pathlib.Path, people: dict[str, Person]) -> None:
    locked = Person.new(tmp_path, "locked", passphrase="a long one")
    desk = Desk.new(tmp_path, PLAN, [locked.signer, people["grace"].signer])
    desk.approve(locked).refused("failover.key_unusable", hint="ssh-add")


def test_an_agent_signs_for_the_public_file(
    tmp_path: pathlib.Path, people: dict[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = subprocess.run(
        ["ssh-agent", "-s", "-a", str(tmp_path / "agent")], capture_output=True, text=True, check=True, timeout=60
    )
    (pid,) = re.findall(r"SSH_AGENT_PID=(\d+);", started.stdout)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        own = Person.new(tmp_path, "own")
        subprocess.run(["ssh-add", "-q", str(own.key)], check=True, capture_output=True, timeout=60)
        own.key.unlink()
        desk = Desk.new(tmp_path, PLAN, [own.signer, people["grace"].signer])
        desk.approve(Person(name="own", key=pathlib.Path(f"{own.key}.pub"))).succeeded()
        assert names(desk.asked()) == ["own"]
    finally:
        os.kill(int(pid), 15)


def test_without_ssh_keygen_nothing_counts_and_its_package_is_named(
    desk: Desk, people: dict[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.approve(people["ada"]).succeeded()
    monkeypatch.setattr(
        "ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner.shutil.which",
        lambda *_words, **_more: None,
    )
    said = desk.lifeboat("failover show --plan", str(desk.plan_file))
    said.refused("tool.missing", hint="openssh-client")


def test_as_of_a_moment_that_is_past(tmp_path: pathlib.Path, people: dict[str, Person]) -> None:
    """A ledger is asked again later: a key that ended since was good when it signed."""
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f'ada valid-before="20261121" {people["ada"].public}\n')
    clock = FakeClock(parse_time("2026-11-19T12:00:00Z"))
    statement = statement_about(
        PLAN, says=APPROVE, signer="ada", made="2026-11-19T12:00:00Z", until="2026-11-19T13:00:00Z"
    )
    signed = sign(statement, key=str(people["ada"].key), runner=SubprocessRunner())
    signer = Signer(name="ada", allowed_signers=str(allowed), principal="ada")
    verify = verifier(SubprocessRunner())
    assert verify(signed, signer, revoked_keys="", at=clock.now()).startswith("SHA256:")
    with pytest.raises(FailoverApprovalInvalid, match="does not accept"):
        verify(signed, signer, revoked_keys="", at=None)
