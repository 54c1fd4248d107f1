# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What archiving append-only files asks of the server: may it be archived, what is in its files by now, are they dated.

A server writes what it did in one turn of its loop to the file before it answers, but with ``appendfsync everysec`` it
may put that off for two seconds. So a second counts as complete when INFO, asked again, shows the file grown by all
that was in the buffer at the first time.
"""

from __future__ import annotations

import os

from ..core.clock import Clock
from ..core.errors import AofLogUnsupported, RedisAppendOnlyOff, RedisCommandFailed
from .facts import ServerFacts
from .info import Info, read_info
from .resp import RespClient

_SINCE = (7, 0)
_ATTEMPTS = 30
_POLL = 0.1
TIMESTAMPS = "aof-timestamp-enabled"
_LASTING = f"redis-cli CONFIG SET {TIMESTAMPS} yes && redis-cli CONFIG REWRITE"


def refuse_unarchivable(facts: ServerFacts, *, address: str) -> None:
    """Raise AofLogUnsupported or RedisAppendOnlyOff for a server that has no files to archive."""
    if facts.redis_version < _SINCE:
        raise AofLogUnsupported(
            f"{address} is {facts.flavour.capitalize()} {facts.version}: before Redis 7.0 an append-only file has no "
            "times in it, and a rewrite replaces all of it.",
            hint="Upgrade the server, or take backups of the kind rdb more often: each is a point to go back to.",
            details={"version": facts.version},
        )
    if not facts.append_only:
        raise RedisAppendOnlyOff(
            f"{address} keeps no append-only file (appendonly is no), so there is nothing to archive.",
            hint="Run on the server: redis-cli CONFIG SET appendonly yes && redis-cli CONFIG REWRITE",
        )


def setting_warnings(facts: ServerFacts, *, address: str, turns_on: bool) -> list[str]:
    """What to tell about a server that is archived nevertheless."""
    found = []
    settings = facts.settings or {}
    if settings.get(TIMESTAMPS) != "yes":
        found.append(
            f"{address} writes no times into its append-only file ({TIMESTAMPS} is no). "
            + (f"It is turned on until the server ends; to last: {_LASTING}" if turns_on else f"Run: {_LASTING}")
        )
    if settings.get("appendfsync") == "no":
        found.append(f"{address} never syncs its append-only file itself (appendfsync no).")
    if facts.aof_write_status not in ("", "ok"):
        found.append(
            f"{address} can't write its append-only file (aof_last_write_status is {facts.aof_write_status}): "
            "new writes are not in it. Its log says why."
        )
    return found


def complete_second(client: RespClient, *, clock: Clock) -> int | None:
    """The last second of which everything is in the files by now; None when the server is behind with writing them.

    Waits for up to three seconds. None too while a first rewrite runs, as long as its files can't be told from others.
    """
    for _attempt in range(_ATTEMPTS):
        first = Info(client.command("INFO"))
        second = Info(client.command("INFO"))
        wanted = first.number("aof_current_size") + first.number("aof_buffer_length")
        same = first.number("aof_base_size") == second.number("aof_base_size")
        if same and second.number("aof_current_size") >= wanted and first.server_seconds is not None:
            return first.server_seconds - 1
        clock.sleep(_POLL)
    return None


def server_second(client: RespClient) -> int:
    """The second that the server is in. Raises RedisCommandFailed."""
    reply = client.command("TIME")
    if not isinstance(reply, list) or not isinstance(reply[0], bytes) or not reply[0].isdigit():
        raise RedisCommandFailed("The server answers TIME with something that is no time.", hint="Run: redis-cli TIME")
    return int(reply[0])


def config_sets(client: RespClient) -> int:
    """How often CONFIG SET was run since the server's start: nobody switched appendonly while it stays the same."""
    found = Info(client.command("INFO", "commandstats")).get("cmdstat_config|set", "")
    fields = dict(pair.split("=", 1) for pair in found.split(",") if "=" in pair)
    return int(fields.get("calls", "0"))


def replication_id(client: RespClient) -> str:
    """The name of the history that the server is in as a primary: another one after it was a replica for a while."""
    return read_info(client, "replication").get("master_replid", "")


def begin_of_life(client: RespClient) -> int:
    """The first second that the server lived through whole."""
    return server_second(client) - read_info(client, "server").number("uptime_in_seconds") + 1


def is_rewriting(client: RespClient) -> bool:
    """Whether a rewrite runs or is due: until the first one has ended, the files lack everything newer."""
    info = Info(client.command("INFO", "persistence"))
    return info.is_on("aof_rewrite_in_progress") or info.is_on("aof_rewrite_scheduled")


def has_open(process: int, descriptor: int) -> bool | None:
    """Whether the process has the file behind *descriptor* open; None when we may not look."""
    wanted = os.fstat(descriptor)
    folder = f"/proc/{process}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    return any(_same(os.path.join(folder, name), wanted) for name in names)


def turn_on_timestamps(client: RespClient) -> None:
    """Have the server write times from now on, until it ends. Raises the errors of the connection."""
    client.command("CONFIG", "SET", TIMESTAMPS, "yes")


def _same(path: str, wanted: os.stat_result) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino)
