# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A save among saves of others: the moments that a real server meets once in many thousand times.

The server is none: it keeps Redis's three fields about saves, and somebody else's saves end when the test says.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RedisSaveFailed,
    RedisSaveTimedOut,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.bgsave import BackgroundSave
from tests.support.clocks import FakeClock

RUN_ID = "5f" * 20
#: Our save, and every other one, takes so many seconds.
TAKES = 0.01


@dataclass
class Server:
    """*others* are the moments, in seconds from the start of the clock, at which saves of others end."""

    clock: FakeClock
    others: t.Sequence[float] = ()
    tells_time: bool = True
    is_killed: bool = False
    peer: str = "127.0.0.1:6379"
    begun: list[float] = field(default_factory=list)

    @property
    def now(self) -> float:
        return self.clock.now().timestamp()

    def command(self, *words: str) -> bytes:
        assert words[0] == "INFO"
        start = self.now - (self.clock.monotonic() - 1000.0)
        ended = [start + one for one in self.others if start + one <= self.now]
        if not self.is_killed:
            ended += [one + TAKES for one in self.begun if one + TAKES <= self.now]
        lines = {
            "run_id": RUN_ID,
            "rdb_last_save_time": int(max(ended, default=start - 100)),
            "rdb_bgsave_in_progress": int(any(one + TAKES > self.now for one in self.begun)),
            "rdb_last_bgsave_status": "ok",
        }
        if self.tells_time:
            lines["server_time_usec"] = int(self.now * 1e6)
        return "".join(f"{name}:{value}\r\n" for name, value in lines.items()).encode()

    def pipeline(self, *commands: t.Sequence[str]) -> tuple[bytes, bytes]:
        assert commands[0] == ("BGSAVE",)
        self.begun.append(self.now)
        return b"Background saving started", self.command("INFO", "all")


def save(server: Server) -> t.Any:
    clock = server.clock
    one = BackgroundSave(
        client=t.cast("t.Any", server), clock=clock, progress=Progress(clock=clock), timeout=60, run_id=RUN_ID
    )
    return one.run()


@pytest.mark.parametrize("tells_time", [True, False])
@pytest.mark.parametrize(
    "others",
    [
        [],
        [-0.2],
        # The second that is waited for the one ends with another.
        [-0.2, 1.0],
        [-0.2, 1.04],
        [-0.2, 1.04, 2.07, 3.1],
        [-1.2, 0.04],
        [number * 0.35 for number in range(20)],
    ],
)
def test_its_end_is_told_from_those_of_others(others: t.Sequence[float], tells_time: bool) -> None:
    server = Server(FakeClock(), others=others, tells_time=tells_time)
    made = save(server)
    assert made.ended == int(server.begun[-1] + TAKES)
    assert len(server.begun) >= 1


def test_a_save_that_is_killed_is_none_among_others_either() -> None:
    server = Server(FakeClock(), others=[-0.2, 1.04], is_killed=True)
    with pytest.raises(RedisSaveFailed, match="without writing a file"):
        save(server)


def test_who_never_lets_a_second_pass_is_named_in_time() -> None:
    server = Server(FakeClock(), others=[number * 0.1 for number in range(2000)], tells_time=False)
    with pytest.raises(RedisSaveTimedOut):
        save(server)
