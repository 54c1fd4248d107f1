# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real witnesses that go away and come back: a folder, and a bucket of an S3 server."""

from __future__ import annotations

import os
import pathlib
import signal

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.witness import Witness
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from sandbox.s3 import S3Server


class Folder:
    """A witness on a disk, which can be taken away."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._path, self._elsewhere = folder / "third", folder / "away"
        self._path.mkdir()
        self.description = {"type": "file", "path": str(self._path)}

    def go(self) -> None:
        self._path.rename(self._elsewhere)

    def come_back(self) -> None:
        self._elsewhere.rename(self._path)


class Store:
    """A witness in a bucket of a real server, which can be made to take what it is sent and say nothing."""

    def __init__(self, folder: pathlib.Path, server: S3Server) -> None:
        self._server = server
        keys = folder / "s3.env"
        administrator = server.administrator
        keys.write_text(
            f"AWS_ACCESS_KEY_ID={administrator.access_key}\nAWS_SECRET_ACCESS_KEY={administrator.secret_key}\n"
        )
        keys.chmod(0o600)
        self.description = {
            "type": "s3",
            "bucket": "witness",
            "region": server.region,
            "endpoint_url": server.endpoint_url,
            "credentials": {"file": str(keys)},
        }

    def go(self) -> None:
        os.kill(self._server.pid, signal.SIGSTOP)

    def come_back(self) -> None:
        os.kill(self._server.pid, signal.SIGCONT)


def storage_of(third: Folder | Store) -> Storage:
    return open_storage(third.description, name="third", clock=SystemClock(), runner=SubprocessRunner())


def witness_in(third: Folder | Store, *, source: str = "main") -> Witness:
    """What lies there about that source of the service adhd."""
    return Witness(repository="third", storage=storage_of(third), service="adhd", source=source)
