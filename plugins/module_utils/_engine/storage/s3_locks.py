# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention dates and legal holds of objects in a bucket with object lock.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html. A lock belongs to one version of an object;
what is changed here is always the newest one.
"""

from __future__ import annotations

import datetime
import typing as t

from ..core.errors import StorageBucketMissing, StorageError, StorageUnreachable
from .base import LockState
from .s3_bucket import S3Bucket
from .s3_connection import S3Connection
from .s3_errors import error_code, translated
from .s3_parallel import at_once

_AT_ONCE = 8
# The first is Amazon's, the others SeaweedFS's words for an object without a date or a hold.
_NOT_LOCKED = frozenset(
    {"NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "NoSuchObjectLegalHold"}
)


class S3Locks:
    """Safe for threads."""

    def __init__(self, connection: S3Connection, *, bucket: S3Bucket) -> None:
        self._connection = connection
        self._bucket = bucket

    def state(self, key: str, *, version_id: str | None = None) -> LockState | None:
        """The lock of the object's newest version, or of that one; None without any.

        Raises StorageNotFound, and StorageForbidden when we may not know.
        """
        if self._bucket.locks() is False:
            self._connection.head(key)
            return None
        retention = self._ask("get_object_retention", key, version_id=version_id).get("Retention", {})
        hold = self._ask("get_object_legal_hold", key, version_id=version_id).get("LegalHold", {}).get("Status") == "ON"
        until = retention.get("RetainUntilDate")
        if until is None and not hold:
            return None
        return LockState(
            until=None if until is None else until.astimezone(datetime.timezone.utc),
            mode="" if until is None else str(retention.get("Mode", "")).lower(),
            hold=hold,
        )

    def extend(self, keys: t.Sequence[str], *, until: datetime.datetime) -> dict[str, str]:
        """Why which of them could not be locked until then."""
        # Up to the next whole second: services cut off what they don't store, and that would be too early.
        wanted = (until + datetime.timedelta(microseconds=999_999)).replace(microsecond=0)
        lock = self._connection.options.object_lock
        default = lock.mode if lock else "GOVERNANCE"

        def extend(key: str) -> None:
            found = self._ask("get_object_retention", key).get("Retention", {})
            if found.get("RetainUntilDate") is not None and found["RetainUntilDate"] >= until:
                return
            self._change(
                "put_object_retention", key, Retention={"Mode": found.get("Mode") or default, "RetainUntilDate": wanted}
            )

        return self._for_each(keys, extend)

    def hold(self, keys: t.Sequence[str], *, on: bool) -> dict[str, str]:
        """Why which of them could not be put under hold, or released."""
        status = "ON" if on else "OFF"

        def hold(key: str) -> None:
            # Asked for first: what is as it should be stays, and to SeaweedFS a missing object is a fault of its own.
            if self._ask("get_object_legal_hold", key).get("LegalHold", {}).get("Status", "OFF") != status:
                self._change("put_object_legal_hold", key, LegalHold={"Status": status})

        return self._for_each(keys, hold)

    def _for_each(self, keys: t.Sequence[str], change: t.Callable[[str], None]) -> dict[str, str]:
        def try_to_change(key: str) -> str:
            try:
                change(key)
            except (StorageUnreachable, StorageBucketMissing):
                raise
            except StorageError as error:
                return f"{error.message} {error.hint}".rstrip()
            return ""

        unique = tuple(dict.fromkeys(keys))
        if self._bucket.locks() is False:
            return dict.fromkeys(unique, f"the bucket {self._connection.options.bucket} has no object lock")
        reasons = at_once(try_to_change, unique, most=_AT_ONCE)
        return {key: reason for key, reason in zip(unique, reasons) if reason}

    def _ask(self, operation: str, key: str, *, version_id: str | None = None) -> t.Any:
        """The answer; an empty one when the object has no such lock, or the bucket no locks at all."""
        from botocore.exceptions import ClientError

        version = {} if version_id is None else {"VersionId": version_id}
        client = self._connection.client
        with translated(self._connection.options, doing=f"look at the lock of {key}"):
            try:
                return getattr(client, operation)(**self._connection.place(key), **version)
            except ClientError as error:
                if not means_no_lock(error):
                    raise
                return {}

    def _change(self, operation: str, key: str, **arguments: t.Any) -> None:
        client = self._connection.client
        with translated(self._connection.options, doing=f"lock {key}"):
            getattr(client, operation)(**self._connection.place(key), **arguments)


def means_no_lock(error: t.Any) -> bool:
    """Whether the answer says that there is no lock on the object, or that the bucket has none at all."""
    if error_code(error) in _NOT_LOCKED:
        return True
    # Amazon's answer for a bucket that was made without locks.
    said = str(error.response["Error"].get("Message", ""))
    return error_code(error) == "InvalidRequest" and "object lock configuration" in said.lower()
