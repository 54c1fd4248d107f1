# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of a server that takes dynamic updates (RFC 2136): BIND, Knot, PowerDNS, Windows."""

from __future__ import annotations

import typing as t

from ..core.errors import DnsChangedMeanwhile, DnsError, DnsKeyRefused, DnsOtherType, DnsRefused, DnsUnreachable
from .library import require_dnspython
from .record import Found, Record, in_order
from .servers import require_address
from .tsig_key import TsigKey

if t.TYPE_CHECKING:
    import dns.message
    import dns.update


class DynamicUpdates:
    """The primary server of the zone. Everything goes over TCP: what is lost is asked again by the system."""

    def __init__(self, server: str, *, key: TsigKey | None, seconds: float = 10.0) -> None:
        """Raises RequestInvalid, DnsUnreachable for a server without an address, LibraryMissing."""
        require_dnspython()
        self.shown = server
        self._address, self._port = require_address(server)
        self._key = key
        self._seconds = seconds

    def look(self, record: Record) -> Found | None:
        """What the server says. Raises DnsOtherType, DnsRefused, DnsUnreachable."""
        found = self._rrset(record, record.type)
        if found is None:
            for other in record.other_types:
                if self._rrset(record, other) is not None:
                    raise _other(record, other, self.shown)
        return found

    def try_rights(self, record: Record, found: Found | None) -> None:
        """Send an update that adds what is there already: it is judged like any other, and changes nothing.

        Of a record that does not exist only the signature and the zone can be tried.
        """
        update = self._update(record, found)
        if found is not None:
            for value in found.values:
                update.add(record.name, found.ttl, record.type, value)
        self._send(update, record)

    def change(self, record: Record, found: Found | None) -> None:
        """One update with the old values as its condition. Raises DnsChangedMeanwhile, DnsRefused, DnsUnreachable."""
        update = self._update(record, found)
        update.delete(record.name, record.type)
        for value in record.wanted.values:
            update.add(record.name, record.wanted.ttl, record.type, value)
        self._send(update, record)

    def _update(self, record: Record, found: Found | None) -> dns.update.UpdateMessage:
        import dns.name
        import dns.tsig
        import dns.update

        key = None
        if self._key is not None:
            name = dns.name.from_text(self._key.name)
            key = dns.tsig.Key(name, self._key.secret, self._key.algorithm)
        update = dns.update.UpdateMessage(record.zone, keyring=key)
        if found is not None:
            update.present(record.name, *[_rdata(record, value) for value in found.values])
        else:
            update.absent(record.name, record.type)
        for other in record.other_types:
            update.absent(record.name, other)
        return update

    def _rrset(self, record: Record, type_: str) -> Found | None:
        import dns.flags
        import dns.message
        import dns.rcode
        import dns.rdatatype

        query = dns.message.make_query(record.name, type_)
        query.flags &= ~dns.flags.RD
        response = self._exchange(query)
        code = response.rcode()
        if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise DnsRefused(
                f"{self.shown} answers {dns.rcode.to_text(code)} when it is asked for {record.name[:-1]}.",
                hint=f"Does it serve the zone {record.zone[:-1]}? Run: dig @{self._address} -p {self._port} SOA "
                f"{record.zone[:-1]}",
                details={"rcode": dns.rcode.to_text(code)},
            )
        if not response.flags & dns.flags.AA:
            raise DnsRefused(
                f"{self.shown} does not know the zone {record.zone[:-1]} itself.",
                hint="Name the primary server of the zone: dig SOA ZONE says which it is.",
            )
        for one in response.answer:
            if one.name.to_text().lower() == record.name and dns.rdatatype.to_text(one.rdtype) == type_:
                return Found(values=in_order(type_, (each.to_text() for each in one)), ttl=int(one.ttl))
        return None

    def _send(self, update: dns.update.UpdateMessage, record: Record) -> None:
        import dns.rcode

        code = self._exchange(update).rcode()
        if code == dns.rcode.NOERROR:
            return
        if code in (dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN):
            raise DnsChangedMeanwhile(
                f"{record.shown} at {self.shown} is not what it was a moment ago.",
                hint="Find out who else changes it; then run it again.",
                details={"rcode": dns.rcode.to_text(code)},
            )
        raise _refused(self.shown, record, code, has_key=self._key is not None)

    def _exchange(self, message: dns.message.Message) -> dns.message.Message:
        import dns.exception
        import dns.query
        import dns.tsig

        try:
            return dns.query.tcp(message, self._address, timeout=self._seconds, port=self._port)
        except dns.tsig.PeerBadTime as error:
            raise DnsKeyRefused(
                f"{self.shown} refuses the signature: its clock and this host's are too far apart.",
                hint="Run: timedatectl   on both.",
            ) from error
        except (dns.tsig.PeerError, dns.tsig.BadSignature, dns.tsig.BadKey) as error:
            name = self._key.name if self._key else "?"
            raise DnsKeyRefused(
                f"{self.shown} does not accept the key {name} ({type(error).__name__}).",
                hint="The name, the algorithm and the secret in key_file must be those of the server's configuration.",
            ) from error
        except dns.exception.Timeout as error:
            raise DnsUnreachable(
                f"{self.shown} did not answer within {self._seconds:g} s.", hint=self._look()
            ) from error
        except (OSError, EOFError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise DnsUnreachable(f"{self.shown} can't be reached: {why}.", hint=self._look()) from error
        except dns.exception.DNSException as error:
            raise DnsError(
                f"The answer of {self.shown} can't be read: {type(error).__name__}.", hint=self._look()
            ) from error

    def _look(self) -> str:
        return f"Run: dig +tcp @{self._address} -p {self._port} SOA .   The way to it needs TCP."


def _rdata(record: Record, value: str) -> t.Any:
    import dns.rdata
    import dns.rdataclass
    import dns.rdatatype

    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(record.type), value)


def _other(record: Record, other: str, server: str) -> DnsOtherType:
    return DnsOtherType(
        f"{record.name[:-1]} is of type {other} at {server}, and the description says {record.type}.",
        hint=f"Describe it as it is, or remove the {other} by hand; both can't be.",
        details={"server": server, "type": other},
    )


def _refused(server: str, record: Record, code: t.Any, *, has_key: bool) -> DnsRefused:
    import dns.rcode

    text = dns.rcode.to_text(code)
    zone = record.zone[:-1]
    hints = {
        "NOTAUTH": f"It is not the primary server of {zone}, or does not serve it: dig SOA {zone} says which is.",
        "NOTZONE": f"{record.name[:-1]} is in another zone there; name that one.",
        "NOTIMP": "It takes no dynamic updates.",
        "SERVFAIL": "Look at its log: often it may not write the zone's journal.",
    }
    refused = (
        f"Allow the key in the zone: update-policy {{ grant KEY name {record.name[:-1]} {record.type}; }};"
        if has_key
        else "Name the key that may change it: key_file."
    )
    return DnsRefused(
        f"{server} does not let {record.shown} be changed ({text}).",
        hint=hints.get(text, refused),
        details={"rcode": text, "zone": zone},
    )
