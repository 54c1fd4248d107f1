# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fencing an old primary: it takes no writes any more, now and after its next start, and keeps its data.

One that answers is made a replica of an address where nobody listens. That is one command, it stands in the server's
own configuration, and it is undone by one command. Before that its clients' writes are held up for a moment, so that
what it has acknowledged can arrive at its replicas. One that is stopped is kept from starting as a primary.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from dataclasses import dataclass, field

from ..core.errors import (
    LifeboatError,
    RedisClusterNode,
    RedisCommandFailed,
    RedisCommandUnavailable,
    RedisFenceNotProven,
    RedisPermissionDenied,
)
from ..core.host import Host
from ..recovery.service_control import mask_unit
from .connection import RedisConnection
from .lasting import write_down
from .resp import RespClient
from .standby_state import FENCE_HOST, FENCE_PORT, RedisStandbyState, look_at_standby
from .target import is_stopped_here

_POLL = 0.05


@dataclass(frozen=True)
class RedisFence:
    """Which server. *catch_up* (seconds) is how long its replicas may take to get what it has acknowledged.

    *history* is the id of the primary's history; a server of another one is refused. Empty: not known.
    *unit* is what systemd calls it, which is masked where the server is stopped.
    """

    connection: RedisConnection
    history: str = ""
    catch_up: float = 10.0
    unit: str = ""


@dataclass(frozen=True)
class RedisFenced:
    """The evidence. *method*: ``replica`` (it answers and is read-only) or ``stopped`` (its unit can't start).

    *offset* is how far its history goes, None of one that is stopped. *arrived*: a replica had said that it has all of
    it when it was fenced; None where there was none to say it. *written*: it stands in the server's configuration.
    """

    changed: bool
    server: str
    method: str
    history: str | None
    offset: int | None
    arrived: bool | None
    written: bool
    masked: bool
    warnings: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {**dataclasses.asdict(self), "warnings": list(self.warnings)}


def fence_redis(request: RedisFence, *, host: Host, check: bool = False) -> RedisFenced:
    """Fence it and prove it; doing it again finds it done. With *check* only the refusals are made.

    Raises RedisFenceNotProven, RedisClusterNode, and what connecting and asking raise.
    """
    if is_stopped_here(request.connection, runner=host.runner):
        return _keep_stopped(request, host=host, check=check)
    with contextlib.closing(request.connection.open(runner=host.runner)) as client:
        return _Fence(request, client=client, host=host).run(check=check)


class _Fence:
    def __init__(self, request: RedisFence, *, client: RespClient, host: Host) -> None:
        self._request = request
        self._client = client
        self._host = host
        self._warnings: list[str] = []

    def run(self, *, check: bool) -> RedisFenced:
        state = look_at_standby(self._client)
        self._refuse(state)
        if check:
            return self._evidence(state, changed=not _is_fenced(state), arrived=None, written=False)
        arrived = None
        if not _is_fenced(state):
            arrived = self._hold_and_wait(state)
            if state.role == "replica":
                self._client.command("CONFIG", "SET", "replica-read-only", "yes")
            self._client.command("REPLICAOF", FENCE_HOST, FENCE_PORT)
            self._let_go()
        written = self._write_down()
        after = look_at_standby(self._client)
        if not _is_fenced(after):
            raise RedisFenceNotProven(
                f"{after.server} was to take no writes any more, and is a {after.role} that follows {after.follows}.",
                hint="Somebody else changes it: Sentinel, an operator, a cluster manager. Stop that first.",
                details=after.as_dict(),
            )
        return self._evidence(after, changed=not _is_fenced(state), arrived=arrived, written=written)

    def _refuse(self, state: RedisStandbyState) -> None:
        if state.cluster:
            raise RedisClusterNode(
                f"{state.server} is a node of a cluster, which fails over by itself.",
                hint="Use the cluster's own commands: redis-cli --cluster, CLUSTER FAILOVER.",
            )
        if state.fenced:  # one that was restarted since may have begun a new history
            return
        if self._request.history and self._request.history not in (state.history, state.previous_history):
            raise RedisFenceNotProven(
                f"{state.server} has the history {state.history}, and the primary of {self._request.history} is to be "
                "fenced.",
                hint="Look at the connection of the source in the description.",
                details=state.as_dict(),
            )
        if state.role == "replica":
            raise RedisFenceNotProven(
                f"{state.server} is a replica of {state.follows}, not the old primary.",
                hint="Look at the connection of the source in the description.",
                details=state.as_dict(),
            )

    def _hold_and_wait(self, state: RedisStandbyState) -> bool | None:
        """Hold up writes and wait for the replicas; whether one has everything. None: there is none."""
        if not state.replicas:
            return None
        try:
            milliseconds = int((self._request.catch_up + 5) * 1000)
            self._client.command("CLIENT", "PAUSE", milliseconds, "WRITE")
        except (RedisCommandFailed, RedisCommandUnavailable, RedisPermissionDenied) as error:
            self._warnings.append(
                f"Writes went on until it was fenced, so the last ones may not have arrived: {error.message}"
            )
        deadline = self._host.clock.monotonic() + self._request.catch_up
        while True:
            now = look_at_standby(self._client)
            if any(offset >= now.offset for offset in now.replica_offsets):
                return True
            if self._host.clock.monotonic() >= deadline:
                return False
            self._host.clock.sleep(_POLL)

    def _let_go(self) -> None:
        with contextlib.suppress(LifeboatError):
            self._client.command("CLIENT", "UNPAUSE")

    def _write_down(self) -> bool:
        why = write_down(self._client)
        if why is not None:
            self._warnings.append(
                f"It is fenced until its next start only, for it can't write its configuration: {why} "
                f"Write there: replicaof {FENCE_HOST} {FENCE_PORT}"
            )
        return why is None

    def _evidence(self, state: RedisStandbyState, *, changed: bool, arrived: bool | None, written: bool) -> RedisFenced:
        return RedisFenced(
            changed=changed,
            server=state.server,
            method="replica",
            history=state.history,
            offset=state.offset,
            arrived=arrived,
            written=written,
            masked=False,
            warnings=tuple(self._warnings),
        )


def _is_fenced(state: RedisStandbyState) -> bool:
    return state.fenced and state.read_only


def _keep_stopped(request: RedisFence, *, host: Host, check: bool) -> RedisFenced:
    server, unit = request.connection.address, request.unit
    if not unit:
        raise RedisFenceNotProven(
            f"Nothing answers at {server}, and nothing is described that keeps it from starting again.",
            hint="Describe the unit (service_control.unit of the source), or fencing.command.",
            details={"server": server},
        )
    if not check:
        why = mask_unit(unit, runner=host.runner)
        if why is not None:
            raise RedisFenceNotProven(
                f"{server} is stopped, and its unit {unit} can't be kept from starting again: {why}",
                hint=f"Run on {host.name}: systemctl disable --now {unit}   or describe fencing.command.",
                details={"unit": unit},
            )
        if not is_stopped_here(request.connection, runner=host.runner):
            raise RedisFenceNotProven(
                f"{server} was stopped, and answers since its unit {unit} was masked.",
                hint="Somebody started it meanwhile. Do the same again.",
                details={"server": server},
            )
    return RedisFenced(
        changed=True,
        server=server,
        method="stopped",
        history=None,
        offset=None,
        arrived=None,
        written=False,
        masked=True,
    )
