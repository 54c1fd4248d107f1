# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage in a bucket of a real S3 server (SeaweedFS)."""

from __future__ import annotations

import itertools
import sys
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectWriter, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.retrying import RetryingStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3_writer import S3Writer
from tests.conformance.reading_suite import MIB
from tests.conformance.storage_suite import StorageSuite

if sys.version_info < (3, 11):
    pytest.skip("the sandbox's servers need Python 3.11", allow_module_level=True)

from sandbox.s3 import S3Server

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> t.Iterator[S3Server]:
    with S3Server(buckets=("lifeboat",)) as running:
        yield running


class TestS3Storage(StorageSuite):
    byte_order = False  # SeaweedFS
    big_bytes = 3 * 8 * MIB + 12_345
    # One full part is stored when the next byte comes.
    begun_bytes = 8 * MIB + 1
    racers = 4
    # SeaweedFS looks for the object before it joins the parts, and not in the same step (seen with 4.48).
    large_is_atomic = False

    @pytest.fixture
    def storage(self, server: S3Server) -> Storage:
        # Through the registry, as every job does; a prefix of its own for every test.
        description = {
            "type": "s3",
            "bucket": "lifeboat",
            "prefix": f"tests/{next(_numbers)}",
            "endpoint_url": server.endpoint_url,
            "region": server.region,
            "part_size_mib": 8,
            "credentials": {"env": "TESTS"},
        }
        environment = {
            "TESTS_ACCESS_KEY_ID": server.administrator.access_key,
            "TESTS_SECRET_ACCESS_KEY": server.administrator.secret_key,
        }
        storage = open_storage(
            description, name="offsite", clock=SystemClock(), runner=SubprocessRunner(), environment=environment
        )
        assert isinstance(storage, RetryingStorage)
        storage.check()  # finds out that the server decides conditional writes itself
        return storage

    def abandon(self, writer: ObjectWriter) -> None:
        assert isinstance(writer, S3Writer)
        assert writer._upload is not None
        writer._upload.wait()
        writer._upload._pool.shutdown()
        writer._upload._ended = True  # a killed process aborts nothing
