# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that consists of nothing but the hosts and the controller: name spaces joined by a bridge.

Nothing leads out of it, and no setting of this machine is touched: no firewall, no forwarding, no interface.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
import typing as t
from pathlib import Path

from tests.support.hosts.commands import do

_CLONE_NEWNET = 0x40000000
# Of those that are nobody's (RFC 5737).
_PREFIX = "192.0.2"


class Network:
    """*folder* holds the name spaces as files; they are mounts, which whoever made the folder removes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers: dict[str, int] = {}
        folder.mkdir()
        self._make("controller")
        self._inside("controller", "ip", "link", "add", "switch", "type", "bridge")
        self._inside("controller", "ip", "address", "add", f"{self.controller}/24", "dev", "switch")
        self._inside("controller", "ip", "link", "set", "switch", "up")

    @property
    def controller(self) -> str:
        """The controller's address."""
        return f"{_PREFIX}.1"

    def address(self, name: str) -> str:
        """The address of a host."""
        return f"{_PREFIX}.{self._numbers[name]}"

    def name_space(self, name: str) -> Path:
        """The file of a host's name space; it stays the same when the host is started again."""
        return self._folder / name

    def add(self, name: str) -> None:
        """Make the name space of a host, with the interface ``eth0``."""
        self._numbers[name] = len(self._numbers) + 11
        space = self._make(name)
        port = self._port(name)
        self._inside("controller", "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
        self._inside("controller", "ip", "link", "set", port, "master", "switch", "up")
        self._inside(name, "ip", "address", "add", f"{self.address(name)}/24", "dev", "eth0")
        self._inside(name, "ip", "link", "set", "eth0", "up")

    def plug(self, name: str, *, in_: bool) -> None:
        """Pull the host's plug, or put it in again."""
        self._inside("controller", "ip", "link", "set", self._port(name), "up" if in_ else "down")

    def at_controller(self, argv: t.Sequence[object]) -> list[str]:
        """*argv* as a command that sees this network with the controller's eyes."""
        return ["nsenter", f"--net={self.name_space('controller')}", "--", *(str(word) for word in argv)]

    def listen(self, port: int) -> socket.socket:
        """A socket that listens at the controller's address, for threads of this process."""
        made: list[socket.socket | OSError] = []
        thread = threading.Thread(target=self._listen, args=(port, made))
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    def _listen(self, port: int, made: list[socket.socket | OSError]) -> None:
        """To be run in a thread of its own: a thread that has changed its name space ends with it."""
        library = ctypes.CDLL(None, use_errno=True)
        space = os.open(self.name_space("controller"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            if library.setns(space, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.create_server((self.controller, port)))
        except OSError as error:
            made.append(error)
        finally:
            os.close(space)

    def _make(self, name: str) -> Path:
        space = self.name_space(name)
        space.touch()
        do(["unshare", f"--net={space}", "true"])
        self._inside(name, "ip", "link", "set", "lo", "up")
        return space

    def _inside(self, name: str, *argv: object) -> None:
        do(["nsenter", f"--net={self.name_space(name)}", "--", *argv])

    def _port(self, name: str) -> str:
        return f"port{self._numbers[name]}"
