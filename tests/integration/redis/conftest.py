# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that end with the test."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from sandbox.redis import RedisServer
from tests.integration.redis.daemons import Daemon
from tests.integration.redis.servers import server

Starter = t.Callable[..., RedisServer]
DaemonStarter = t.Callable[..., Daemon]


@pytest.fixture
def start(tmp_path: pathlib.Path) -> t.Iterator[Starter]:
    """Start servers in folders of their own; all are ended and removed afterwards."""
    started: list[RedisServer] = []

    def begin(**options: t.Any) -> RedisServer:
        one = server(tmp_path / f"server{len(started)}", **options)
        started.append(one)
        return one.start()

    yield begin
    for one in started:
        one.discard()


@pytest.fixture
def daemon(tmp_path: pathlib.Path) -> t.Iterator[DaemonStarter]:
    """Start servers that are stopped and started by commands; all are killed afterwards."""
    started: list[Daemon] = []

    def begin(**options: t.Any) -> Daemon:
        one = Daemon(folder=tmp_path / f"daemon{len(started)}", **options)
        started.append(one)
        return one.start()

    yield begin
    for one in started:
        one.kill()
