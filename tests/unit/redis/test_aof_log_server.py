# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a second counts as complete. The client here is scripted: real servers are hardly ever behind with writing."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_server import complete_second
from tests.support.clocks import FakeClock


class Scripted:
    """Answers INFO with one (second, size of the files, bytes in the buffer, size of the base) after the other."""

    def __init__(self, *looks: tuple[float, int, int, int]) -> None:
        self._looks = list(looks)

    def command(self, *words: t.Any) -> bytes:
        assert words == ("INFO",)
        second, size, waiting, base = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return (
            f"server_time_usec:{int(second * 1_000_000)}\r\naof_current_size:{size}\r\n"
            f"aof_buffer_length:{waiting}\r\naof_base_size:{base}\r\n"
        ).encode()


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([(100.2, 500, 0, 10), (100.3, 500, 0, 10)], 99),
        ([(100.2, 500, 20, 10), (100.3, 520, 7, 10)], 99),
        # The buffer of the first look is not in the file yet: only the third look proves the second one.
        ([(100.2, 500, 20, 10), (100.3, 519, 1, 10), (101.5, 519, 30, 10), (101.6, 549, 0, 10)], 100),
        # A rewrite ended in between: sizes of before say nothing.
        ([(100.2, 500, 20, 10), (100.3, 600, 0, 90), (102.0, 600, 0, 90), (102.1, 600, 0, 90)], 101),
        # Behind for good.
        ([(100.0, 500, 20, 10)], None),
    ],
)
def test_a_second_is_complete_when_the_buffer_of_a_later_one_is_in_the_file(
    looks: list[tuple[float, int, int, int]], expected: int | None
) -> None:
    assert complete_second(t.cast("t.Any", Scripted(*looks)), clock=FakeClock()) == expected
