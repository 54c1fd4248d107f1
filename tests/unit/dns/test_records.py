# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, values, servers and keys as people write them, and what can't be one."""

from __future__ import annotations

import base64

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.record import (
    Found,
    canonical,
    full_name,
    record_of,
    within,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.servers import split_server
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.tsig_key import TsigKey, parse_key

SECRET = base64.b64encode(b"0123456789abcdef").decode()


def test_a_record_has_one_form() -> None:
    record = record_of(name="API.Example.org", type="A", zone="example.org.", values=["192.0.2.9", "192.0.2.1"], ttl=60)
    assert (record.name, record.zone, record.shown) == ("api.example.org.", "example.org.", "api.example.org A")
    assert record.wanted == Found(("192.0.2.1", "192.0.2.9"), 60)
    assert canonical("AAAA", "2001:DB8:0::1") == "2001:db8::1"
    assert canonical("CNAME", "Web.example.net") == "web.example.net."
    assert full_name("bücher.example.org") == "xn--bcher-kva.example.org."


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "api.example.net"}, "not in the zone"),
        ({"name": "apiexample.org"}, "not in the zone"),
        ({"name": "api..example.org"}, "is no name"),
        ({"name": f"{'a' * 64}.example.org"}, "is no name"),
        ({"name": "api example.org"}, "is no name"),
        ({"type": "MX"}, "is no type"),
        ({"type": "AAAA"}, "is no address"),
        ({"values": ["192.0.2.256"]}, "is no address"),
        ({"values": []}, "has 0 values"),
        ({"type": "CNAME", "values": ["a.example.org", "b.example.org"]}, "has 2 values"),
        ({"type": "CNAME", "name": "example.org", "values": ["a.example.net"]}, "the zone itself"),
    ],
)
def test_what_can_be_no_record_is_refused(given: dict[str, object], words: str) -> None:
    good: dict[str, object] = {"name": "api.example.org", "type": "A", "zone": "example.org", "values": ["192.0.2.1"]}
    with pytest.raises(RequestInvalid, match=words):
        record_of(**{**good, **given}, ttl=60)  # type: ignore[arg-type]


def test_a_zone_holds_itself_and_what_ends_with_a_dot_and_it() -> None:
    assert within("example.org.", "example.org.")
    assert within("a.b.example.org.", "example.org.")
    assert not within("badexample.org.", "example.org.")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("ns1.example.org", ("ns1.example.org", 53)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
    ],
)
def test_servers_are_read(text: str, place: tuple[str, int]) -> None:
    assert split_server(text) == place


@pytest.mark.parametrize("text", ["", "a b", "192.0.2.53:0", "192.0.2.53:70000", "ns1:port", "[::1"])
def test_what_is_no_server_is_refused(text: str) -> None:
    with pytest.raises(RequestInvalid):
        split_server(text)


def test_a_key_is_read_as_tsig_keygen_and_people_write_it() -> None:
    wanted = TsigKey(name="lifeboat", algorithm="hmac-sha512", secret=b"0123456789abcdef")
    for text in (
        f'key "lifeboat" {{\n\talgorithm hmac-sha512;\n\tsecret "{SECRET}";\n}};\n',
        f"# ours\nkey lifeboat {{ /* strong */ algorithm HMAC-SHA512; secret {SECRET}; }};",
    ):
        assert parse_key(text) == wanted
    assert SECRET not in repr(wanted)
    assert "0123456789" not in repr(wanted)


@pytest.mark.parametrize("secret", ["aaaa//bb", "//aaaaaa", "aaa/bb//"])
def test_a_secret_with_slashes_is_no_comment(secret: str) -> None:
    """Every hundredth of the secrets that tsig-keygen draws has two in a row."""
    text = f'// ours "of old"\nkey "lifeboat" {{ algorithm hmac-sha256; secret "{secret}"; }};  # 2026\n'
    assert parse_key(text) == TsigKey("lifeboat", "hmac-sha256", base64.b64decode(secret))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lifeboat " + SECRET,
        f"key lifeboat {{ secret {SECRET}; }};",
        "key lifeboat { algorithm hmac-sha256; };",
        f"key lifeboat {{ algorithm hmac-md5; secret {SECRET}; }};",
        "key lifeboat { algorithm hmac-sha256; secret ===; };",
    ],
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert parse_key(text) is None
