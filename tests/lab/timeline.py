# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the time of a play goes: its tasks with their seconds, and when each step of the ledger was done."""

from __future__ import annotations

import datetime
import itertools
import json
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path


def wall(moment: str) -> float:
    """A time of the ledger by the clock of the machine since its start."""
    ago = datetime.datetime.now(tz=datetime.UTC) - datetime.datetime.fromisoformat(moment)
    return time.monotonic() - ago.total_seconds()


@dataclass(frozen=True)
class Timeline:
    """*began* is the moment of the decision."""

    began: float
    tasks: t.Sequence[tuple[float, str]]
    steps: t.Sequence[tuple[float, str]]

    @classmethod
    def of(cls, stopwatch: Path, *, began: float, entries: t.Sequence[t.Mapping[str, t.Any]]) -> Timeline:
        """*entries* are those of the ledger."""
        notes = [json.loads(line) for line in stopwatch.read_text(encoding="utf-8").splitlines()]
        done = [(wall(one["at"]) - began, str(one["step"])) for one in entries if one["event"] == "done"]
        return cls(began=began, tasks=[(one["at"] - began, one["what"]) for one in notes], steps=done)

    def done(self, step: str) -> float:
        """Seconds from the decision until the last step whose name begins so was done."""
        return max(at for at, name in self.steps if name.startswith(step))

    def told(self, *, at_least: float = 0.5) -> str:
        """For people: the steps, and the tasks that took their time."""
        lines = [f"  {at:6.1f} s  {name} is done" for at, name in self.steps]
        for (at, what), (after, _next) in itertools.pairwise(self.tasks):
            if after - at >= at_least:
                lines.append(f"  {at:6.1f} s  + {after - at:4.1f} s  {what}")
        return "\n".join(lines)
