# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients do while something happens, and what they saw: which writes were acknowledged, and when none was."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

from tests.lab.parts.names import NAME
from tests.support.children import ROOT
from tests.support.hosts.fleet import Fleet
from tests.support.waiting import wait_for


@dataclass(frozen=True)
class Load:
    """The notes of a client that is at work, or was."""

    notes_file: Path

    @property
    def notes(self) -> list[dict[str, t.Any]]:
        if not self.notes_file.exists():
            return []
        lines = self.notes_file.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    @property
    def acknowledged(self) -> dict[int, float]:
        """The numbers of which somebody was told that they are written, each with the moment."""
        return {one["number"]: one["answered"] for one in self.notes if one["ok"]}

    def wait_for_more(self, count: int, *, by: t.Collection[str] = (), seconds: float = 60) -> None:
        """Until so many more writes were acknowledged, by one of these."""
        known = len(self.notes)

        def enough() -> bool:
            new = self.notes[known:]
            return sum(1 for one in new if one["ok"] and (not by or one["by"] in by)) >= count

        wait_for(enough, what=lambda: str(self.notes[-5:]), seconds=seconds)

    def lost(self, there: t.Collection[int]) -> dict[int, float]:
        """What was acknowledged and is not *there*, each with the moment of its acknowledgement."""
        return {number: at for number, at in self.acknowledged.items() if number not in there}

    @property
    def refused(self) -> list[dict[str, t.Any]]:
        """The notes of writes that were not acknowledged."""
        return [one for one in self.notes if not one["ok"]]

    @property
    def longest_silence(self) -> tuple[float, float]:
        """From when to when no client was told that anything is written, at the worst."""
        moments = sorted(self.acknowledged.values())
        return max(itertools.pairwise(moments), key=lambda pair: pair[1] - pair[0])


@contextlib.contextmanager
def load(fleet: Fleet, *, nameserver_port: int, notes: Path, site: str = "controller") -> t.Iterator[Load]:
    """Clients at *site* write until the end of the block."""
    program = [sys.executable, ROOT / "tests/lab/parts/client.py", nameserver_port, NAME, notes]
    with subprocess.Popen(fleet.network.at_site(site, program), stdin=subprocess.PIPE) as child:
        try:
            yield Load(notes)
        finally:
            child.stdin.close()  # type: ignore[union-attr]
            child.wait(10)
