# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new RDB by BGSAVE, and the proof that it is new.

"status ok, nothing in progress" is also what a server says when no file was written at all: FLUSHALL kills the child
and leaves the status as it was. So a save counts only when everything below holds:

- it was started by us, after any other save was over: an earlier one shows an earlier moment;
- the time of the last save moved. It counts whole seconds, so ours starts in a later second than the last one ended;
- the last status is ok, nothing is in progress, the server is the same process (run id) and no FLUSHALL ran meanwhile
  (with save points configured, FLUSHALL kills our save and writes an empty one in its place, with a good status);
- the file is another one than before, its creation time inside lies after our start, and it is whole (CRC-64): see
  ``saved_file.py``.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.clock import Clock
from ..core.errors import RedisRestarted, RedisSaveFailed, RedisSaveTimedOut
from ..core.progress import Progress
from .faults import command_error
from .info import Info
from .resp import ErrorReply, RespClient

_SHORTEST_POLL = 0.02
_LONGEST_POLL = 0.5
_TICKS = 0.05  # several of the kernel's coarse clock, which time() reads
_SECOND = 1.0 + _TICKS
# Replies to BGSAVE that say "later": another save (or a replica's first copy), a rewrite of the AOF, a module's child.
_BUSY = ("already in progress", "Another child process", "rewriting in progress")


@dataclass(frozen=True)
class Save:
    """A save that ended well. Times are seconds since 1970 by the server's clock.

    *keyspace* was counted between the command and whatever the server did next, so it is what the save holds (a key
    that expires in that very moment aside).
    """

    started: int
    ended: int
    run_id: str
    keyspace: t.Mapping[str, t.Mapping[str, int]]


class BackgroundSave:
    """One BGSAVE from the first look to the open file."""

    def __init__(self, *, client: RespClient, clock: Clock, progress: Progress, timeout: float, run_id: str) -> None:
        """*timeout* (seconds) is for everything together; *run_id* is the process that the plan was made for."""
        self._client = client
        self._clock = clock
        self._progress = progress
        self._timeout = timeout
        self._deadline = clock.monotonic() + timeout
        self._run_id = run_id

    def run(self) -> Save:
        """Save, and return when it is proven.

        Raises RedisSaveFailed, RedisSaveTimedOut, RedisRestarted and the errors of the connection.
        """
        self._progress.stage("waiting for other saves")
        before = self._look()
        while True:
            before = self._wait_for_quiet(before)
            before = self._wait_for_next_second(before)
            started = self._try_to_start(before)
            if started is not None:
                break
            self._pause(_SHORTEST_POLL * 5, doing="wait for another save or rewrite to end")
            before = self._look()
        self._progress.stage("saving")
        after = self._wait_for_end()
        self._judge(before=started, after=after)
        return Save(
            started=started.server_seconds or started.number("rdb_last_save_time"),
            ended=after.number("rdb_last_save_time"),
            run_id=self._run_id,
            keyspace=started.keyspace,
        )

    def _look(self) -> Info:
        """INFO, and the certainty that this is still the same server process."""
        info = Info(self._client.command("INFO", "all"))
        if info.get("run_id", "") != self._run_id:
            raise RedisRestarted(
                f"{self._client.peer} was restarted during the backup.",
                hint="Look at the server's log, then run the backup again.",
                details={"run_id_before": self._run_id, "run_id_now": info.get("run_id", "")},
            )
        return info

    def _wait_for_quiet(self, info: Info) -> Info:
        """Wait until no child process of the server runs that would keep ours from starting.

        This is what BGSAVE SCHEDULE does inside the server; from outside, a scheduled save that has not begun can't be
        told from one that was killed.
        """
        while info.is_on("rdb_bgsave_in_progress") or info.is_on("aof_rewrite_in_progress"):
            self._pause(_SHORTEST_POLL * 5, doing="wait for another save or rewrite to end")
            info = self._look()
        return info

    def _wait_for_next_second(self, info: Info) -> Info:
        """Wait until our save can't end in the same second as the last one: its time would not move."""
        while True:
            last_save = info.number("rdb_last_save_time")
            now = info.server_seconds
            if now is not None and now > last_save + 1:
                return info
            # The clock that stamps saves may lag behind the one that INFO shows: a save that begins right after the
            # turn of the second and ends at once would still get the old one. Where the server doesn't tell its time,
            # or it is still that second, a second later it is over in any case.
            self._pause(_TICKS if now is not None and now > last_save else _SECOND, doing="wait for the next second")
            later = self._look()
            if later.number("rdb_last_save_time") == last_save:
                return later
            info = later  # somebody else's save has ended meanwhile, maybe just now

    def _try_to_start(self, before: Info) -> Info | None:
        """The state at the very start of our save; None when somebody else was faster and we have to wait again."""
        # In one piece: the server runs both without another client's command between them, and counts its child's end
        # later than that, so the state shows what the save holds and the time of the save before it.
        reply, state = self._client.pipeline(("BGSAVE",), ("INFO", "all"))
        if isinstance(reply, ErrorReply):
            if any(words in reply.text for words in _BUSY):
                return None
            raise command_error(reply.text, command="BGSAVE", words=("BGSAVE",), peer=self._client.peer)
        if isinstance(state, ErrorReply):
            raise command_error(state.text, command="INFO", words=("INFO",), peer=self._client.peer)
        started = Info(state)
        last_save, now = started.number("rdb_last_save_time"), started.server_seconds
        if last_save != before.number("rdb_last_save_time") and (now is None or now <= last_save + 1):
            # Another save ended between our look and our start, just now: its end can't be told from ours.
            return None
        return started

    def _wait_for_end(self) -> Info:
        pause = _SHORTEST_POLL
        while True:
            info = self._look()
            if not info.is_on("rdb_bgsave_in_progress"):
                return info
            self._pause(pause, doing="save")
            pause = min(pause * 1.5, _LONGEST_POLL)

    def _judge(self, *, before: Info, after: Info) -> None:
        details = {
            "last_save_before": before.number("rdb_last_save_time"),
            "last_save_after": after.number("rdb_last_save_time"),
            "status": after.get("rdb_last_bgsave_status", ""),
        }
        peer = self._client.peer
        if after.get("rdb_last_bgsave_status") != "ok":
            raise RedisSaveFailed(
                f"{peer} could not save: rdb_last_bgsave_status is {details['status']}.",
                hint="The server's log says why: most often no room on the disk, no permission to write there, or no "
                "memory for fork (sysctl vm.overcommit_memory=1).",
                details=details,
            )
        if _flushes(after) > _flushes(before):
            raise RedisSaveFailed(
                f"FLUSHALL was run on {peer} during the save, which ends the save or empties what it shows.",
                hint="When that was meant, run the backup again; when it was not, restore from the last good backup.",
                details=details,
            )
        if details["last_save_after"] == details["last_save_before"]:
            raise RedisSaveFailed(
                f"The save on {peer} ended without writing a file, although its status is ok: its process was killed.",
                hint="Look at the server's log (FLUSHALL, SIGUSR1 to the child), then run the backup again.",
                details=details,
            )

    def _pause(self, seconds: float, *, doing: str) -> None:
        if self._clock.monotonic() + seconds > self._deadline:
            raise RedisSaveTimedOut(
                f"{self._client.peer} did not {doing} within {self._timeout:g} seconds.",
                hint="Raise timeout. INFO persistence shows what the server is busy with.",
                details={"seconds": self._timeout},
            )
        self._clock.sleep(seconds)


def _flushes(info: Info) -> int:
    """How often FLUSHALL ran since the server's start, or since CONFIG RESETSTAT."""
    fields = dict(pair.split("=", 1) for pair in info.get("cmdstat_flushall", "").split(",") if "=" in pair)
    return int(fields.get("calls", "0"))
