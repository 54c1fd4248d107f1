# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one member of a replica set says of itself and of the set, before anybody is promoted."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ..core.errors import MongoNoSuitableMember
from ..core.host import Host
from .connection import MongoConnection
from .faults import named_faults
from .set_member import SetMember, read_set
from .uri import seeds


@dataclass(frozen=True)
class MemberState:
    """*me* is its own address in the set's configuration, *members* all that are there, as it sees them."""

    me: str
    set_name: str
    term: int
    has_majority: bool
    primary: str | None
    members: tuple[SetMember, ...]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {**dataclasses.asdict(self), "members": [one.as_dict() for one in self.members]}


def look_at_member(connection: MongoConnection, *, host: Host, member: str | None = None) -> MemberState:
    """Ask the *member* alone, or the only server of the URI. Raises MongoNoSuitableMember, and what asking raises."""
    asked = member or _only(connection, host=host)
    with connection.open(runner=host.runner, host=asked) as client:
        with named_faults("Asking a server who it is", role="clusterMonitor"):
            hello = client.admin.command("hello")
        found = read_set(client)
    primary = found.primary
    return MemberState(
        me=str(hello.get("me") or asked),
        set_name=found.name,
        term=found.term,
        has_majority=found.has_majority,
        primary=None if primary is None else primary.host,
        members=found.members,
    )


def _only(connection: MongoConnection, *, host: Host) -> str:
    uri = connection.fetch_uri(runner=host.runner)
    there = seeds(uri)
    if len(there) != 1 or uri.startswith("mongodb+srv://"):
        raise MongoNoSuitableMember(
            "The connection names several servers, or a name that stands for several: nobody knows which is meant.",
            hint="Describe member (HOST:PORT) beside the connection.",
        )
    ((name, port),) = there
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
