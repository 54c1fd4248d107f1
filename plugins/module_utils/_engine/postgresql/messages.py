# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PostgreSQL and its client programs say, turned into named errors.

libpq, pg_dump and pg_basebackup pass on the server's words, so one table serves all three. The texts are those that
the programs of versions 15 and 18 printed when the faults were made on purpose (tests/unit/postgresql/messages).
Failures of connecting carry no SQLSTATE in libpq's interface; a server whose ``lc_messages`` is not English is
therefore only recognised by what libpq itself says.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError
from .connecting_rules import CONNECTING
from .message_rule import Rule
from .working_rules import LOST, WORKING


@dataclass(frozen=True)
class Address:
    """Where and as whom a connection is made, for messages: it holds no secret."""

    host: str
    port: str
    user: str
    database: str

    @property
    def server(self) -> str:
        """The server as an operator writes it: ``db1.example.com:5432``."""
        return f"{self.host}:{self.port}"

    @property
    def psql(self) -> str:
        """The command that makes the same connection by hand."""
        return f"psql -h {self.host} -p {self.port} -U {self.user} {self.database}"


def connecting_error(text: str, *, address: Address) -> LifeboatError | None:
    """The named error for what libpq said when a connection could not be made; None when nothing fits."""
    return _first((*CONNECTING, *WORKING, *LOST), text, address=address)


def program_error(text: str, *, address: Address) -> LifeboatError | None:
    """The named error for what a client program or a running session said; None when nothing fits."""
    # What a program could not connect to it tells in libpq's words.
    return _first((*WORKING, *CONNECTING, *LOST), text, address=address)


def _first(rules: t.Iterable[Rule], text: str, *, address: Address) -> LifeboatError | None:
    for rule in rules:
        found = rule.pattern.search(text)
        if found:
            return _build(rule, found, text, address=address)
    return None


def _build(rule: Rule, found: re.Match[str], text: str, *, address: Address) -> LifeboatError:
    groups = {name.rstrip("2"): value for name, value in found.groupdict().items() if value is not None}
    peer = groups.get("peer", "")
    values = {
        "server": address.server,
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "database": address.database,
        "psql": address.psql,
        "line": _line_of(text, found.start()),
        "hba_type": "local" if peer == "[local]" else "hostssl" if "SSL encryption" in text else "host",
        "hba_peer": "" if peer == "[local]" else f"{peer}/128" if ":" in peer else f"{peer}/32",
        **groups,
    }
    details = {
        "server": address.server,
        "user": address.user,
        "database": address.database,
        "said": text.strip()[-2000:],
    }
    return rule.error(rule.message.format(**values), hint=rule.hint.format(**values), details=details)


def _line_of(text: str, position: int) -> str:
    """The line of *text* at *position*, without the words that every such line begins with."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start : end if end >= 0 else len(text)].strip()
    for frame in (r"^\w+: error: ", r"^connection to server .*? failed: ", r"^(?:FATAL|ERROR|WARNING):\s+"):
        line = re.sub(frame, "", line)
    return line
