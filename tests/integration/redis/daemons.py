# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that are stopped and started by commands, as systemd would: what a restore in place needs."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import typing as t
from dataclasses import dataclass, field

import redis

from sandbox.ports import free_port
from tests.integration.redis.servers import program
from tests.support.waiting import wait_for

_START = """\
#!/bin/sh
exec {program} {folder}/redis.conf --daemonize yes {arguments}
"""
_STOP = """\
#!/bin/sh
pid=$(cat {folder}/redis.pid 2>/dev/null) || exit 0
kill "$pid" 2>/dev/null || exit 0
while [ -e "/proc/$pid/exe" ]; do sleep 0.02; done
"""


@dataclass
class Daemon:
    """A server in *folder* that outlives whoever started it; stop() sends SIGTERM and waits, as a unit would."""

    folder: pathlib.Path
    append_only: bool = False
    save: str = '""'
    flavour: str = "redis"
    settings: t.Mapping[str, str] = field(default_factory=dict)
    arguments: str = ""
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True)
        values = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.data),
            "pidfile": str(self.folder / "redis.pid"),
            "logfile": str(self.folder / "redis.log"),
            "save": self.save,
            "appendonly": "yes" if self.append_only else "no",
            "repl-diskless-sync-delay": "0",
            **self.settings,
        }
        if self.flavour != "redis_6":
            values["enable-debug-command"] = "yes"
        self.configuration_file.write_text("".join(f"{name} {value}\n" for name, value in values.items()))
        names = {"program": program(self.flavour), "folder": self.folder, "arguments": self.arguments}
        for script, text in (("start", _START), ("stop", _STOP)):
            (self.folder / script).write_text(text.format(**names))

    @property
    def data(self) -> pathlib.Path:
        return self.folder / "data"

    @property
    def configuration_file(self) -> pathlib.Path:
        return self.folder / "redis.conf"

    @property
    def control(self) -> dict[str, str]:
        return {"stop_command": f"sh {self.folder}/stop", "start_command": f"sh {self.folder}/start"}

    @property
    def pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "redis.pid").read_text())
            os.kill(pid, 0)
            return pid
        return None

    def start(self) -> t.Self:
        subprocess.run(["sh", self.folder / "start"], check=True, capture_output=True)
        wait_for(self.answers)
        return self

    def stop(self) -> None:
        subprocess.run(["sh", self.folder / "stop"], check=True)

    def kill(self) -> None:
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not os.path.exists(f"/proc/{pid}/exe"))  # a zombie has none

    def answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError, redis.BusyLoadingError), self.client() as client:
            return bool(client.ping())
        return False

    def client(self, database: int = 0) -> redis.Redis:
        return redis.Redis(port=self.port, db=database, socket_timeout=30, retry=None)  # or answers() waits for seconds

    def log(self) -> str:
        return (self.folder / "redis.log").read_text()

    def names(self) -> set[str]:
        """What lies in its data folder."""
        return {path.name for path in self.data.iterdir()}
