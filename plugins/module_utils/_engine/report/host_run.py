# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a host runs ``lifeboat`` by its clock, whatever starts it."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass

from ..operations.host_schedule import ScheduledCall

_SHORTEST_GAP = 60  # seconds: no cron calls more often


@dataclass(frozen=True)
class HostRun:
    """The program and its surroundings on one host. *splay* and *boot_delay* are seconds; *year* is the present one.

    *version* is noted in units that run for ever, so that they are started again after an upgrade.
    """

    host_name: str
    year: int
    host_timezone: str = "UTC"
    program: str = "/opt/lifeboat/current/bin/lifeboat"
    configuration: str = "/etc/lifeboat/config.yml"
    user: str = "root"
    path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    splay: int = 0
    nice: int = 10
    io_class: int = 2
    io_priority: int = 7
    boot_delay: int = 60
    version: str = ""

    def words(self, call: ScheduledCall, *more: str) -> list[str]:
        """The whole command."""
        return [self.program, "--config", self.configuration, *call.words, *more]

    def command(self, call: ScheduledCall, *more: str) -> str:
        """The whole command for a shell, at its priority."""
        kindly = ["nice", "-n", str(self.nice), "ionice", "-c", str(self.io_class)]
        # The idle class has no priorities, and ionice would say so each time.
        kindly += ["-n", str(self.io_priority)] if self.io_class in (1, 2) else []
        return shlex.join([*kindly, *self.words(call, *more)])

    def pause(self, call: ScheduledCall) -> int:
        """Seconds between the schedule's time and the start: the same for this host each time, another for others.

        At most a quarter of the time between two runs.
        """
        if call.schedule is None or self.splay <= 0:
            return 0
        gap = max(int(call.schedule.longest_gap().total_seconds()), _SHORTEST_GAP)
        number = int.from_bytes(hashlib.sha256(self.host_name.encode("utf-8")).digest()[:8], "big")
        return number % (min(self.splay, gap // 4) + 1)
