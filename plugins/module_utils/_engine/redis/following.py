# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Having a server follow another primary: a further replica, or an old primary that was fenced. It loses what the
primary does not have.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from dataclasses import dataclass

from ..core.errors import (
    RedisFollowRefused,
    RedisPromotionNotReached,
)
from ..core.host import Host
from .connection import RedisConnection
from .lasting import write_down
from .resp import RespClient
from .standby_state import RedisStandbyState, look_at_standby

_POLL = 0.1


@dataclass(frozen=True)
class RedisPrimary:
    """Who is followed, at *host* and *port* as the follower reaches it; *history* is what it must have."""

    host: str
    port: int
    history: str
    connection: RedisConnection


@dataclass(frozen=True)
class RedisFollowed:
    """What came of it. *offset* is how far it has come, *copied* whether it took a whole new copy."""

    changed: bool
    server: str
    follows: str
    offset: int
    copied: bool
    written: bool
    seconds: float
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {**dataclasses.asdict(self), "warnings": list(self.warnings)}


def follow_redis(
    connection: RedisConnection, primary: RedisPrimary, *, timeout: float, host: Host, check: bool = False
) -> RedisFollowed:
    """Follow *primary* and wait until the link is up; a server that does already is left as it is.

    Raises RedisFollowRefused (a primary with keys that takes writes, the primary itself), RedisPromotionNotReached when
    the link does not come up within *timeout* seconds, and what connecting and asking raise.
    """
    began = host.clock.monotonic()
    with contextlib.closing(connection.open(runner=host.runner)) as client:
        before = look_at_standby(client)
        target = f"{primary.host}:{primary.port}"
        with contextlib.closing(primary.connection.open(runner=host.runner)) as other:
            owner = look_at_standby(other)
        _refuse(before, owner, primary)
        changed = before.follows != target
        why = None
        if changed and not check:
            _take_the_way_in(client, primary, host=host)
            client.command("REPLICAOF", primary.host, primary.port)
            why = write_down(client)
        after = before if check else _linked(client, primary, run_id=owner.run_id, timeout=timeout, host=host)
    return RedisFollowed(
        changed=changed,
        server=after.server,
        follows=target,
        offset=after.offset,
        copied=before.history not in (after.history, primary.history),
        written=why is None,
        seconds=round(host.clock.monotonic() - began, 3),
        warnings=(
            ()
            if why is None
            else (f"It follows until its next start only, for it can't write its configuration: {why}",)
        ),
    )


def _refuse(follower: RedisStandbyState, primary: RedisStandbyState, wanted: RedisPrimary) -> None:
    if follower.run_id == primary.run_id:
        raise RedisFollowRefused(
            f"{follower.server} is the primary itself.",
            hint="Look at the connections in the description.",
            details=follower.as_dict(),
        )
    if primary.role != "primary" or primary.history != wanted.history:
        raise RedisFollowRefused(
            f"{primary.server} is a {primary.role} of the history {primary.history}, and the primary of "
            f"{wanted.history} was to be followed.",
            hint="Look who is primary before anything follows it.",
            details=primary.as_dict(),
        )
    if follower.role == "primary" and follower.keys:
        raise RedisFollowRefused(
            f"{follower.server} is a primary that takes writes; following another one would throw its {follower.keys} "
            "keys away.",
            hint="Fence it first (module redis_fence), or empty it by hand.",
            details=follower.as_dict(),
        )


def _is_of(primary: RedisPrimary, follower: RedisStandbyState, *, run_id: str, host: Host) -> bool:
    """Whether it has the history of that primary, also of one that began a new one for its first replica.

    Source: createReplicationBacklog() in Redis' replication.c changes the id.
    """
    if follower.history == primary.history:
        return True
    with contextlib.closing(primary.connection.open(runner=host.runner)) as other:
        now = look_at_standby(other)
    return (now.run_id, now.role, now.history) == (run_id, "primary", follower.history)


def _take_the_way_in(client: RespClient, primary: RedisPrimary, *, host: Host) -> None:
    """Name and password for the new primary, which may not be those of the old one."""
    password = primary.connection.password.fetch(runner=host.runner)
    if password is None:
        return
    client.command("CONFIG", "SET", "masterauth", password)
    if primary.connection.username is not None:
        client.command("CONFIG", "SET", "masteruser", primary.connection.username)


def _linked(client: RespClient, primary: RedisPrimary, *, run_id: str, timeout: float, host: Host) -> RedisStandbyState:
    """Wait for the link to the primary that is the process *run_id*."""
    deadline = host.clock.monotonic() + timeout
    while True:
        state = look_at_standby(client)
        if state.link == "up" and not state.first_copy_running and _is_of(primary, state, run_id=run_id, host=host):
            return state
        if host.clock.monotonic() >= deadline:
            raise RedisPromotionNotReached(
                f"{state.server} follows {state.follows}, and the link is {state.link} after {timeout:g} seconds.",
                hint="Its log says why: a firewall, the password (masterauth), or a first copy that takes longer.",
                details=state.as_dict(),
            )
        host.clock.sleep(_POLL)
