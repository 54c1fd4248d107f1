# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operation needs from the machine it runs on, handed in by whoever starts it."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from .clock import Clock, SystemClock
from .journal import Journal, MemoryJournal
from .runner import Runner, SubprocessRunner


@dataclass(frozen=True)
class Host:
    """Clock, processes, journal and name of this host."""

    clock: Clock = field(default_factory=SystemClock)
    runner: Runner = field(default_factory=SubprocessRunner)
    journal: Journal = field(default_factory=MemoryJournal)
    name: str = field(default_factory=socket.gethostname)
