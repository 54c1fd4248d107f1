# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A nursery for shippers, a rig around one stream, and a real S3 server for all tests of this folder."""

from __future__ import annotations

import itertools
import pathlib
import typing as t

import pytest

from sandbox.s3 import S3Identity, S3Server
from tests.integration.streams.rig import Rig
from tests.support.ship_child import ShipNursery

_numbers = itertools.count(1)
#: May put objects, and neither read nor list nor delete.
WRITER = S3Identity.restricted("writer", write=("lifeboat",))


@pytest.fixture(scope="session")
def nursery() -> t.Iterator[ShipNursery]:
    with ShipNursery() as nursery:
        yield nursery


@pytest.fixture(scope="session")
def s3() -> t.Iterator[S3Server]:
    with S3Server(buckets=("lifeboat",), identities=(WRITER,)) as server:
        yield server


@pytest.fixture
def local(tmp_path: pathlib.Path) -> dict[str, t.Any]:
    """A new, empty repository in a folder."""
    (tmp_path / "repository").mkdir()
    return {"type": "file", "path": str(tmp_path / "repository")}


@pytest.fixture
def make_bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., dict[str, t.Any]]:
    """Makes descriptions of new, empty repositories on the real server, also through a proxy."""
    monkeypatch.setenv("STREAMS_ACCESS_KEY_ID", s3.administrator.access_key)
    monkeypatch.setenv("STREAMS_SECRET_ACCESS_KEY", s3.administrator.secret_key)
    monkeypatch.setenv("WRITER_ACCESS_KEY_ID", WRITER.access_key)
    monkeypatch.setenv("WRITER_SECRET_ACCESS_KEY", WRITER.secret_key)

    def make(*, endpoint_url: str | None = None, credentials: str = "STREAMS") -> dict[str, t.Any]:
        return {
            "type": "s3",
            "bucket": "lifeboat",
            "prefix": f"streams/{next(_numbers)}",
            "endpoint_url": endpoint_url or s3.endpoint_url,
            "region": s3.region,
            "credentials": {"env": credentials},
        }

    return make


@pytest.fixture
def make_rig(nursery: ShipNursery, tmp_path: pathlib.Path) -> t.Callable[..., Rig]:
    """Makes the rig around repositories (name to description)."""

    def make(**repositories: dict[str, t.Any]) -> Rig:
        return Rig(nursery, tmp_path, repositories)

    return make
