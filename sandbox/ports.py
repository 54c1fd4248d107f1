# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import random
import socket

# Below the kernel's usual range for outgoing connections (32768 and up), so that a server that is down for a moment
# finds its port free again, and below 55536, because SeaweedFS derives gRPC ports by adding 10000.
LOWEST, HIGHEST = 15000, 32000
_random = random.SystemRandom()


def is_free(port: int) -> bool:
    """Whether 127.0.0.1:port can be bound now. Somebody else may take it a moment later: callers must retry."""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 that were free when asked; drawn at random, so that parallel runs seldom meet."""
    found: set[int] = set()
    while len(found) < count:
        port = _random.randrange(LOWEST, HIGHEST)
        if port not in found and is_free(port):
            found.add(port)
    return list(found)


def free_port() -> int:
    """One of ``free_ports``."""
    return free_ports(1)[0]
