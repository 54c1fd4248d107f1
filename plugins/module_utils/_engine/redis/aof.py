# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the moment at which the append-only files belong together, and belong to this server."""

from __future__ import annotations

from ..core.clock import Clock
from ..core.errors import (
    AofInvalid,
    AofUnstable,
    RedisAppendOnlyOff,
    RedisFilesUnreachable,
    RedisRestarted,
)
from .aof_set import AofSet, Vanished, open_set, open_single
from .facts import ServerFacts
from .info import Info, read_info
from .local_files import DataFolder
from .resp import RespClient

_POLL = 0.1
_ATTEMPTS = 20
_FLUSH_POLL = 0.02
# With appendfsync everysec a server whose disk is busy puts off its own writing for two seconds at most.
_FLUSH_SECONDS = 2.5


def refuse_without_aof(facts: ServerFacts) -> None:
    """Raise RedisAppendOnlyOff or AofInvalid when there is no append-only file that holds everything."""
    if not facts.append_only:
        raise RedisAppendOnlyOff(
            "The server keeps no append-only file: appendonly is no.",
            hint="Take a backup of the kind rdb, or run on the server: redis-cli CONFIG SET appendonly yes",
        )
    if facts.aof_write_status not in ("", "ok"):
        raise AofInvalid(
            f"The server can't write its append-only file (aof_last_write_status is {facts.aof_write_status}), "
            "so it lacks the newest writes.",
            hint="Make room on the server's disk; its log says what is wrong.",
        )


def refuse_unreadable_set(facts: ServerFacts, folder: DataFolder) -> None:
    """Raise RedisFilesUnreachable or AofInvalid when the files can't be opened as they lie there now."""
    try:
        _open(facts, folder).close()
    except Vanished:
        pass  # a rewrite is replacing them: freeze() waits for its end


def freeze(*, client: RespClient, facts: ServerFacts, folder: DataFolder, clock: Clock, timeout: float) -> AofSet:
    """The server's append-only files as of now, open. The caller closes the set.

    Waits until the server has written what it acknowledged before, and (up to *timeout* seconds) for a rewrite to
    end: until the first one has ended, the files of a server that was just switched to ``appendonly yes`` lack
    everything older. The lengths of the files are proof that they are this server's and complete: they lie between the
    sizes that it tells before and after.

    Raises AofUnstable, AofInvalid, RedisFilesUnreachable and RedisRestarted.
    """
    deadline = clock.monotonic() + timeout
    _wait_for_flush(client, facts, clock=clock)
    for _attempt in range(_ATTEMPTS):
        before = _wait_for_rewrite(client, facts, clock=clock, deadline=deadline)
        try:
            found = _open(facts, folder)
        except Vanished:
            clock.sleep(_POLL)
            continue
        after = _look(client, facts)
        if _belongs(found, before=before, after=after):
            return found
        found.close()
        clock.sleep(_POLL)
    if not folder.proven:
        raise RedisFilesUnreachable(
            f"The append-only files below {folder.path!r} on this host are not those of {client.peer}: "
            "their lengths are not what the server tells.",
            hint="Run Lifeboat on the server's own host, or take a backup of the kind rdb with method: sync.",
            details={"path": folder.path},
        )
    raise AofUnstable(
        f"The append-only files below {folder.path!r} never had the lengths that the server tells.",
        hint="Run on the server: redis-cli BGREWRITEAOF, wait until INFO persistence says aof_rewrite_in_progress:0, "
        "and back up again.",
        details={"path": folder.path},
    )


def _open(facts: ServerFacts, folder: DataFolder) -> AofSet:
    settings = facts.settings or {}
    name = settings.get("appendfilename", "appendonly.aof")
    if "appenddirname" in settings:
        return open_set(data_folder=folder.path, folder_name=settings["appenddirname"], file_name=name)
    return open_single(data_folder=folder.path, file_name=name)


def _belongs(found: AofSet, *, before: Info, after: Info) -> bool:
    """Whether the lengths are the server's. A base that it wrote when it first started is not in its sum."""
    lower, upper = before.number("aof_current_size", -1), after.number("aof_current_size", -1)
    if lower < 0:
        return False
    return any(lower <= length <= upper for length in (found.length, found.increment_length))


def _wait_for_flush(client: RespClient, facts: ServerFacts, *, clock: Clock) -> None:
    """Until all that was acknowledged before is in the file: its buffer was seen empty, or has had to be written."""
    deadline = clock.monotonic() + _FLUSH_SECONDS
    while _look(client, facts).number("aof_buffer_length", 0) and clock.monotonic() < deadline:
        clock.sleep(_FLUSH_POLL)


def _wait_for_rewrite(client: RespClient, facts: ServerFacts, *, clock: Clock, deadline: float) -> Info:
    while True:
        info = _look(client, facts)
        if not info.is_on("aof_rewrite_in_progress") and not info.is_on("aof_rewrite_scheduled"):
            return info
        if clock.monotonic() + _POLL > deadline:
            raise AofUnstable(
                f"{client.peer} did not end the rewrite of its append-only file in time.",
                hint="Raise timeout, or look at INFO persistence and the server's log.",
            )
        clock.sleep(_POLL)


def _look(client: RespClient, facts: ServerFacts) -> Info:
    run_id = read_info(client, "server").get("run_id", "")
    if run_id != facts.run_id:
        raise RedisRestarted(
            f"{client.peer} was restarted during the backup.",
            hint="Look at the server's log, then run the backup again.",
            details={"run_id_before": facts.run_id, "run_id_now": run_id},
        )
    return read_info(client, "persistence")
