# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import time


class Progress:
    """Lines with the seconds since the start; several threads may say something."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def say(self, what: str, text: str) -> None:
        """One line, at once."""
        with self._lock:
            print(f"[{self.seconds:5.1f} s] {what:<11} {text}", flush=True)
