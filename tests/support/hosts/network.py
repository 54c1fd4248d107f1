# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that consists of nothing but the hosts and the controller: name spaces joined by a bridge.

Nothing leads out of it, and no setting of this machine is touched: no firewall, no forwarding, no interface.
Hosts may be at another site: a switch of its own, and a line to the controller's that can be slow and can be cut.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import os
import socket
import typing as t
from pathlib import Path

from tests.support.hosts.commands import do
from tests.support.hosts.line import Line, open_end

_CLONE_NEWNET = 0x40000000
# Of those that are nobody's (RFC 5737).
_PREFIX = "192.0.2"
_HERE = "controller"
_T = t.TypeVar("_T")


class Network:
    """*folder* holds the name spaces as files; they are mounts, which whoever made the folder removes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers: dict[str, int] = {}
        self._site_of: dict[str, str] = {}
        self._sites: dict[str, str] = {}
        self.lines: dict[str, Line] = {}
        folder.mkdir()
        self._add_switch(_HERE)

    @property
    def controller(self) -> str:
        """The controller's address."""
        return self._sites[_HERE]

    def site(self, name: str) -> str:
        """The address of another site's own services: what is listened at there is reached from everywhere."""
        return self._sites[name]

    def add_site(self, name: str) -> None:
        """Make another site, and the line that leads there."""
        self._add_switch(name)
        interface = f"line{len(self.lines)}"
        ends = [in_name_space(self.name_space(site), lambda: open_end(interface)) for site in (_HERE, name)]
        for site in (_HERE, name):
            self._inside(site, "ip", "link", "set", interface, "master", "switch", "up")
        line = Line(*ends)
        self.lines[name] = line

    def end(self) -> None:
        """Whatever of it is of this process."""
        for line in self.lines.values():
            line.end()

    def address(self, name: str) -> str:
        """The address of a host."""
        return f"{_PREFIX}.{self._numbers[name]}"

    def name_space(self, name: str) -> Path:
        """The file of a host's name space; it stays the same when the host is started again."""
        return self._folder / name

    def add(self, name: str, *, site: str = "controller") -> None:
        """Make the name space of a host, with the interface ``eth0``."""
        self._numbers[name] = len(self._numbers) + 11
        self._site_of[name] = site
        space = self._make(name)
        port = self._port(name)
        self._inside(site, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
        self._inside(site, "ip", "link", "set", port, "master", "switch", "up")
        self._inside(name, "ip", "address", "add", f"{self.address(name)}/24", "dev", "eth0")
        self._inside(name, "ip", "link", "set", "eth0", "up")

    def plug(self, name: str, *, in_: bool) -> None:
        """Pull the host's plug, or put it in again."""
        self._inside(self._site_of[name], "ip", "link", "set", self._port(name), "up" if in_ else "down")

    def at_controller(self, argv: t.Sequence[object]) -> list[str]:
        """*argv* as a command that sees this network with the controller's eyes."""
        return self.at_site(_HERE, argv)

    def at_site(self, site: str, argv: t.Sequence[object]) -> list[str]:
        """The same with the eyes of somebody at another site."""
        return ["nsenter", f"--net={self.name_space(site)}", "--", *(str(word) for word in argv)]

    def listen(self, port: int, *, site: str = "controller") -> socket.socket:
        """A socket that listens at the address of the controller, or of a site, for threads of this process."""
        address = self._sites[site]
        return in_name_space(self.name_space(site), lambda: socket.create_server((address, port)))

    def _add_switch(self, site: str) -> None:
        self._sites[site] = f"{_PREFIX}.{len(self._sites) + 1}"
        self._make(site)
        self._inside(site, "ip", "link", "add", "switch", "type", "bridge")
        self._inside(site, "ip", "address", "add", f"{self._sites[site]}/24", "dev", "switch")
        self._inside(site, "ip", "link", "set", "switch", "up")

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


def in_name_space(space: Path, act: t.Callable[[], _T]) -> _T:
    """What *act* gives in there. It gets a thread of its own: one that has changed its name space ends with it."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(_enter, space, act).result()


def _enter(space: Path, act: t.Callable[[], _T]) -> _T:
    library = ctypes.CDLL(None, use_errno=True)
    opened = os.open(space, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if library.setns(opened, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        return act()
    finally:
        os.close(opened)
