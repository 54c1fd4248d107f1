# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a replica the primary: it applies what it has received, follows nobody, and is written to.

A replica that never had a whole copy is refused, and so is one of another history than that of the plan.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import typing as t
from dataclasses import dataclass

from ..core.errors import (
    RedisClusterNode,
    RedisCommandFailed,
    RedisPermissionDenied,
    RedisPromotionNotReached,
    RedisPromotionRefused,
)
from ..core.host import Host
from .connection import RedisConnection
from .lasting import write_down
from .resp import RespClient
from .standby_state import RedisStandbyState, look_at_standby

_POLL = 0.05
#: What is written to prove that writes are taken, and removed at once; it ends by itself after so many seconds.
_PROOF, _PROOF_SECONDS = "lifeboat:promoted:", 5


@dataclass(frozen=True)
class RedisPromotion:
    """What is to become the primary: the replica of *history*.

    *offset* is up to where the fenced primary had written, None when nobody knows: it is waited for while the link to
    it is up. *timeout* is in seconds.
    """

    history: str
    offset: int | None = None
    timeout: float = 60.0


@dataclass(frozen=True)
class RedisPromoted:
    """What came of it. *changed* is False when it was promoted already.

    *applied* is how far it had come in the old history. *lost_bytes* is what the primary had beyond that, None when
    nobody knows. *written*: it will be a primary after its next start, too.
    """

    changed: bool
    server: str
    history_before: str
    history: str
    applied: int
    lost_bytes: int | None
    written: bool
    keys: int
    seconds: float
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {**dataclasses.asdict(self), "warnings": list(self.warnings)}


def promote_redis(
    connection: RedisConnection, promotion: RedisPromotion, *, host: Host, check: bool = False
) -> RedisPromoted:
    """Promote the replica, or find that it was promoted; then write to it. With *check* only the refusals are made.

    Raises RedisPromotionRefused, RedisPromotionNotReached, RedisClusterNode, and what connecting and asking raise.
    """
    with contextlib.closing(connection.open(runner=host.runner)) as client:
        return _Promotion(promotion, client=client, host=host).run(check=check)


class _Promotion:
    def __init__(self, promotion: RedisPromotion, *, client: RespClient, host: Host) -> None:
        self._wanted = promotion
        self._client = client
        self._host = host
        self._warnings: list[str] = []

    def run(self, *, check: bool) -> RedisPromoted:
        began = self._host.clock.monotonic()
        state = look_at_standby(self._client)
        self._refuse(state)
        if check:
            return self._told(state, before=state, written=False, began=began)
        if state.role == "replica":
            state = self._caught_up()
            self._client.command("REPLICAOF", "NO", "ONE")
        after = look_at_standby(self._client)
        if after.role != "primary" or after.previous_history != self._wanted.history:
            raise RedisPromotionNotReached(
                f"{after.server} was told to be a primary, and is a {after.role} of the history {after.history}.",
                hint="Somebody else changes it: Sentinel, an operator, a cluster manager. Stop that first.",
                details=after.as_dict(),
            )
        self._prove_writes(after)
        return self._told(after, before=state, written=self._write_down(), began=began)

    def _refuse(self, state: RedisStandbyState) -> None:
        if state.cluster:
            raise RedisClusterNode(
                f"{state.server} is a node of a cluster, which fails over by itself.",
                hint="Use the cluster's own commands: CLUSTER FAILOVER on the replica.",
            )
        if state.role == "primary":
            if state.previous_history == self._wanted.history:
                return
            raise RedisPromotionRefused(
                f"{state.server} is a primary that was not promoted from the history {self._wanted.history}.",
                hint="Somebody has promoted another server, or this one is the old primary. Make a new plan.",
                details=state.as_dict(),
            )
        # One that fetches a copy again has what it had until it loads the new one, and its old history as long.
        if state.loading or state.history != self._wanted.history:
            why = "is loading a copy" if state.loading else f"has the history {state.history}"
            raise RedisPromotionRefused(
                f"{state.server} {why}, so it does not have the data of the primary of {self._wanted.history}.",
                hint="Restore a backup there instead.",
                details=state.as_dict(),
            )

    def _caught_up(self) -> RedisStandbyState:
        """Wait for what is on its way; a link that is down brings nothing more."""
        deadline = self._host.clock.monotonic() + self._wanted.timeout
        while True:
            state = look_at_standby(self._client)
            if self._wanted.offset is None or state.offset >= self._wanted.offset or state.link != "up":
                return state
            if self._host.clock.monotonic() >= deadline:
                raise RedisPromotionNotReached(
                    f"{state.server} has applied {state.offset} of {self._wanted.offset} bytes within "
                    f"{self._wanted.timeout:g} seconds, and goes on.",
                    hint="Do the same again with a longer timeout; nothing was promoted.",
                    details=state.as_dict(),
                )
            self._host.clock.sleep(_POLL)

    def _prove_writes(self, state: RedisStandbyState) -> None:
        key = _PROOF + secrets.token_hex(8)
        try:
            self._client.command("SET", key, "1", "EX", _PROOF_SECONDS)
            self._client.command("DEL", key)
        except (RedisCommandFailed, RedisPermissionDenied) as error:
            raise RedisPromotionNotReached(
                f"{state.server} is a primary and does not take a write: {error.message}",
                hint="NOREPLICAS: CONFIG SET min-replicas-to-write 0. MISCONF: its disk. NOPERM: an administrator.",
                details=state.as_dict(),
            ) from error

    def _write_down(self) -> bool:
        why = write_down(self._client)
        if why is not None:
            self._warnings.append(
                f"It is a primary until its next start only, for it can't write its configuration: {why} "
                "Take replicaof out of it."
            )
        return why is None

    def _told(
        self, state: RedisStandbyState, *, before: RedisStandbyState, written: bool, began: float
    ) -> RedisPromoted:
        applied = before.offset if before.role == "replica" else max(0, (before.switched or 1) - 1)
        lost = None if self._wanted.offset is None else max(0, self._wanted.offset - applied)
        return RedisPromoted(
            changed=before.role == "replica",
            server=state.server,
            history_before=self._wanted.history,
            history=state.history,
            applied=applied,
            lost_bytes=lost,
            written=written,
            keys=state.keys,
            seconds=round(self._host.clock.monotonic() - began, 3),
            warnings=tuple(self._warnings),
        )
