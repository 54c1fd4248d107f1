# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who must approve a failover: what is no key, nobody, or one person twice, is found in the description."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schema_approvals import (
    APPROVALS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ConfigurationInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.approval_rules import policy_from
from tests.support.approvals import public_key
from tests.unit.description.samples import description

ADA: t.Final = {"name": "ada", "key": public_key("ada") + " ada@desk"}
FILE: t.Final = {"name": "grace", "allowed_signers": "/etc/lifeboat/allowed_signers", "principal": "grace@example.org"}


def described(**changes: t.Any) -> dict[str, t.Any]:
    data = description()
    data["lifeboat_services"][0]["approvals"] = {"needed": 2, "signers": [ADA, FILE], **changes}
    return data


def test_it_is_read_as_it_is_written() -> None:
    service = load_description(described(valid_for="90m", revoked_keys="/etc/lifeboat/revoked")).services[0]
    policy = policy_from(service.surroundings["approvals"])
    assert policy is not None
    assert (policy.needed, policy.drill, policy.valid_for.total_seconds()) == (2, "none", 5400)
    assert [(one.name, one.principal) for one in policy.signers] == [("ada", "ada"), ("grace", "grace@example.org")]
    assert policy.signers[0].key == public_key("ada"), "a comment is no part of a key"


def test_a_note_for_people_changes_nothing_that_is_judged() -> None:
    noted = [{**ADA, "description": "on call"}, FILE]
    policies = [policy_from({"needed": 2, "signers": signers}) for signers in ([ADA, FILE], noted)]
    assert [one.sha256 for one in policies if one] == [policies[0].sha256 if policies[0] else ""] * 2


@pytest.mark.parametrize(
    ("changes", "place", "problem"),
    [
        ({"needed": 3}, "needed", "3 must approve, and there are 2 who may."),
        ({"needed": 0}, "needed", "must be at least 1."),
        ({"signers": []}, "signers", ""),
        ({"signers": [ADA, {**ADA, "name": "other"}]}, "signers[1] (other) > key", "is the key of ada, too."),
        ({"signers": [ADA, {**FILE, "name": "ada"}]}, "signers[1] (ada) > name", "is the name of entry 0 already."),
        ({"signers": [{"name": "ada"}, FILE]}, "signers[0] (ada)", ""),
        ({"signers": [{**ADA, **FILE}, FILE]}, "signers[0] (grace)", ""),
        ({"signers": [{**ADA, "key": "ssh-ed25519 x"}, FILE]}, "signers[0] (ada) > key", "cut short or changed"),
        ({"signers": [{**ADA, "principal": "ada"}, FILE]}, "principal", "is of no use without allowed_signers."),
        ({"signers": [ADA, {**FILE, "principal": "*"}]}, "principal", "is no single principal."),
        ({"signers": [ADA, {**FILE, "allowed_signers": "keys"}]}, "allowed_signers", "is not an absolute path."),
        ({"revoked_keys": "revoked"}, "revoked_keys", "is not an absolute path."),
        ({"valid_for": "soon"}, "valid_for", "soon"),
        ({"drill": "perhaps"}, "drill", "perhaps"),
        ({"quorum": 2}, "quorum", "unknown key"),
    ],
)
def test_what_can_not_be_meant_is_found_where_it_is(changes: dict[str, t.Any], place: str, problem: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        load_description(described(**changes))
    found = caught.value.details["problems"]
    assert [one for one in found if place in one["path"] and problem in one["problem"]], found


def test_a_private_key_in_a_description_is_not_printed_again() -> None:
    private = "-----{} OPENSSH " + "PRIVATE KEY-----"
    private = f"{private.format('BEGIN')}\nc2VjcmV0\n{private.format('END')}"
    with pytest.raises(ConfigurationInvalid) as caught:
        load_description(described(signers=[{**ADA, "key": private}, FILE]))
    assert "that is a private key" in caught.value.message
    assert "c2VjcmV0" not in str(caught.value)


def test_the_module_takes_what_the_description_says() -> None:
    argspec = pytest.importorskip(
        "ansible_collections.lifeboat.recovery.plugins.module_utils._argspec", reason="needs ansible"
    )
    policy = argspec.approvals_option()["policy"]["options"]
    assert set(policy) == set(APPROVALS["properties"])
    assert set(policy["signers"]["options"]) == set(APPROVALS["properties"]["signers"]["items"]["properties"])
    for name in ("valid_for", "drill"):
        assert policy[name]["default"] == APPROVALS["properties"][name]["default"]
