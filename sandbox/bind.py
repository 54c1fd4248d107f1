# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real name server: BIND with zones of its own, as primary, secondary or resolver."""

from __future__ import annotations

import base64
import secrets
import typing as t
from dataclasses import dataclass, field

from .errors import StartFailed
from .files import replace_file
from .parts import BIND, find_named, require
from .server import HOST, Server

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Key:
    """A TSIG key."""

    name: str
    secret: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode("ascii"), repr=False)
    algorithm: str = "hmac-sha256"

    @property
    def text(self) -> str:
        """As tsig-keygen writes it."""
        return f'key "{self.name}" {{\n\talgorithm {self.algorithm};\n\tsecret "{self.secret}";\n}};\n'


@dataclass(frozen=True)
class Zone:
    """A zone. ``records`` are lines of its file behind SOA and NS; ``policy`` says who may change it.

    ``primary`` is the server that a secondary copies it from, each ``refresh`` seconds; it is not told of changes.
    """

    name: str
    records: Sequence[str] = ()
    policy: str = ""
    primary: NameServer | None = None
    refresh: int = 3600

    @property
    def text(self) -> str:
        """The file of the zone. The name server in it is this host."""
        soa = f"ns1.{self.name}. hostmaster.{self.name}. 1 {self.refresh} {self.refresh} 604800 1"
        lines = ["$TTL 60", f"@ IN SOA {soa}", f"@ IN NS ns1.{self.name}.", f"ns1 IN A {HOST}", *self.records]
        return "\n".join(lines) + "\n"


class NameServer(Server):
    """Serves ``zones``, changes signed by ``keys``; with ``forwards_to`` it is a resolver that remembers."""

    kind = "bind"
    stop_seconds: t.ClassVar[float] = 5

    def __init__(
        self,
        *,
        directory: Path | None = None,
        port: int | None = None,
        startup_timeout: float = 60,
        zones: Sequence[Zone] = (),
        keys: Sequence[Key] = (),
        forwards_to: NameServer | None = None,
        program: Path | None = None,
    ) -> None:
        super().__init__(directory=directory, port=port, startup_timeout=startup_timeout)
        self.program = program or require(find_named(), BIND)
        self.zones = tuple(zones)
        self.keys = tuple(keys)
        self.forwards_to = forwards_to

    @property
    def uri(self) -> str:
        """Address and port, as descriptions name servers."""
        return f"{HOST}:{self.port}"

    @property
    def configuration_file(self) -> Path:
        return self.directory / "named.conf"

    def zone_file(self, name: str) -> Path:
        return self.directory / f"{name}.zone"

    def serial(self, zone: str) -> int:
        """The serial of the zone: it grows with every change."""
        import dns.message
        import dns.query

        answer = dns.query.udp(dns.message.make_query(zone, "SOA"), HOST, timeout=5, port=self.port)
        return int(answer.answer[0][0].serial)

    def says(self, name: str, type_: str = "A") -> list[str]:
        """What it answers."""
        import dns.message
        import dns.query

        answer = dns.query.udp(dns.message.make_query(name, type_), HOST, timeout=5, port=self.port)
        return sorted(each.to_text() for one in answer.answer for each in one)

    def copy_again(self, zone: str) -> None:
        """Tell a secondary that its primary has something new: a NOTIFY, as RFC 1996 has it."""
        import dns.flags
        import dns.message
        import dns.opcode
        import dns.query

        message = dns.message.make_query(zone, "SOA", flags=dns.flags.AA)
        message.set_opcode(dns.opcode.NOTIFY)
        dns.query.udp(message, HOST, timeout=5, port=self.port)

    def _prepare(self) -> None:
        options = [
            f'directory "{self.directory}"',
            f"listen-on port {self.port} {{ {HOST}; }}",
            "listen-on-v6 { none; }",
            "pid-file none",
            "session-keyfile none",
            "dnssec-validation no",
            "empty-zones-enable no",
            "notify no",
            "allow-transfer { any; }",
            "request-ixfr no",
        ]
        if self.forwards_to is None:
            options.append("recursion no")
        else:
            options += [f"forwarders {{ {HOST} port {self.forwards_to.port}; }}", "forward only", "recursion yes"]
        parts = [key.text for key in self.keys]
        parts.append("options {\n" + "".join(f"\t{line};\n" for line in options) + "};\n")
        parts.append("controls { };\n")
        for zone in self.zones:
            parts.append(self._zone(zone))
            if zone.primary is None and not self.zone_file(zone.name).exists():
                self.zone_file(zone.name).write_text(zone.text)
        replace_file(self.configuration_file, "".join(parts))

    def _zone(self, zone: Zone) -> str:
        lines = [f'file "{self.zone_file(zone.name)}"']
        if zone.primary is None:
            lines += ["type primary", *([zone.policy] if zone.policy else [])]
        else:
            times = [f"{each}-{what}-time {zone.refresh}" for each in ("min", "max") for what in ("refresh", "retry")]
            lines += ["type secondary", f"primaries {{ {HOST} port {zone.primary.port}; }}", *times]
        return f'zone "{zone.name}" {{\n' + "".join(f"\t{line};\n" for line in lines) + "};\n"

    def _command(self) -> Sequence[str]:
        # One thread: tests run many of them. -g: in the foreground, with its log on stderr.
        return [str(self.program), "-g", "-n", "1", "-U", "1", "-c", str(self.configuration_file)]

    def _is_ready(self) -> bool:
        log = self._new_log()
        if "address in use" in log:
            # It would go on with what is left, UDP or TCP.
            raise StartFailed(f"{self.kind}: port {self.port} of {HOST}: address already in use")
        if "all zones loaded" not in log or "running" not in log:
            return False
        return all(self._serves(zone) for zone in self.zones)

    def _serves(self, zone: Zone) -> bool:
        import dns.exception

        try:
            return self.serial(zone.name) > 0
        except (dns.exception.DNSException, OSError, IndexError):
            return False


__all__ = ["Key", "NameServer", "Zone"]
