# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that can't be meant are refused with their place."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ConfigurationInvalid
from tests.unit.description.samples import changed


def described(**record: t.Any) -> dict[str, t.Any]:
    good = {"name": "api.example.org", "type": "A", "ttl": 60, "zone": "example.org", "provider": "manual"}
    given = {name: value for name, value in {**good, **record}.items() if value is not None}
    return changed("lifeboat_services.0.dns", [given])


@pytest.mark.parametrize(
    ("record", "place", "told"),
    [
        ({"provider": "rfc2136"}, "dns[0] (api.example.org)", "provider rfc2136 needs server"),
        ({"provider": "command"}, "dns[0] (api.example.org)", "provider command needs command"),
        ({"provider": "route53", "zone": None}, "dns[0] (api.example.org)", "provider route53 needs zone"),
        ({"provider": "route53", "server": "192.0.2.53"}, "> server", "is for provider rfc2136"),
        ({"command": "x"}, "> command", "is for provider command"),
        ({"zone": "example.net"}, "> zone", "is not in example.net"),
        ({"values": {"north": ["2001:db8::1"]}}, "> values > north[0]", "is no address of IPv4"),
        ({"type": "AAAA", "values": {"north": ["192.0.2.1"]}}, "> values > north[0]", "is no address of IPv6"),
        ({"type": "CNAME", "values": {"north": ["192.0.2.1"]}}, "> values > north[0]", "is an address"),
        ({"type": "CNAME", "values": {"north": ["a.b", "c.d"]}}, "> values > north", "a CNAME has one"),
        ({"values": {"nowhere": ["192.0.2.1"]}}, "> values > nowhere", "no region 'nowhere'"),
        ({"provider": "command", "command": "x {adress}"}, "> command", "{adress} stands for nothing"),
        ({"drill": {"name": "api.example.org", "zone": "example.org"}}, "> drill > name", "that clients use"),
        ({"drill": {"name": "api.example.org", "zone": "test.example"}}, "> drill > zone", "is not in test.example"),
    ],
)
def test_a_mistake_is_refused_with_its_place(record: dict[str, t.Any], place: str, told: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        load_description(described(**record))
    problems = refused.value.details["problems"]
    assert [one for one in problems if place in one["path"] and told in one["problem"] + one["hint"]], problems


@pytest.mark.parametrize(
    "record",
    [
        {"provider": None, "zone": None},
        {"values": {"north": ["198.51.100.1", "198.51.100.2"]}},
        {"provider": "rfc2136", "server": "192.0.2.53:5353", "key_file": "/etc/lifeboat/dns.key", "wait": "2m"},
        {"provider": "route53", "zone_id": "Z1", "credentials": {"file": "/etc/lifeboat/route53.env"}},
        {"provider": "command", "command": "move {name} {values}", "try_command": "move --dry-run {name}"},
        {"drill": {"name": "api.drill.example.org", "zone": "drill.example.org"}, "resolvers": ["9.9.9.9"]},
    ],
)
def test_what_can_be_meant_is_taken(record: dict[str, t.Any]) -> None:
    load_description(described(**record))


def test_a_name_has_one_record_of_a_type() -> None:
    record = {"name": "api.example.org", "type": "A", "ttl": 60, "zone": "example.org", "provider": "manual"}
    load_description(changed("lifeboat_services.0.dns", [record, {**record, "type": "AAAA"}]))
    with pytest.raises(ConfigurationInvalid, match="has a record of the type A already"):
        load_description(changed("lifeboat_services.0.dns", [record, {**record, "name": "api.example.org."}]))
