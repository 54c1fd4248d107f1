# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a source before a dump: which member to read, what is there, and which consistency is open."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError, MongoTooNew, MongoUnknownHost, MongoUnreachable
from ..core.host import Host
from ..core.state import StateDirectory
from . import consistency
from .archive_reader import stores_time_series_directly
from .collection_details import with_details
from .facts import ServerFacts, read_facts
from .faults import SNAPSHOT_UNAVAILABLE, named_faults
from .history_window import noted_history
from .namespaces import TIME_SERIES, Namespace, Scope, list_namespaces, require_found
from .options import MONGODUMP, NATIVE, MongoDumpOptions
from .topology import Topology, members_to_read, read_topology

if t.TYPE_CHECKING:
    from .connection import Client


@dataclass(frozen=True)
class Survey:
    """What was found. *client* speaks to the one server that is to be read.

    *member* is that server's address, None when the URI names no other. *unsnapshotable* names collections that can't
    be read by snapshot.
    """

    client: Client
    member: str | None
    facts: ServerFacts
    namespaces: tuple[Namespace, ...]
    choice: consistency.Choice
    expected_bytes: int
    unsnapshotable: frozenset[str]


@contextlib.contextmanager
def surveyed(options: MongoDumpOptions, *, host: Host, state: StateDirectory) -> t.Iterator[Survey]:
    """Connect, read the facts, decide; the connection is closed at the end of the block.

    Changes nothing. Raises the named refusals of the parts: of connecting, of the topology, of what is missing and of
    the consistency that can't be had.
    """
    with contextlib.ExitStack() as stack:
        client, member, topology = _client_to_read(options, host=host, stack=stack)
        facts = read_facts(client, topology=topology)
        left_over = noted_history(state, host=facts.host)
        if left_over is not None:
            facts = dataclasses.replace(facts, history_window=left_over)
        namespaces = list_namespaces(client, scope=options.scope)
        require_found(namespaces, scope=options.scope)
        _refuse_new_time_series(namespaces, facts=facts, tool=options.tool)
        unsnapshotable = _unsnapshotable(client, namespaces, facts=facts)
        expected = _expected_bytes(client, namespaces, scope=options.scope, facts=facts)
        choice = consistency.choose(
            wanted=options.consistency,
            tool_has_snapshots=options.tool == NATIVE,
            facts=facts,
            scope=options.scope,
            expected_bytes=expected,
            bytes_per_second=options.expected_bytes_per_second,
            may_raise_window=options.raise_history_window,
            unsnapshotable=sorted(unsnapshotable),
        )
        yield Survey(
            client=client,
            member=member,
            facts=facts,
            namespaces=namespaces,
            choice=choice,
            expected_bytes=expected,
            unsnapshotable=unsnapshotable,
        )


def _client_to_read(
    options: MongoDumpOptions, *, host: Host, stack: contextlib.ExitStack
) -> tuple[Client, str | None, Topology]:
    first = stack.enter_context(options.connection.open(runner=host.runner))
    topology = read_topology(first)
    if topology.replica_set is None or topology.direct:
        return first, None, topology
    candidates = members_to_read(topology, read_preference=options.read_preference, max_lag=options.max_lag_seconds)
    failure: LifeboatError | None = None
    for member in candidates:
        try:
            client = stack.enter_context(options.connection.open(runner=host.runner, host=member.host))
        except (MongoUnreachable, MongoUnknownHost) as error:
            host.journal.warning(f"{member.host} ({member.role}) can't be reached from here: {error.message}")
            failure = error
        else:
            return client, member.host, topology
    raise failure or AssertionError("members_to_read returns at least one")


def _refuse_new_time_series(namespaces: t.Sequence[Namespace], *, facts: ServerFacts, tool: str) -> None:
    series = [one.full_name for one in namespaces if one.type == TIME_SERIES]
    if tool == NATIVE and series and stores_time_series_directly(facts.version):
        raise MongoTooNew(
            f"MongoDB {facts.version} stores time series ({series[0]}) in a way that the native dump does not know.",
            hint="Use tool: mongodump (100.16.0 or later), or exclude the time series.",
            details={"collections": series},
        )


def _unsnapshotable(client: Client, namespaces: t.Sequence[Namespace], *, facts: ServerFacts) -> frozenset[str]:
    """The capped collections that this server refuses to read by snapshot: asked, not guessed from its version."""
    from pymongo.errors import OperationFailure

    if not facts.snapshot_reads:
        return frozenset()
    refused: set[str] = set()
    for one in namespaces:
        if not one.is_capped:
            continue
        probe = {"find": one.source_name, "limit": 1, "singleBatch": True, "readConcern": {"level": "snapshot"}}
        with named_faults(f"Reading {one.full_name}"):
            try:
                client[one.source_database].command(probe)
            except OperationFailure as error:
                if error.code != SNAPSHOT_UNAVAILABLE:
                    raise
                refused.add(one.full_name)
    return frozenset(refused)


def _expected_bytes(client: Client, namespaces: t.Sequence[Namespace], *, scope: Scope, facts: ServerFacts) -> int:
    if scope.include or scope.exclude:
        return sum(one.size for one in with_details(client, namespaces))
    return sum(database.data_size for database in facts.databases if scope.database in (None, database.name))


def steps_in_words(survey: Survey, options: MongoDumpOptions) -> tuple[str, ...]:
    """What a dump after this survey will do. Pure."""
    facts, scope = survey.facts, options.scope
    what = "the whole instance" if scope.database is None else f"the database {scope.database}"
    with_what = "with" if scope.users_and_roles else "without"
    steps = [
        f"Read {what} ({len(survey.namespaces)} collections and views, {with_what} users and roles) from {facts.host}"
    ]
    if survey.choice.raise_window:
        steps.append(
            f"Raise the server's snapshot history for the run, from {facts.history_window} to "
            f"{survey.choice.history_needed} seconds"
        )
    tool = MONGODUMP if options.tool == MONGODUMP else f"the native dump, {options.parallel} readers"
    steps.append(f"Dump with {tool}; consistency: {survey.choice.mode} ({survey.choice.reason})")
    if survey.choice.mode == consistency.SNAPSHOT and survey.unsnapshotable:
        steps.append(f"Read outside the snapshot: {', '.join(sorted(survey.unsnapshotable))}")
    return tuple(steps)
