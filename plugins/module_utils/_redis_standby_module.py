# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the modules about standbys of Redis to the engine. Private to the collection."""

from __future__ import annotations

import contextlib
import typing as t

from ._argspec import redis_connection_option
from ._engine.core.errors import RequestInvalid
from ._engine.redis.administrator import administrator_of
from ._engine.redis.connection import RedisConnection
from ._engine.redis.fence import RedisFence, fence_redis
from ._engine.redis.following import RedisPrimary, follow_redis
from ._engine.redis.promotion import RedisPromotion, promote_redis
from ._engine.redis.standby_state import look_at_standby
from ._module import as_change

if t.TYPE_CHECKING:
    from ._engine.core.host import Host

Options = t.Mapping[str, t.Any]


def redis_changing_options() -> dict[str, t.Any]:
    """Who is reached, and who may change it: documented in the fragment ``_redis``."""
    return {**redis_connection_option(), "administrator": redis_connection_option()["connection"]}


def redis_standby_info(options: Options, *, host: Host) -> dict[str, t.Any]:
    """What one server says of its place."""
    connection = RedisConnection.from_description(options["connection"])
    with contextlib.closing(connection.open(runner=host.runner)) as client:
        return {"changed": False, "state": look_at_standby(client).as_dict()}


def fence_old_redis(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """Keep it from writing for good."""
    request = RedisFence(
        connection=_administrator(options),
        history=options.get("history") or "",
        catch_up=float(options["catch_up"]),
        unit=options.get("unit") or "",
    )
    fenced = fence_redis(request, host=host, check=check)
    _warn(fenced.warnings, host=host)
    return {
        "changed": fenced.changed,
        "diff": as_change("takes writes", f"takes no writes ({fenced.method})", changed=fenced.changed),
        "fenced": fenced.as_dict(),
    }


def promote_redis_standby(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """Promote it and write to it."""
    promotion = RedisPromotion(
        history=options["history"], offset=options.get("offset"), timeout=float(options["timeout"])
    )
    promoted = promote_redis(_administrator(options), promotion, host=host, check=check)
    _warn(promoted.warnings, host=host)
    return {
        "changed": promoted.changed,
        "diff": as_change("replica", "primary", changed=promoted.changed),
        "promoted": promoted.as_dict(),
    }


def follow_redis_primary(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """Have it follow another primary."""
    given = options["primary"]
    if not given.get("host"):
        raise RequestInvalid("A replica needs its primary's address.", hint="Give primary.host.")
    connection = RedisConnection.from_description(given)
    primary = RedisPrimary(
        host=connection.host, port=connection.port, history=options["history"], connection=connection
    )
    followed = follow_redis(_administrator(options), primary, timeout=float(options["timeout"]), host=host, check=check)
    _warn(followed.warnings, host=host)
    return {
        "changed": followed.changed,
        "diff": as_change("follows another or nobody", f"follows {followed.follows}", changed=followed.changed),
        "followed": followed.as_dict(),
    }


def _administrator(options: Options) -> RedisConnection:
    return administrator_of(options["connection"], options["administrator"])


def _warn(warnings: t.Sequence[str], *, host: Host) -> None:
    for sentence in warnings:
        host.journal.warning(sentence)
