# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers on loopback, and a service that tells them."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from tests.support.telling import Site
from tests.support.told_servers import MailServer, WebServer


@pytest.fixture
def web() -> t.Iterator[WebServer]:
    server = WebServer()
    yield server
    server.stop()


@pytest.fixture
def mail() -> t.Iterator[MailServer]:
    server = MailServer()
    yield server
    server.stop()


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    return Site(tmp_path)
