# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions and object lock in a bucket of a real S3 server (SeaweedFS)."""

from __future__ import annotations

import sys
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from tests.conformance.s3_places import new_prefix, open_bucket
from tests.conformance.versions_suite import Places, PlainSuite, VersionsSuite

if sys.version_info < (3, 11):
    pytest.skip("the sandbox's servers need Python 3.11", allow_module_level=True)

from sandbox.s3 import S3Server


@pytest.fixture(scope="module")
def server() -> t.Iterator[S3Server]:
    with S3Server(buckets=("lifeboat",), locked_buckets=("locked",)) as running:
        yield running


class TestS3WithoutVersions(PlainSuite):
    @pytest.fixture
    def storage(self, server: S3Server) -> Storage:
        return open_bucket(server, "lifeboat", new_prefix())


class TestS3Versions(VersionsSuite):
    # Seen with 4.48: PutObjectRetention and PutObjectLegalHold of a deleted object lock its marker. On Amazon a marker
    # can't be locked (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html).
    markers_are_free = False

    @pytest.fixture
    def places(self, server: S3Server) -> Places:
        prefix = new_prefix()
        return Places(
            keeping=open_bucket(server, "locked", prefix),
            deleting=open_bucket(server, "locked", prefix, versions="delete"),
        )

    def pass_time(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))
