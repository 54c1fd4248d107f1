# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names a play is about, what is doubtful about them, and what stays of a move."""

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("ansible")

from ansible_collections.lifeboat.recovery.plugins.filter.dns_play import (
    name_before,
    name_change,
    name_result,
    name_seen,
    name_told,
    name_wait,
    names_of_service,
)
from tests.unit.description.samples import changed

Json = dict[str, t.Any]
OLD, NEW = "192.0.2.30", "198.51.100.30"
RECORD = {"name": "api.example.org", "type": "A", "ttl": 60, "zone": "example.org", "provider": "manual"}


def steps(wanted: str = "family", region: str = "north", *records: Json) -> list[Json]:
    listed = list(records) or [{**RECORD, "values": {"north": [NEW]}}]
    described = changed("lifeboat_services.0.dns", listed)
    described["lifeboat_services"][0]["objectives"] = {"rto": "30s"}
    return names_of_service(described["lifeboat_services"], described["lifeboat_repositories"], None, wanted, region)


def test_the_steps_are_those_of_a_plan() -> None:
    (step,) = steps()
    assert (step["kind"], step["name"], step["what"]) == (
        "dns",
        "dns-api.example.org",
        f"Point api.example.org to {NEW}.",
    )
    assert step["options"]["values"] == [NEW]
    assert steps("family/api.example.org") == [step]
    assert steps("somebody") == []


@pytest.mark.parametrize(
    ("wanted", "region", "words"),
    [
        ("", "north", "does not say whose"),
        ("family/www.example.org", "north", "no name www.example.org"),
        ("family", "nowhere", "no region nowhere"),
        ("family", "", "Say which: -e lifeboat_region"),
    ],
)
def test_what_can_not_be_meant_is_refused(wanted: str, region: str, words: str) -> None:
    from ansible.errors import AnsibleFilterError

    with pytest.raises(AnsibleFilterError, match=words):
        steps(wanted, region)
    with pytest.raises(AnsibleFilterError, match="no values for north"):
        steps("family", "north", RECORD)


def test_the_step_of_a_failover_says_what_it_is_to_say() -> None:
    """The form in which a plan has it: the record, its values, and those of the region that is left."""
    options = {"record": dict(RECORD), "values": [NEW], "previous": [OLD]}
    change = name_change({"options": options})
    assert (change["values"], change["previous"], change["by"]) == ([NEW], [OLD], "manual")
    assert name_wait(change, None) == 180
    assert name_wait(change, {"ttl": 600, "values": []}) == 720
    described = {**RECORD, "values": {"south": [OLD]}}
    assert name_change({"options": {"record": described, "region": "south"}})["values"] == [OLD]
    from ansible.errors import AnsibleFilterError

    with pytest.raises(AnsibleFilterError, match="nobody knows where to"):
        name_change({"options": {"record": described, "region": "north"}})


def answer(role: str, values: list[str] | None, ttl: int | None = 60) -> Json:
    said = ", ".join(values or ["no answer"])
    return {"server": role, "role": role, "answer": values, "ttl": ttl, "said": said, "agreed_after": None}


def test_what_it_was_before_is_the_word_of_who_knows_the_zone() -> None:
    assert name_before([answer("resolver", [NEW]), answer("authoritative", [OLD], 3600)]) == {
        "values": [OLD],
        "ttl": 3600,
    }
    assert name_before([answer("authoritative", None), answer("authoritative", [])]) is None


def test_a_look_has_warnings_for_the_plan_and_problems_that_would_stop_it() -> None:
    (step,) = steps()
    change = name_change(step)
    asked = {"answers": [answer("authoritative", [OLD], 3600)]}
    seen = name_seen(step, change, {}, asked)
    assert (seen["moves"], seen["problems"], len(seen["warnings"])) == (True, [], 2)
    assert "longer than the service may be away" in seen["warnings"][1]
    refused = name_seen(step, change, {"code": "dns.refused", "msg": "no right [dns.refused]\n  hint: x"}, asked)
    assert refused["problems"] == ["api.example.org: no right [dns.refused]"]
    assert name_seen(step, change, {"rc": 2, "msg": "boom"}, asked)["problems"] == ["api.example.org: boom (status 2)"]
    silent = name_seen(step, change, {}, {"code": "dns.unreachable", "msg": "nobody"})
    assert silent["problems"] == ["api.example.org: nobody"]
    there = name_seen(step, change, {"record": {"before": {"values": [NEW], "ttl": 60}}}, asked)
    assert not there["moves"]


def test_the_result_has_the_way_back_and_who_lags() -> None:
    change = name_change({"options": {"record": dict(RECORD), "values": [NEW], "previous": [OLD]}})
    proof = {
        "agreed": False,
        "proven": True,
        "seconds": 3.1,
        "lagging": ["9.9.9.9 says 192.0.2.30"],
        "answers": [answer("authoritative", [NEW])],
    }
    result = name_result(change, {"before": {"values": [OLD], "ttl": 60}}, proof, changed=True)
    assert (result["before"], result["after"]) == ({"values": [OLD], "ttl": 60}, {"values": [NEW], "ttl": 60})
    told = name_told(result)
    assert f"before, it said {OLD} (TTL 60)" in told[0]
    assert told[-1] == "Not yet, or never: 9.9.9.9 says 192.0.2.30"
    assert name_told({**result, "before": None, "lagging": []})[0].endswith("it said nothing that is known.")
