# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real S3 server for all tests of faults, and repositories in it."""

from __future__ import annotations

import itertools
import typing as t
from dataclasses import dataclass

import pytest

from sandbox.s3 import S3Server
from tests.support.backup_child import Nursery

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Bucket:
    """A bucket on a real server, through *endpoint_url* (which may be a proxy)."""

    server: S3Server
    environment: t.Mapping[str, str]

    def repository(self, *, endpoint_url: str | None = None, **options: t.Any) -> dict[str, t.Any]:
        """The description of a new, empty repository."""
        return {
            "type": "s3",
            "bucket": "lifeboat",
            "prefix": f"faults/{next(_numbers)}",
            "endpoint_url": endpoint_url or self.server.endpoint_url,
            "region": self.server.region,
            "part_size_mib": 8,
            "credentials": {"env": "FAULTS"},
            **options,
        }


@pytest.fixture(scope="session")
def bucket() -> t.Iterator[Bucket]:
    with S3Server(buckets=("lifeboat",)) as server:
        environment = {
            "FAULTS_ACCESS_KEY_ID": server.administrator.access_key,
            "FAULTS_SECRET_ACCESS_KEY": server.administrator.secret_key,
        }
        yield Bucket(server=server, environment=environment)


@pytest.fixture(scope="session")
def nursery() -> t.Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery
