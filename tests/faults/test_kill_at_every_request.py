# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run into a bucket dies at every single step: what it leaves never passes for a backup, and the next run removes it.

Nothing is simulated: the process that makes the backup is killed by SIGKILL, and the S3 server is a real one.
"""

from __future__ import annotations

import pathlib

import pytest

from tests.faults.conftest import Bucket
from tests.support.backup_child import Nursery
from tests.support.backups import MIB, make_source
from tests.support.death import Rig, die_at_any_byte, make_rig

# The first part of a multipart upload is full, and there is more.
SIZE = 8 * MIB + 100_000


@pytest.fixture
def s3(nursery: Nursery, tmp_path: pathlib.Path, bucket: Bucket) -> Rig:
    make_source(tmp_path / "source", size=SIZE)
    return make_rig(nursery, tmp_path, bucket.repository(), bucket.environment)


def test_a_run_into_a_bucket_dies_before_every_request_to_the_server(s3: Rig) -> None:
    """What is there before a request is what was left after the one before: so every change is covered."""
    s3.die_everywhere("at_request", at_least=15)


def test_a_run_into_a_bucket_dies_at_any_byte_of_the_stream(s3: Rig) -> None:
    die_at_any_byte(s3, size=SIZE, places=[("process.zst", 8 * MIB), ("process.zst", 8 * MIB + 1)], chances=2)
