# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking one server for one record, and finding the servers that know a zone."""

from __future__ import annotations

import typing as t

from ..core.errors import DnsUnreachable
from .answer import Answer
from .library import require_dnspython
from .record import Record, full_name, in_order
from .servers import AUTHORITATIVE, PORT, Server, address_of, split_server

if t.TYPE_CHECKING:
    import dns.message
    import dns.resolver

_SECONDS = 2.0
_ATTEMPTS = 2


class Asker(t.Protocol):
    """Asks."""

    def ask(self, server: Server, record: Record) -> Answer:
        """What *server* says. Never raises because of the server."""


class DnsAsker:
    """Asks over UDP, over TCP where the answer is too long; each question twice at most."""

    def __init__(self, *, seconds: float = _SECONDS) -> None:
        """Raises LibraryMissing."""
        require_dnspython()
        self._seconds = seconds

    def ask(self, server: Server, record: Record) -> Answer:
        """What *server* says."""
        if not server.address:
            return Answer(server=server, values=None, problem="its name has no address")
        answer = self._ask(server, record, record.type)
        if record.type == "CNAME" and answer.values == ():
            for other in record.other_types:
                if self._ask(server, record, other).values:
                    return Answer(server=server, values=(), other_type=other)
        return answer

    def _ask(self, server: Server, record: Record, type_: str) -> Answer:
        import dns.exception
        import dns.flags
        import dns.message
        import dns.query
        import dns.rcode

        query = dns.message.make_query(record.name, type_)
        if server.role == AUTHORITATIVE:
            # What it would have to ask others for is not its own word.
            query.flags &= ~dns.flags.RD
        problem = ""
        for _attempt in range(_ATTEMPTS):
            try:
                response, _by_tcp = dns.query.udp_with_fallback(
                    query, server.address, timeout=self._seconds, port=server.port
                )
            except dns.exception.Timeout:
                problem = f"no answer within {self._seconds:g} s"
            except (OSError, EOFError) as error:
                problem = f"can't be reached: {getattr(error, 'strerror', None) or type(error).__name__}"
            except dns.exception.DNSException as error:
                problem = f"its answer can't be read: {type(error).__name__}"
            else:
                return _read(server, record, type_, response)
        return Answer(server=server, values=None, problem=problem)


def _read(server: Server, record: Record, type_: str, response: dns.message.Message) -> Answer:
    import dns.flags
    import dns.rcode
    import dns.rdatatype

    code = response.rcode()
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return Answer(server=server, values=None, problem=f"it answers {dns.rcode.to_text(code)}")
    if server.role == AUTHORITATIVE and not response.flags & dns.flags.AA:
        return Answer(server=server, values=None, problem="it does not know the zone itself")
    own = [one for one in response.answer if one.name.to_text().lower() == record.name]
    for one in own:
        found = dns.rdatatype.to_text(one.rdtype)
        if found == type_:
            return Answer(server=server, values=in_order(type_, (each.to_text() for each in one)), ttl=int(one.ttl))
        if found in record.other_types:
            return Answer(server=server, values=(), ttl=int(one.ttl), other_type=found)
    return Answer(server=server, values=())


def authoritative_servers(zone: str, *, given: t.Sequence[str], resolvers: t.Sequence[str]) -> list[Server]:
    """The servers that know *zone*: those *given*, else those that the zone itself names, found by *resolvers* (none:
    those of this host). A name server with several addresses is asked at one of them, by IPv4 where there is one.

    Raises DnsUnreachable when nobody says who they are, LibraryMissing.
    """
    if given:
        found = []
        for text in given:
            host, port = split_server(text)
            found.append(Server(name=text.strip(), address=address_of(host), port=port, role=AUTHORITATIVE))
        return found
    require_dnspython()
    import dns.exception
    import dns.resolver

    try:
        resolver = _resolver(resolvers)
        names = _nameservers(resolver, zone)
        return [
            Server(name=name[:-1], address=_looked_up(resolver, name), port=PORT, role=AUTHORITATIVE) for name in names
        ]
    except (dns.exception.DNSException, OSError) as error:
        raise DnsUnreachable(
            f"Nobody says which servers know the zone {zone[:-1]}: {type(error).__name__}.",
            hint=f"Run: dig NS {zone[:-1]}   or describe them: nameservers: [ns1.example.org]",
        ) from error


def _nameservers(resolver: dns.resolver.Resolver, zone: str) -> list[str]:
    """Those of the zone, or of the one that it lies in: a record may be described without its zone."""
    import dns.resolver

    try:
        found = resolver.resolve(zone, "NS")
    except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
        found = resolver.resolve(dns.resolver.zone_for_name(zone, resolver=resolver), "NS")
    return sorted(full_name(one.target.to_text()) for one in found)


def _resolver(resolvers: t.Sequence[str]) -> dns.resolver.Resolver:
    import dns.resolver

    resolver = dns.resolver.Resolver(configure=not resolvers)
    resolver.lifetime = 10.0
    if resolvers:
        places = [split_server(text) for text in resolvers]
        resolver.nameservers = [address for address in (address_of(host) for host, _port in places) if address]
        resolver.nameserver_ports = {address_of(host): port for host, port in places}
    return resolver


def _looked_up(resolver: dns.resolver.Resolver, name: str) -> str:
    import dns.resolver

    for type_ in ("A", "AAAA"):
        try:
            return str(min(one.to_text() for one in resolver.resolve(name, type_)))
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            continue
    return ""
