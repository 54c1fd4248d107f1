# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be recovered to, in a terminal: every time that is printed can be given as it stands."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.windows import Gap, Window, Windows
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.windows import (
    windows_text,
)

NOW = parse_time("2026-11-21T12:00:00Z")


def window(begins: str, ends: str) -> Window:
    return Window(
        lineage="1",
        begins=parse_time(f"2026-11-21T{begins}Z"),
        ends=parse_time(f"2026-11-21T{ends}Z"),
        first="1/0/3000028",
        last="1/0/5000000",
        bases=("20261121T110000Z-4f2c91",),
        segments=2,
        stored_bytes=33_000_000,
    )


@pytest.mark.parametrize(
    ("begins", "ends", "said"),
    [
        ("11:00:00", "11:59:00", "any moment from 2026-11-21T11:00:00Z to 2026-11-21T11:59:00Z (60 s ago)"),
        ("11:00:00.4", "11:59:00.9", "any moment from 2026-11-21T11:00:01Z to 2026-11-21T11:59:00Z"),
        # No whole second lies in it.
        (
            "11:00:00.4",
            "11:00:00.9",
            "any moment from 2026-11-21T11:00:00.400000Z to 2026-11-21T11:00:00.900000Z",
        ),
        ("11:00:00.4", "11:00:01.2", "any moment from 2026-11-21T11:00:01Z to 2026-11-21T11:00:01Z"),
        (
            "11:00:00",
            "11:00:00",
            "  the moment 2026-11-21T11:00:00Z (60 min 0 s ago)",
        ),
    ],
)
def test_a_span_or_a_moment(begins: str, ends: str, said: str) -> None:
    one = Windows(windows=(window(begins, ends),))
    assert said in windows_text("shop/main", one, now=NOW)


def test_what_is_missing_is_told_with_its_reason() -> None:
    gap = Gap(parse_time("2026-11-21T11:10:00Z"), None, "000000010000000000000007 is in no repository")
    found = Windows(windows=(window("11:00:00", "11:09:00"),), gaps=(gap,), warnings=("no base behind it",))
    text = windows_text("shop/main", found, now=NOW)
    assert "GAP from 2026-11-21T11:10:00Z to ?: 000000010000000000000007 is in no repository" in text
    assert "warning: no base behind it" in text


def test_nothing_at_all() -> None:
    assert "no moment can be reached" in windows_text("shop/main", Windows(windows=()), now=NOW)
