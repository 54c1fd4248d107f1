# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures that switch programs: units of systemd, applications by their commands, commands of any kind."""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import dataclass

from ..core.errors import DegradedMeasureFailed
from ..core.runner import Runner

_PATIENCE = 120.0


class Plain:
    """What most levers have in common."""

    def settle(self) -> None:
        """Nothing follows."""

    def pauses(self) -> t.Sequence[str]:
        """None."""
        return ()


@dataclass(frozen=True)
class UnitLever(Plain):
    """A unit that is stopped, or started."""

    unit: str
    wants: bool  # whether it is to run
    runner: Runner

    def read(self) -> dict[str, t.Any]:
        """Whether it runs; a unit that systemd does not know is refused."""
        said = self.runner.run(
            ["systemctl", "show", self.unit, "--property=LoadState,ActiveState"], timeout=_PATIENCE
        ).text.split()
        if "LoadState=not-found" in said:
            raise DegradedMeasureFailed(
                f"There is no unit {self.unit} on this host.", hint=f"Run: systemctl status {self.unit}"
            )
        return {"running": any(f"ActiveState={one}" in said for one in ("active", "activating", "reloading"))}

    def is_on(self, now: t.Mapping[str, t.Any]) -> bool:
        """As wanted."""
        return bool(now["running"]) is self.wants

    def is_back(self, now: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any]) -> bool:
        """As before."""
        return bool(now["running"]) is bool(before["running"])

    def turn_on(self, before: t.Any) -> None:
        """Stop or start it."""
        self._switch(runs=self.wants)

    def turn_back(self, before: t.Mapping[str, t.Any]) -> None:
        """Start what ran, stop what did not."""
        self._switch(runs=bool(before["running"]))

    def _switch(self, *, runs: bool) -> None:
        self.runner.run(["systemctl", "start" if runs else "stop", self.unit], timeout=_PATIENCE)


@dataclass(frozen=True)
class ProgramLever(Plain):
    """An application that is stopped and started by commands. *check* ends with 0 while it runs; without one it is
    taken to have been the other way round.
    """

    start: str
    stop: str
    check: str | None
    wants: bool
    runner: Runner

    def read(self) -> dict[str, t.Any] | None:
        """Whether it runs; None where nothing says."""
        if self.check is None:
            return None
        return {"running": self.runner.run(shlex.split(self.check), timeout=_PATIENCE, check=False).status == 0}

    def is_on(self, now: t.Mapping[str, t.Any]) -> bool:
        """As wanted."""
        return bool(now["running"]) is self.wants

    def is_back(self, now: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any] | None) -> bool:
        """As before."""
        return bool(now["running"]) is self._before(before)

    def turn_on(self, before: t.Any) -> None:
        """Stop or start it."""
        self._switch(runs=self.wants)

    def turn_back(self, before: t.Mapping[str, t.Any] | None) -> None:
        """Start what ran, stop what did not."""
        self._switch(runs=self._before(before))

    def _before(self, before: t.Mapping[str, t.Any] | None) -> bool:
        return not self.wants if before is None else bool(before["running"])

    def _switch(self, *, runs: bool) -> None:
        self.runner.run(shlex.split(self.start if runs else self.stop), timeout=_PATIENCE)


@dataclass(frozen=True)
class CommandLever(Plain):
    """Two commands; a third one may say whether the first is in force."""

    forth: t.Sequence[str]
    back: t.Sequence[str]
    check: t.Sequence[str] | None
    runner: Runner

    def read(self) -> dict[str, t.Any] | None:
        """Whether it is in force; None where nothing says."""
        if self.check is None:
            return None
        return {"in_force": self.runner.run(list(self.check), timeout=_PATIENCE, check=False).status == 0}

    def is_on(self, now: t.Mapping[str, t.Any]) -> bool:
        """In force."""
        return bool(now["in_force"])

    def is_back(self, now: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any] | None) -> bool:
        """As before."""
        return bool(now["in_force"]) is bool((before or {}).get("in_force"))

    def turn_on(self, before: t.Any) -> None:
        """Run the first."""
        self.runner.run(list(self.forth), timeout=_PATIENCE)

    def turn_back(self, before: t.Mapping[str, t.Any] | None) -> None:
        """Run the second, unless it was in force before."""
        if not (before or {}).get("in_force"):
            self.runner.run(list(self.back), timeout=_PATIENCE)
