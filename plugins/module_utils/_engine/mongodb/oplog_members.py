# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a replica set whose oplogs may be read: found through any one that answers, with or without a primary.

A driver's connection to the whole set needs a primary for its first command, and there may be none just when it matters
to capture what is left. So every connection here goes to one server that is named.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import typing as t
from urllib.parse import quote

from ..core.errors import (
    LibraryMissing,
    LifeboatError,
    MongoNoOplog,
    MongoNoSuitableMember,
    MongoShardedCluster,
    MongoUnknownHost,
    MongoUnreachable,
)
from ..core.host import Host
from .faults import named_faults
from .oplog_options import OplogOptions
from .topology import PRIMARY, SECONDARY, Member, Topology, members_to_read, read_topology
from .uri import seeds, split_host

if t.TYPE_CHECKING:
    from .connection import Client

_PROBE_SECONDS = 3.0
_NOT_THERE = (MongoUnreachable, MongoUnknownHost)


class OplogSet:
    """The set as one of its members sees it, and connections to any of them. *warnings* says who did not answer."""

    def __init__(self, *, topology: Topology, client: Client, open_member: t.Callable[[str], Client]) -> None:
        self.topology = topology
        self.warnings: list[str] = []
        self._clients: dict[str, Client] = {topology.me: client}
        self._open_member = open_member

    @property
    def name(self) -> str:
        """The set's name."""
        return str(self.topology.replica_set)

    @property
    def set_id(self) -> str | None:
        """The id that the set got when it was initiated."""
        return self.topology.replica_set_id

    @property
    def primary(self) -> Member | None:
        """The primary, None while there is none."""
        return next((one for one in self.topology.members if one.role == PRIMARY and one.healthy), None)

    def members(self, options: OplogOptions) -> tuple[Member, ...]:
        """Whom to ask, those that the options prefer first, then all others that have data.

        Who lags or is not preferred may be the only one that still has what is needed.
        """
        topology = self.topology
        if topology.direct:
            return tuple(one for one in topology.members if one.host == topology.me) or _unlisted(topology)
        try:
            preferred = members_to_read(
                topology, read_preference=options.read_preference, max_lag=options.max_lag_seconds
            )
        except MongoNoSuitableMember:
            preferred = ()
        rest = (
            one for one in topology.members if one.healthy and one.role in (PRIMARY, SECONDARY) and one not in preferred
        )
        return (*preferred, *rest)

    def connect(self, member: Member) -> Client | None:
        """A connection to that member, None (and a warning) when it does not answer."""
        client = self._clients.get(member.host)
        if client is None:
            if not _accepts(member.host):
                self.warnings.append(f"{member.host} ({member.role}) can't be reached from here: nobody listens there.")
                return None
            try:
                client = self._clients[member.host] = self._open_member(member.host)
            except _NOT_THERE as error:
                self.warnings.append(f"{member.host} ({member.role}) can't be reached from here: {error.message}")
        return client


@contextlib.contextmanager
def opened_set(options: OplogOptions, *, host: Host) -> t.Iterator[OplogSet]:
    """Look at the set; all connections are closed at the end of the block.

    Raises MongoNoOplog for a standalone server, MongoShardedCluster, what connecting raises (MongoUnreachable only when
    nobody answers), and MongoNotAuthorised.
    """
    with contextlib.ExitStack() as stack:

        def open_member(address: str) -> Client:
            return stack.enter_context(options.connection.open(runner=host.runner, host=address))

        addresses, is_direct = _seeds(options.connection.fetch_uri(runner=host.runner))
        topology, client = _first_that_answers(addresses, open_member=open_member)
        if topology.replica_set is None:
            raise MongoNoOplog(
                f"{topology.me} is a standalone server: it keeps no oplog, so nothing between two dumps can be stored.",
                hint="Make it a replica set of one member: replication.replSetName in mongod.conf, then rs.initiate().",
                details={"server": topology.me},
            )
        _refuse_shard(client)
        topology = dataclasses.replace(topology, direct=is_direct)
        yield OplogSet(topology=topology, client=client, open_member=open_member)


def _first_that_answers(
    addresses: t.Sequence[str], *, open_member: t.Callable[[str], Client]
) -> tuple[Topology, Client]:
    failure: LifeboatError | None = None
    alone: tuple[Topology, Client] | None = None
    silent: list[str] = []
    for address in addresses:
        if len(addresses) > 1 and not _accepts(address):
            silent.append(address)
            continue
        try:
            client = open_member(address)
            found = read_topology(client), client
        except _NOT_THERE as error:
            failure = failure or error
            continue
        if found[0].replica_set is not None:
            return found
        # Also a member that has just been started, or was taken out of the set.
        alone = alone or found
    if alone is not None:
        return alone
    if failure is None and silent:
        client = open_member(silent[0])  # says in words why not
        return read_topology(client), client
    raise failure or MongoUnreachable("The connection's uri names no server.", hint="See connection.uri.")


def _accepts(address: str) -> bool:
    """Whether somebody listens there. The driver would wait for one that is down as long as for one that is slow."""
    name, port = split_host(address)
    if name.startswith(("/", "%2F")):
        return True
    try:
        with socket.create_connection((name, port), timeout=_PROBE_SECONDS):
            return True
    except OSError:
        return False


def _refuse_shard(client: Client) -> None:
    with named_faults("Looking for the identity of a shard"):
        found = client.admin["system.version"].find_one({"_id": "shardIdentity"}, {"_id": 1})
    if found is not None:
        raise MongoShardedCluster(
            "This replica set is one part of a sharded cluster: its oplog alone is not whole.",
            hint="Back a sharded cluster up with Percona Backup for MongoDB, or with the provider's snapshots.",
        )


def _seeds(uri: str) -> tuple[tuple[str, ...], bool]:
    """The addresses that a URI names, and whether it is for its one server alone."""
    try:
        from pymongo.errors import PyMongoError
        from pymongo.uri_parser import parse_uri
    except ImportError as error:
        raise LibraryMissing(
            "The Python library pymongo is not installed.",
            hint="Run: pip install pymongo",
            details={"library": "pymongo"},
        ) from error
    try:
        parsed = parse_uri(uri)
        nodes, is_direct = parsed["nodelist"], bool(parsed["options"].get("directConnection", False))
    except (PyMongoError, ValueError):
        # Opening the first of them says what is wrong with it, without the URI's secrets.
        nodes, is_direct = seeds(uri) or (("localhost", 27017),), False
    return tuple(_address(name, port) for name, port in nodes), is_direct


def _address(name: str, port: int | None) -> str:
    """As a URI has it; a socket's path has no port."""
    if name.startswith("/"):
        return quote(name, safe="")
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _unlisted(topology: Topology) -> tuple[Member, ...]:
    """The one server of a direct connection whose own name for itself is not in the set's list."""
    return (Member(host=topology.me, role=SECONDARY, healthy=True, lag=None),)
