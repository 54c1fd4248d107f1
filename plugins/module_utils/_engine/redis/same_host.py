# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process of this host is at the other end of a connection.

INFO's process_id is a number of the server's own world: a container calls its server 1, and so does the next one. The
kernel knows better: for a Unix socket it names the process that listens, and for TCP between two ends on one host its
table of sockets (proc(5), /proc/net/tcp) shows the other end, which must be open in the process that is claimed.
"""

from __future__ import annotations

import os
import socket
import struct

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


def is_on_this_host(stream: socket.socket) -> bool:
    """Whether the connection ends on this host: at the server itself, or at something that forwards to it."""
    if stream.family == socket.AF_UNIX:
        return True
    return bool(stream.getpeername()[0] == stream.getsockname()[0])


def server_process(stream: socket.socket, *, claimed: int) -> int | None:
    """The pid, as this host counts, of the process that serves the connection; None when that is not certain.

    *claimed* is what the server says of itself. Seeing the sockets of another user's process needs root.
    """
    if stream.family == socket.AF_UNIX:
        return _listener(stream)
    if not is_on_this_host(stream):
        return None
    other_ends = _inodes(local_port=stream.getpeername()[1], remote_port=stream.getsockname()[1])
    return claimed if other_ends & _open_sockets(claimed) else None


def _listener(stream: socket.socket) -> int | None:
    pid, _user, _group = _CREDENTIALS.unpack(
        stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return int(pid) or None  # 0: a process outside our container


def _inodes(*, local_port: int, remote_port: int) -> set[str]:
    """The inodes of the sockets with these two ports."""
    found = set()
    for table in _TABLES:
        try:
            with open(table, encoding="ascii") as lines:
                for line in lines:
                    fields = line.split()
                    if len(fields) <= 9:
                        continue
                    if fields[1].endswith(f":{local_port:04X}") and fields[2].endswith(f":{remote_port:04X}"):
                        found.add(fields[9])
        except OSError:
            continue  # no IPv6
    return found


def _open_sockets(pid: int) -> set[str]:
    """The inodes of the sockets that a process has open; empty when it is not there or may not be looked at."""
    folder = f"/proc/{pid}/fd"
    found = set()
    try:
        for name in os.listdir(folder):
            target = os.readlink(os.path.join(folder, name))
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    except OSError:
        return found
    return found
