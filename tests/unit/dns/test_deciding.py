# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a record moves, when servers agree, and what is doubtful: decided without a server."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    DnsChangedMeanwhile,
    DnsError,
    DnsNotAgreed,
    DnsOtherType,
    DnsRecordMissing,
    DnsRefused,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.agreeing import (
    require_agreement,
    wait_for_agreement,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.answer import Agreement, Answer
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.change import (
    change_of,
    seconds_to_wait,
    ttl_doubts,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.record import Found, Record, record_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.servers import (
    AUTHORITATIVE,
    RESOLVER,
    Server,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.switching import switch
from tests.support.clocks import FakeClock

OLD, NEW = "192.0.2.30", "198.51.100.30"
RECORD = record_of(name="api.example.org", type="A", zone="example.org", values=[NEW], ttl=60)


class Place:
    """A zone with one record; *faults* are raised by the calls of that name."""

    shown = "the place"

    def __init__(self, found: Found | None, *, faults: dict[str, Exception] | None = None, takes: bool = True) -> None:
        self.found = found
        self.calls: list[str] = []
        self._faults = faults or {}
        self._takes = takes

    def look(self, record: Record) -> Found | None:
        self._call("look")
        return self.found

    def try_rights(self, record: Record, found: Found | None) -> None:
        self._call("try_rights")

    def change(self, record: Record, found: Found | None) -> None:
        if self._takes:
            self.found = record.wanted
        self._call("change")

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self._faults:
            raise self._faults[name]


def test_a_record_is_changed_once_and_only_when_it_has_to_be() -> None:
    place = Place(Found((OLD,), 60))
    moved = switch(RECORD, place, check=False)
    assert (moved.changed, moved.before, place.calls) == (True, Found((OLD,), 60), ["look", "change", "look"])
    assert not switch(RECORD, place, check=False).changed
    assert place.calls.count("change") == 1


def test_checking_tries_the_right_also_where_nothing_has_to_be_changed() -> None:
    for found in (Found((OLD,), 60), RECORD.wanted):
        place = Place(found)
        assert switch(RECORD, place, check=True).changed == (found != RECORD.wanted)
        assert place.calls == ["look", "try_rights"]
        with pytest.raises(DnsRefused):
            switch(RECORD, Place(found, faults={"try_rights": DnsRefused("no")}), check=True)


def test_a_lost_answer_is_no_conflict_and_a_conflict_is_one() -> None:
    lost = Place(Found((OLD,), 60), faults={"change": DnsChangedMeanwhile("x")})
    assert switch(RECORD, lost, check=False).changed
    with pytest.raises(DnsChangedMeanwhile):
        switch(RECORD, Place(Found((OLD,), 60), faults={"change": DnsChangedMeanwhile("x")}, takes=False), check=False)


def test_what_was_taken_and_is_not_there_is_an_error() -> None:
    with pytest.raises(DnsError, match="does not have it"):
        switch(RECORD, Place(Found((OLD,), 60), takes=False), check=False)


def test_a_record_that_is_missing_is_made_on_request_only() -> None:
    for check in (True, False):
        with pytest.raises(DnsRecordMissing):
            switch(RECORD, Place(None), check=check)
    assert switch(RECORD, Place(None), check=False, create=True).before is None


class Script:
    """Answers by rounds: for each server a list of what it says; the last is repeated."""

    def __init__(self, **says: list[t.Any]) -> None:
        self._says = says
        self.servers = [Server(name, "192.0.2.53", 53, RESOLVER if name[0] == "r" else AUTHORITATIVE) for name in says]

    def ask(self, server: Server, record: Record) -> Answer:
        left = self._says[server.name]
        said = left.pop(0) if len(left) > 1 else left[0]
        if said is None:
            return Answer(server, None, problem="no answer within 2 s")
        if said == "CNAME":
            return Answer(server, (), other_type="CNAME")
        return Answer(server, (said,), ttl=17)

    def wait(self, timeout: float = 60, *, strict: bool = True) -> tuple[Agreement, FakeClock]:
        clock = FakeClock()
        return (
            wait_for_agreement(RECORD, self.servers, asker=self, clock=clock, timeout=timeout, strict=strict),
            clock,
        )


def test_it_waits_until_all_agree_in_one_round() -> None:
    found, clock = Script(one=[NEW], two=[OLD, OLD, NEW], resolver=[OLD, NEW]).wait()
    assert (found.agreed, found.rounds, len(clock.slept)) == (True, 3, 2)
    after = {one.answer.server.name: one.agreed_after for one in found.asked}
    assert after["one"] == 0
    assert (after["two"] or 0) > (after["resolver"] or 0) > 0
    # Who agreed and does not any more is not counted by its first answer.
    wavering, _clock = Script(one=[NEW, OLD, NEW], two=[OLD, OLD, OLD, NEW]).wait()
    assert wavering.asked[0].agreed_after != 0


def test_time_runs_out_and_the_last_answers_are_told() -> None:
    found, clock = Script(one=[NEW], two=[OLD], resolver=[OLD]).wait(timeout=10)
    assert not found.agreed
    assert sum(clock.slept) <= 10
    with pytest.raises(DnsNotAgreed, match=f"two says {OLD}") as raised:
        require_agreement(found)
    assert "17 s" in raised.value.hint
    assert raised.value.details["lagging"] == [
        f"two says {OLD}, remembered for 17 s",
        f"resolver says {OLD}, remembered for 17 s",
    ]


def test_a_server_that_says_nothing_holds_up_those_who_are_strict_only() -> None:
    strict, clock = Script(one=[NEW], lost=[None]).wait(timeout=30)
    assert not strict.agreed
    assert sum(clock.slept) > 20
    with pytest.raises(DnsNotAgreed):
        require_agreement(strict)
    lenient, clock = Script(one=[NEW], lost=[None]).wait(timeout=30, strict=False)
    require_agreement(lenient, strict=False)
    assert (lenient.rounds, sum(clock.slept) < 5) == (3, True)
    assert lenient.as_dict()["lagging"] == ["lost says no answer within 2 s"]


@pytest.mark.parametrize(
    ("says", "proven"),
    [
        ({"one": [NEW], "two": [OLD]}, False),
        ({"one": [None], "two": [None]}, False),
        ({"resolver": [NEW]}, False),
        ({"one": [NEW], "resolver": [OLD]}, True),
        ({"one": [NEW], "resolver": [None]}, True),
    ],
)
def test_what_is_proof_enough(says: dict[str, list[t.Any]], proven: bool) -> None:
    found, _clock = Script(**says).wait(timeout=0, strict=False)
    assert found.proven == proven
    if proven:
        require_agreement(found, strict=False)
    else:
        with pytest.raises(DnsNotAgreed):
            require_agreement(found, strict=False)


def test_another_type_ends_it_and_nobody_to_ask_is_refused() -> None:
    with pytest.raises(DnsOtherType):
        Script(one=["CNAME"]).wait()
    # A resolver may remember what was there before.
    assert Script(one=[NEW], resolver=["CNAME", NEW]).wait()[0].agreed
    with pytest.raises(RequestInvalid):
        Script().wait()


DESCRIBED: dict[str, t.Any] = {"name": "api.example.org", "type": "A", "ttl": 60, "zone": "example.org"}


def test_what_a_step_means() -> None:
    change = change_of(
        {
            **DESCRIBED,
            "provider": "rfc2136",
            "server": "192.0.2.53",
            "key_file": "/k",
            "nameservers": ["ns1.example.org"],
        },
        [NEW],
        region="east",
        previous=[OLD],
    )
    assert change["options"] == {"server": "192.0.2.53", "key_file": "/k"}
    assert change["nameservers"] == ["ns1.example.org", "192.0.2.53"]
    assert (change["previous"], change["only_try"], change["by"]) == ([OLD], False, "server")
    # Without nameservers those of the zone are asked, and nobody else.
    assert change_of({**DESCRIBED, "provider": "rfc2136", "server": "192.0.2.53"}, [NEW])["nameservers"] == []
    bare = {"name": "api.example.org", "type": "A", "ttl": 60}
    assert change_of(bare, [NEW])["zone"] == "example.org"
    with pytest.raises(RequestInvalid, match="zone"):
        change_of({**bare, "provider": "route53"}, [NEW])


def test_words_are_filled_in_after_the_command_was_split() -> None:
    described = {**DESCRIBED, "provider": "command", "command": "move '{name} now' {values} {ttl} --in={region}"}
    change = change_of(described, ["192.0.2.2", "192.0.2.1"], region="a; rm -rf b")
    assert change["command"] == ["move", "api.example.org now", "192.0.2.1,192.0.2.2", "60", "--in=a; rm -rf b"]
    with pytest.raises(RequestInvalid, match="can't be read"):
        change_of({**described, "command": "move '"}, [NEW])


def test_a_drill_moves_its_own_name_or_nothing() -> None:
    described = {
        **DESCRIBED,
        "provider": "route53",
        "zone_id": "ZPROD",
        "drill": {"name": "api.test.example.net", "zone": "example.net"},
    }
    own = change_of(described, [NEW], drill=True)
    assert (own["name"], own["zone"], own["options"], own["only_try"]) == (
        "api.test.example.net",
        "example.net",
        {},
        False,
    )
    del described["drill"]
    assert change_of(described, [NEW], drill=True)["only_try"]


def test_the_time_for_the_proof_is_that_of_what_is_remembered() -> None:
    change = change_of(DESCRIBED, [NEW])
    assert seconds_to_wait(change, None) == 180
    assert seconds_to_wait(change, 3600) == 3720
    assert seconds_to_wait(change_of({**DESCRIBED, "wait": "30s"}, [NEW]), 3600) == 30


@pytest.mark.parametrize(
    ("found", "objective", "words"),
    [
        (60, "15m", []),
        (None, None, []),
        (30, "15m", []),
        (3600, "2h", ["remembered for 3600 s today"]),
        (3600, "15m", ["remembered for 3600 s today", "longer than the service may be away"]),
        (60, "30s", ["longer than the service may be away"]),
    ],
)
def test_what_is_doubtful_about_a_ttl(found: int | None, objective: str | None, words: list[str]) -> None:
    doubts = ttl_doubts("api.example.org", described=60, found=found, objective=objective)
    assert len(doubts) == len(words)
    for doubt, word in zip(doubts, words):
        assert word in doubt
