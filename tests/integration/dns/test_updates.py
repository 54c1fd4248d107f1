# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a record at a real BIND: there and back, and every way in which it does not let us."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    DnsChangedMeanwhile,
    DnsKeyRefused,
    DnsOtherType,
    DnsRecordMissing,
    DnsRefused,
    DnsUnreachable,
    SecretUnavailable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.record import Found, record_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.rfc2136 import DynamicUpdates
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.switching import switch
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.tsig_key import read_key
from sandbox.bind import Key, NameServer, Zone
from tests.integration.dns.conftest import NEW, OLD, ZONE, Site, api, write_key, zone


def test_a_record_is_moved_and_its_old_values_are_the_way_back(site: Site) -> None:
    moved = switch(api(NEW), site.provider(), check=False)
    assert (moved.changed, moved.before, site.server.says(f"api.{ZONE}")) == (True, Found((OLD,), 3), [NEW])
    serial = site.server.serial(ZONE)
    again = switch(api(NEW), site.provider(), check=False)
    assert (again.changed, again.before, site.server.serial(ZONE)) == (False, Found((NEW,), 3), serial)
    assert moved.before is not None
    back = switch(api(*moved.before.values, ttl=moved.before.ttl), site.provider(), check=False)
    assert (back.changed, site.server.says(f"api.{ZONE}")) == (True, [OLD])


def test_another_ttl_is_a_change_and_a_name_is_moved_to_another_name(site: Site) -> None:
    assert switch(api(OLD, ttl=60), site.provider(), check=False).changed
    assert site.provider().look(api()) == Found((OLD,), 60)
    web = api("elsewhere.example.org", name="web", type="CNAME", ttl=60)
    assert switch(web, site.provider(), check=False).before == Found((f"api.{ZONE}.",), 60)
    assert site.server.says(f"web.{ZONE}", "CNAME") == ["elsewhere.example.org."]


@pytest.mark.parametrize("value", [NEW, OLD])
def test_trying_the_right_to_change_it_changes_nothing(site: Site, value: str) -> None:
    serial = site.server.serial(ZONE)
    tried = switch(api(value), site.provider(), check=True)
    assert (tried.changed, tried.before) == (value == NEW, Found((OLD,), 3))
    assert (site.server.serial(ZONE), site.server.says(f"api.{ZONE}")) == (serial, [OLD])


@pytest.mark.parametrize("check", [True, False])
def test_a_key_with_another_secret_or_name_is_refused_by_name(site: Site, tmp_path: pathlib.Path, check: bool) -> None:
    for other in (Key("lifeboat"), Key("somebody")):
        provider = site.provider(write_key(other, tmp_path / "other.key"))
        with pytest.raises(DnsKeyRefused, match=other.name) as raised:
            switch(api(), provider, check=check)
        assert other.secret not in str(raised.value)
    assert site.server.says(f"api.{ZONE}") == [OLD]


@pytest.mark.parametrize("check", [True, False])
def test_a_key_without_the_right_and_a_zone_that_takes_no_changes_are_told_beforehand(site: Site, check: bool) -> None:
    two = record_of(name=f"two.{ZONE}", type="A", zone=ZONE, values=[NEW], ttl=60)
    fixed = record_of(name="api.fixed.test", type="A", zone="fixed.test", values=[NEW], ttl=60)
    for record in (two, fixed):
        with pytest.raises(DnsRefused, match="REFUSED") as raised:
            switch(record, site.provider(), check=check)
        assert "grant" in raised.value.hint
    elsewhere = record_of(name="api.other.test", type="A", zone="other.test", values=[NEW], ttl=60)
    with pytest.raises(DnsRefused, match=r"other\.test"):
        switch(elsewhere, site.provider(), check=check)


def test_a_zone_without_a_policy_of_names_is_tried_as_well(tmp_path: pathlib.Path) -> None:
    keys = [Key("writer"), Key("reader")]
    with NameServer(zones=[zone(policy="allow-update { key writer; }")], keys=keys) as server:
        for key in keys:
            provider = DynamicUpdates(server.uri, key=read_key(str(write_key(key, tmp_path / "k"))))
            if key.name == "reader":
                with pytest.raises(DnsRefused, match="REFUSED"):
                    switch(api(), provider, check=True)
            else:
                assert switch(api(), provider, check=True).changed
        with pytest.raises(DnsRefused, match="REFUSED") as unsigned:
            switch(api(), DynamicUpdates(server.uri, key=None), check=True)
        assert "key_file" in unsigned.value.hint


def test_a_server_that_is_down_and_a_secondary_are_told(site: Site) -> None:
    with NameServer(zones=[zone_of(site)], keys=[site.key]) as secondary:
        with pytest.raises(DnsRefused, match=r"NOTAUTH|REFUSED|NOTIMP"):
            switch(api(), DynamicUpdates(secondary.uri, key=site.provider()._key), check=True)
        gone = secondary.uri
    with pytest.raises(DnsUnreachable, match="refused"):
        switch(api(), DynamicUpdates(gone, key=None), check=True)
    with pytest.raises(DnsUnreachable, match="no address"):
        DynamicUpdates("nobody.invalid", key=None)


def zone_of(site: Site) -> t.Any:
    return Zone(ZONE, primary=site.server, refresh=1)


def test_what_is_not_there_or_of_another_type_is_named_and_left_alone(site: Site) -> None:
    with pytest.raises(DnsRecordMissing, match=f"apii.{ZONE} A does not exist"):
        switch(api(name="apii"), site.provider(), check=False)
    with pytest.raises(DnsOtherType, match="is of type CNAME"):
        switch(api(name="web"), site.provider(), check=False)
    with pytest.raises(DnsOtherType, match="is of type A"):
        switch(api("elsewhere.example.org", type="CNAME"), site.provider(), check=False)
    assert site.server.says(f"web.{ZONE}", "CNAME") == [f"api.{ZONE}."]


def test_a_record_is_made_when_that_is_asked_for(tmp_path: pathlib.Path) -> None:
    key = Key("lifeboat")
    policy = f"update-policy {{ grant lifeboat subdomain {ZONE} ANY; }}"
    with NameServer(zones=[zone(policy=policy)], keys=[key]) as server:
        provider = DynamicUpdates(server.uri, key=read_key(str(write_key(key, tmp_path / "k"))))
        made = switch(api(name="new"), provider, check=False, create=True)
        assert (made.before, made.changed, server.says(f"new.{ZONE}")) == (None, True, [NEW])


def test_somebody_who_was_faster_is_not_written_over(site: Site) -> None:
    provider = site.provider()
    with pytest.raises(DnsChangedMeanwhile):
        provider.change(api(NEW), Found(("192.0.2.99",), 3))
    with pytest.raises(DnsChangedMeanwhile):
        provider.try_rights(api(NEW), Found(("192.0.2.99",), 3))
    assert site.server.says(f"api.{ZONE}") == [OLD]


def test_a_file_without_a_key_is_named_and_not_quoted(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "dns.key"
    path.write_text("key lifeboat { secret c2VjcmV0; };\n")
    with pytest.raises(SecretUnavailable, match="is no key") as raised:
        read_key(str(path))
    assert "c2VjcmV0" not in str(raised.value)
    with pytest.raises(SecretUnavailable, match="No such file"):
        read_key(str(tmp_path / "gone"))
