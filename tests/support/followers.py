# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat ship --follow`` of several streams, in processes of their own, as services run it."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field

from tests.support.children import ENGINE, environment


@dataclass
class Followers:
    """*streams* are jobs by a short name; what the processes print is in files beside the description."""

    configuration: pathlib.Path
    streams: t.Mapping[str, str]
    deaths: int = 0
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Begin to follow; a second time after a death only."""
        words = ["--config", str(self.configuration), "ship", self.streams[name], "--follow", "--quiet"]
        with self._log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", ENGINE, *words], env=environment(), stdout=log, stderr=log
            )

    def require_alive(self) -> None:
        """Fail the test when one has ended by itself; its last words are the message."""
        for name, process in self._processes.items():
            assert process.poll() is None, self._log(name).read_text(encoding="utf-8")[-3000:]

    def kill(self, name: str) -> None:
        """As a power cut would."""
        self.require_alive()
        self._processes[name].send_signal(signal.SIGKILL)
        self._processes[name].wait()
        self.deaths += 1

    def end(self) -> None:
        """In good order; also when they have ended already."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait(timeout=60)

    def _log(self, name: str) -> pathlib.Path:
        return self.configuration.parent / f"{name}.log"
