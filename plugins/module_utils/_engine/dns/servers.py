# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asked: addresses and ports of servers, as descriptions write them."""

from __future__ import annotations

import ipaddress
import re
import socket
import typing as t
from dataclasses import dataclass

from ..core.errors import DnsUnreachable, RequestInvalid

PORT = 53
#: A server is asked as one that knows the zone itself, or as one that clients ask and that remembers.
AUTHORITATIVE, RESOLVER = "authoritative", "resolver"
_BRACKETED = re.compile(r"\[(?P<host>[^\]]+)\](?::(?P<port>\d+))?")
_PLAIN = re.compile(r"(?P<host>[^:\[\]\s]+)(?::(?P<port>\d+))?")


@dataclass(frozen=True)
class Server:
    """One server. *name* is for people; *address* is empty when the name has none."""

    name: str
    address: str
    port: int
    role: str


def split_server(text: str) -> tuple[str, int]:
    """Host and port of ``HOST``, ``HOST:PORT`` or ``[IPv6]:PORT``. Raises RequestInvalid."""
    bare = text.strip()
    if _address_version(bare) == 6:
        return bare, PORT
    found = _BRACKETED.fullmatch(bare) or _PLAIN.fullmatch(bare)
    port = int(found["port"] or PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise RequestInvalid(
            f"{text[:80]!r} is no server.",
            hint="Write 192.0.2.53, ns1.example.org, 192.0.2.53:5353 or [2001:db8::53]:53.",
        )
    return found["host"], port


def servers_of(texts: t.Iterable[str], *, role: str) -> list[Server]:
    """The servers of *texts*; one whose name is not known is among them, without an address."""
    found = []
    for text in texts:
        host, port = split_server(text)
        found.append(Server(name=text.strip(), address=address_of(host), port=port, role=role))
    return found


def address_of(host: str) -> str:
    """Its address, one of IPv4 where it has both; empty when it has none."""
    if _address_version(host):
        return host
    try:
        known = socket.getaddrinfo(host, None, proto=socket.IPPROTO_UDP)
    except OSError:
        return ""
    ordered = sorted(known, key=_is_newer)
    return str(ordered[0][4][0]) if ordered else ""


def require_address(text: str) -> tuple[str, int]:
    """Address and port of a server that must be there. Raises RequestInvalid, DnsUnreachable."""
    host, port = split_server(text)
    address = address_of(host)
    if not address:
        raise DnsUnreachable(
            f"The name server {host} has no address.",
            hint="Name it by its address, so that nothing depends on the DNS.",
        )
    return address, port


def _is_newer(entry: tuple[t.Any, ...]) -> bool:
    return bool(entry[0] == socket.AF_INET6)


def _address_version(text: str) -> int:
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return 0
