# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line between two sites: a thread that carries the frames of one switch to the other, later, or not at all.

Few kernels of test machines can delay packets (``netem``); every one has the interfaces that a program can be.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import select
import struct
import threading
import time

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_LARGEST = 65536


class Line:
    """*delay* are the seconds that a frame is on its way; *cut* loses all of them, also those that are on it."""

    def __init__(self, one: int, other: int) -> None:
        """Its ends are what :func:`open_end` gave in either name space; they are closed with it."""
        self.delay = 0.0
        self.cut = False
        self._ends = (one, other)
        self._wake = os.pipe()
        self._thread = threading.Thread(target=self._carry, name="line", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Take it away."""
        os.write(self._wake[1], b"x")
        self._thread.join()
        for number in (*self._ends, *self._wake):
            os.close(number)

    def _carry(self) -> None:
        way: collections.deque[tuple[float, int, bytes]] = collections.deque()
        while True:
            wait = max(0.0, way[0][0] - time.monotonic()) if way else None
            ready, _writable, _broken = select.select([*self._ends, self._wake[0]], (), (), wait)
            if self._wake[0] in ready:
                return
            for number in ready:
                there = self._ends[1 - self._ends.index(number)]
                with contextlib.suppress(OSError):
                    while True:
                        way.append((time.monotonic() + self.delay, there, os.read(number, _LARGEST)))
            while way and (self.cut or way[0][0] <= time.monotonic()):
                _due, there, frame = way.popleft()
                if not self.cut:
                    with contextlib.suppress(OSError):  # its interface is down
                        os.write(there, frame)


def open_end(interface: str) -> int:
    """A new interface of the present name space, which is gone when its number is closed."""
    number = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(number, _TUNSETIFF, struct.pack("16sH22x", interface.encode(), _IFF_TAP | _IFF_NO_PI))
    return number
