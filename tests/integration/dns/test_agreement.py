# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking real name servers until they agree: the slow secondary, the resolver that remembers, the one that is down."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import Clock, SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    DnsNotAgreed,
    DnsOtherType,
    DnsUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.agreeing import (
    require_agreement,
    wait_for_agreement,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.answer import Agreement
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.asking import (
    DnsAsker,
    authoritative_servers,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.record import Record
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.servers import RESOLVER, servers_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.switching import switch
from sandbox.bind import NameServer, Zone
from sandbox.ports import free_port
from tests.integration.dns.conftest import NEW, OLD, ZONE, Site, api


def ask(
    record: Record,
    *names: t.Any,
    resolvers: t.Sequence[t.Any] = (),
    timeout: float = 60,
    patience: float = 5,
    clock: Clock | None = None,
) -> Agreement:
    given = [getattr(one, "uri", one) for one in names]
    servers = authoritative_servers(record.zone, given=given, resolvers=[])
    servers += servers_of([getattr(one, "uri", one) for one in resolvers], role=RESOLVER)
    asker = DnsAsker(seconds=patience)
    return wait_for_agreement(record, servers, asker=asker, clock=clock or SystemClock(), timeout=timeout)


class AndThen(SystemClock):
    """While somebody waits for the first time, something happens."""

    def __init__(self, event: t.Callable[[], None]) -> None:
        self._event: t.Callable[[], None] | None = event

    def sleep(self, seconds: float) -> None:
        if self._event is not None:
            self._event()
            self._event = None
        super().sleep(seconds)


def test_agreement_waits_for_a_secondary_and_for_a_resolver_that_remembers(site: Site) -> None:
    """The secondary copies the zone again when it is told to, and the resolver has six seconds to remember."""
    remembered = api(OLD, ttl=6)
    switch(remembered, site.provider(), check=False)
    with (
        NameServer(zones=[Zone(ZONE, primary=site.server)]) as secondary,
        NameServer(forwards_to=site.server) as resolver,
    ):
        assert resolver.says(f"api.{ZONE}") == [OLD]
        switch(api(NEW), site.provider(), check=False)
        at_once = ask(api(NEW), site.server, secondary, resolvers=[resolver], timeout=0)
        found = {one.answer.server.name: one for one in at_once.asked}
        assert (at_once.agreed, at_once.rounds) == (False, 1)
        assert found[site.server.uri].agreed_after is not None
        assert found[resolver.uri].answer.values == (OLD,)
        assert 0 < (found[resolver.uri].answer.ttl or 0) <= 6
        with pytest.raises(DnsNotAgreed, match=f"{secondary.uri} says {OLD}") as raised:
            require_agreement(at_once)
        assert "ask anew" in raised.value.hint
        told = AndThen(lambda: secondary.copy_again(ZONE))
        agreed = ask(api(NEW), site.server, secondary, resolvers=[resolver], clock=told)
        assert agreed.agreed
        assert agreed.rounds > 1
        after = {one.answer.server.name: one.agreed_after for one in agreed.asked}
        assert (after[site.server.uri] or 0) < (after[secondary.uri] or 0)
        assert agreed.seconds >= max(one or 0 for one in after.values())
        assert (secondary.says(f"api.{ZONE}"), resolver.says(f"api.{ZONE}")) == ([NEW], [NEW])


def test_a_server_that_is_down_or_knows_nothing_never_agrees(site: Site) -> None:
    down = f"127.0.0.1:{free_port()}"
    with NameServer(zones=[Zone("other.test")]) as stranger, NameServer(forwards_to=site.server) as resolver:
        # A resolver that is named as one that knows the zone is no proof.
        found = ask(api(OLD), site.server, down, stranger, resolver, "nobody.invalid", timeout=0, patience=2)
    said = {one.answer.server.name: one.answer.said(api(OLD)) for one in found.asked}
    assert said[site.server.uri] == OLD
    assert "can't be reached" in said[down] or "no answer" in said[down]
    assert said[stranger.uri] == "it answers REFUSED"
    assert said[resolver.uri] == "it does not know the zone itself"
    assert said["nobody.invalid"] == "its name has no address"
    assert len(found.dissenting) == 4


@pytest.mark.parametrize(
    ("name", "type_", "values", "words"),
    [("web", "A", NEW, "is of type CNAME"), ("api", "CNAME", "elsewhere.example.org", "is of type A")],
)
def test_another_type_ends_it_at_once(site: Site, name: str, type_: str, values: str, words: str) -> None:
    with pytest.raises(DnsOtherType, match=words):
        ask(api(values, name=name, type=type_), site.server, timeout=60)


def test_values_are_compared_as_a_set_and_a_missing_record_is_an_answer(site: Site) -> None:
    assert ask(api("192.0.2.2", "192.0.2.1", name="two"), site.server, timeout=0).agreed
    part = ask(api("192.0.2.1", name="two"), site.server, timeout=0)
    assert part.asked[0].answer.values == ("192.0.2.1", "192.0.2.2")
    assert not part.agreed
    assert ask(api(name="gone"), site.server, timeout=0).asked[0].answer.said(api()) == "no such record"


def test_the_servers_of_a_zone_are_found_by_a_resolver(site: Site, tmp_path: pathlib.Path) -> None:
    del tmp_path
    with NameServer(forwards_to=site.server) as resolver:
        for zone in (f"{ZONE}.", f"deep.inside.{ZONE}."):
            found = authoritative_servers(zone, given=[], resolvers=[resolver.uri])
            assert [(one.name, one.address, one.port) for one in found] == [(f"ns1.{ZONE}", "127.0.0.1", 53)]
        with pytest.raises(DnsUnreachable, match="Nobody says"):
            authoritative_servers("nowhere.invalid.", given=[], resolvers=[resolver.uri])
