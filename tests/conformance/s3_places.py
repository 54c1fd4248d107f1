# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storages in buckets of a real S3 server, opened through the registry as every job does."""

from __future__ import annotations

import datetime
import itertools
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import Clock, SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.retrying import RetryingStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3 import S3Storage

if t.TYPE_CHECKING:
    from sandbox.s3 import S3Identity, S3Server

_numbers = itertools.count(1)


def new_prefix() -> str:
    """A prefix that nobody else uses."""
    return f"tests/{next(_numbers)}"


def open_bucket(
    server: S3Server,
    bucket: str,
    prefix: str,
    *,
    identity: S3Identity | None = None,
    endpoint_url: str | None = None,
    clock: Clock | None = None,
    retain_until: datetime.datetime | None = None,
    retain_for: datetime.timedelta | None = None,
    lock_writes: bool = True,
    **description: t.Any,
) -> Storage:
    """The repository below *prefix*; *description* are further keys of its description."""
    who = identity or server.administrator
    return open_storage(
        {
            "type": "s3",
            "bucket": bucket,
            "prefix": prefix,
            "endpoint_url": endpoint_url or server.endpoint_url,
            "region": server.region,
            "credentials": {"env": "TESTS"},
            **description,
        },
        name="offsite",
        clock=clock or SystemClock(),
        runner=SubprocessRunner(),
        environment={"TESTS_ACCESS_KEY_ID": who.access_key, "TESTS_SECRET_ACCESS_KEY": who.secret_key},
        retain_until=retain_until,
        retain_for=retain_for,
        lock_writes=lock_writes,
    )


def bare(storage: Storage) -> S3Storage:
    """The S3 storage below what repeats its calls."""
    if not isinstance(storage, RetryingStorage) or not isinstance(storage._storage, S3Storage):
        raise TypeError(f"{storage!r} is no repository in a bucket")
    return storage._storage
