# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server under a lease is stopped in order, or killed; systemd is told, and a file says whether it may start."""

from __future__ import annotations

import pathlib
import socket
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import CommandTimedOut
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import Completed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.lease_server import (
    LeasedServer,
    SystemdGate,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.service_control import (
    service_control_from,
)
from tests.support.clocks import FakeClock


class Systemd:
    """*active* until it is stopped; a stop that *hangs* takes too long, one that *fails* can't be killed."""

    def __init__(self, *, hangs: bool = False, fails: bool = False, silent: bool = False) -> None:
        self.active = True
        self._hangs, self._fails, self._silent = hangs, fails, silent
        self.called: list[tuple[str, float]] = []

    def run(self, argv: t.Sequence[str], *, timeout: float = 60.0, **_more: t.Any) -> Completed:
        self.called.append((argv[1], timeout))
        if (argv[1] == "stop" and self._hangs) or (argv[1] == "show" and self._silent):
            raise CommandTimedOut("It did not end.")
        if argv[1] in ("stop", "kill") and not self._fails:
            self.active = False
        return Completed(status=0, output=b"active\n" if self.active else b"inactive\n", error=b"")


def server(systemd: Systemd) -> LeasedServer:
    control = service_control_from({"unit": "postgresql@15-main"})
    assert control is not None
    return LeasedServer(
        control=control, host=Host(clock=FakeClock(), runner=systemd, name="north1"), unit="postgresql@15-main"
    )


def test_it_is_stopped_in_order_where_that_works() -> None:
    systemd = Systemd()
    assert server(systemd).runs() is True
    assert server(systemd).stop(within=10.0)
    assert server(systemd).runs() is False
    assert ("stop", 10.0) in systemd.called
    assert "kill" not in dict(systemd.called)


def test_what_does_not_stop_in_time_is_killed() -> None:
    systemd = Systemd(hangs=True)
    assert server(systemd).stop(within=10.0)
    assert "kill" in dict(systemd.called)


def test_what_does_not_even_die_is_not_said_to_be_stopped() -> None:
    assert not server(Systemd(hangs=True, fails=True)).stop(within=10.0)


def test_what_nobody_can_ask_for_is_not_known() -> None:
    assert server(Systemd(silent=True)).runs() is None


def test_the_gate_is_a_file_and_a_word_to_systemd(tmp_path: pathlib.Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        gate = SystemdGate(path=str(tmp_path / "held"), notify_socket=address)
        gate.close()
        assert not (tmp_path / "held").exists()
        gate.open()
        gate.alive()
        assert (tmp_path / "held").exists()
        assert [listener.recv(64), listener.recv(64)] == [b"READY=1", b"WATCHDOG=1"]
        gate.promise(given=True)
        assert (tmp_path / "held.promised").exists()
        gate.close()
        assert not (tmp_path / "held").exists()
        gate.promise(given=False)
        assert not (tmp_path / "held.promised").exists()
    gate.alive()  # nobody listens, and that is no error
