# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository in a bucket of Amazon S3 or a compatible service."""

from __future__ import annotations

import concurrent.futures
import datetime
import itertools
import os
import typing as t

from ..core.clock import Clock
from ..core.errors import StorageDeleteDenied, StorageError, StorageExists, StorageForbidden
from ..core.runner import Runner
from .base import (
    CHECK_KEY,
    DeleteReport,
    LockState,
    ObjectInfo,
    ObjectVersion,
    ObjectWriter,
    Properties,
    Unfinished,
    check_folder,
    check_key,
    check_prefix,
    is_key,
)
from .s3_bucket import S3Bucket
from .s3_connection import S3Connection, object_info
from .s3_delete import S3Deleter
from .s3_denials import S3Denials, Target
from .s3_errors import error_code, translated
from .s3_locks import S3Locks
from .s3_options import S3Options
from .s3_reader import read_object
from .s3_versions import S3Versions
from .s3_writer import S3Writer
from .version_order import Outcome, delete_in_order

_LOOKING_AT_ONCE = 8
_CHECK_DATA = b"Lifeboat can write here.\n"


class S3Storage:
    """Objects below a prefix of a bucket. The bucket exists already.

    Nothing is connected to before the first call. Requests that meet a passing fault are repeated by botocore. A key
    in the bucket that this storage could not have made is not listed. In a bucket with versions, a deleted object
    is only hidden by a marker: its versions stay until their lock and the bucket's lifecycle rules let them go; unless
    the options say *delete_versions*.

    That of two writers of one key only one wins is decided by the service. SeaweedFS 4.48 decides it for put() and for
    objects of one part, but may let two larger ones win that are committed in the same moment.
    """

    def __init__(
        self, *, options: S3Options, clock: Clock, runner: Runner, environment: t.Mapping[str, str] | None = None
    ) -> None:
        """*environment* is where credentials by environment prefix are looked up: by default the process's own."""
        self._options = options
        self._connection = S3Connection(
            options=options, clock=clock, runner=runner, environment=os.environ if environment is None else environment
        )
        self._bucket = S3Bucket(self._connection)
        self._locks = S3Locks(self._connection, bucket=self._bucket)
        self._versions = S3Versions(self._connection)
        self._deleter = S3Deleter(
            connection=self._connection,
            denials=S3Denials(connection=self._connection, bucket=self._bucket, locks=self._locks),
        )

    def __repr__(self) -> str:
        return f"S3Storage({self._options.url!r})"

    @property
    def properties(self) -> Properties:
        return Properties(
            kind="s3",
            url=self._options.url,
            conditional_put=self._connection.conditional is True,
            versioned=self._bucket.is_known_versioned,
            locks=self._bucket.is_known_locking,
        )

    def check(self) -> None:
        self.put(CHECK_KEY, _CHECK_DATA, if_absent=False)
        if self._connection.conditional is None:
            self._connection.conditional = self._knows_conditions()
        self._bucket.keeps_versions()
        self._bucket.locks()
        # Where nothing may be deleted it stays, as promised.
        self.delete([CHECK_KEY])

    def free_bytes(self) -> int | None:
        return None

    def writer(self, key: str, *, expected_bytes: int | None = None, if_absent: bool = True) -> ObjectWriter:
        check_key(key)
        return S3Writer(connection=self._connection, key=key, expected_bytes=expected_bytes, if_absent=if_absent)

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
        writer = self.writer(key, expected_bytes=len(data), if_absent=if_absent)
        writer.write(data)
        return writer.commit()

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
        return read_object(self._connection, check_key(key), offset=offset, length=length)

    def get(self, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
        # One byte more than the limit tells whether there is more, without a request of its own.
        data = b"".join(self.read(key, length=limit + 1))
        if len(data) > limit:
            raise StorageError(f"{key} is longer than the {limit} bytes that were to be read.")
        return data

    def stat(self, key: str) -> ObjectInfo:
        answer = self._connection.head(check_key(key))
        # What is in the standard class has no such header.
        storage_class = answer.get("StorageClass", "STANDARD")
        return object_info(
            key, size=answer["ContentLength"], modified=answer["LastModified"], storage_class=storage_class
        )

    def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
        check_prefix(prefix)
        for page in self._connection.pages(
            "list_objects_v2", doing=f"list {prefix}", Prefix=self._options.root + prefix
        ):
            for found in page.get("Contents", ()):
                key = self._relative(found["Key"])
                if is_key(key):
                    yield object_info(
                        key,
                        size=found["Size"],
                        modified=found["LastModified"],
                        storage_class=found.get("StorageClass"),
                    )

    def list_folders(self, prefix: str = "") -> t.Iterator[str]:
        check_folder(prefix)
        pages = self._connection.pages(
            "list_objects_v2", doing=f"list {prefix}", Prefix=self._options.root + prefix, Delimiter="/"
        )
        # Sorted here: services differ in where they put "a/" beside "a-b/".
        paths = [self._relative(found["Prefix"])[:-1] for page in pages for found in page.get("CommonPrefixes", ())]
        names = sorted(path[len(prefix) :] for path in paths if is_key(path))
        if self._options.endpoint_url is None:
            return iter(names)
        # SeaweedFS goes on naming folders whose last object was deleted.
        with concurrent.futures.ThreadPoolExecutor(max_workers=_LOOKING_AT_ONCE) as pool:
            held = list(pool.map(self._holds_objects, [f"{prefix}{name}/" for name in names]))
        return itertools.compress(names, held)

    def delete(self, keys: t.Sequence[str]) -> DeleteReport:
        for key in keys:
            check_key(key)
        unique = tuple(dict.fromkeys(keys))
        # Where we may not know whether there are versions, they are looked for.
        if self._options.delete_versions and self._bucket.keeps_versions() is not False:
            return self._delete_with_versions(unique)
        outcome = Outcome()
        self._deleter.delete([Target(key) for key in unique], outcome)
        return outcome.report(unique)

    def unfinished(self, prefix: str = "") -> t.Iterator[Unfinished]:
        check_prefix(prefix)
        for page in self._connection.pages(
            "list_multipart_uploads", doing=f"list uploads of {prefix}", Prefix=self._options.root + prefix
        ):
            for upload in page.get("Uploads", ()):
                key = self._relative(upload["Key"])
                if is_key(key):
                    started = object_info(key, size=0, modified=upload["Initiated"]).modified
                    yield Unfinished(key=key, token=upload["UploadId"], started=started)

    def abort_unfinished(self, upload: Unfinished) -> None:
        from botocore.exceptions import ClientError

        client = self._connection.client
        with translated(self._options, doing=f"abort the upload of {upload.key}"):
            try:
                client.abort_multipart_upload(**self._connection.place(check_key(upload.key)), UploadId=upload.token)
            except ClientError as error:
                if error_code(error) != "NoSuchUpload":
                    raise

    def versions(self, prefix: str = "") -> t.Iterator[ObjectVersion]:
        check_prefix(prefix)
        # A bucket that never kept versions lists its objects as such, all of them "null".
        return iter(()) if self._bucket.keeps_versions() is False else self._versions.below(prefix)

    def delete_versions(self, versions: t.Sequence[ObjectVersion]) -> DeleteReport:
        keys = [check_key(version.key) for version in versions]
        return delete_in_order(versions, delete=self._delete_versions).report(keys)

    def lock_state(self, key: str) -> LockState | None:
        return self._locks.state(check_key(key))

    def extend_lock(self, keys: t.Sequence[str], *, until: datetime.datetime) -> t.Mapping[str, str]:
        return self._locks.extend([check_key(key) for key in keys], until=until)

    def set_hold(self, keys: t.Sequence[str], *, on: bool) -> t.Mapping[str, str]:
        return self._locks.hold([check_key(key) for key in keys], on=on)

    def clock_skew(self) -> float:
        return self._bucket.clock_skew()

    def _delete_with_versions(self, keys: t.Sequence[str]) -> DeleteReport:
        try:
            versions = self._versions.of_keys(keys)
        except StorageForbidden as error:
            # Who may not even look for them deletes none; bad keys are another thing.
            if error.details.get("code") != "AccessDenied":
                raise
            denied = StorageDeleteDenied(error.message, hint=error.hint, details=error.details)
            return DeleteReport(refused=dict.fromkeys(keys, error.message), causes=(denied,))
        return delete_in_order(versions, delete=self._delete_versions).report(keys)

    def _delete_versions(self, versions: t.Sequence[ObjectVersion], outcome: Outcome) -> None:
        self._deleter.delete([Target(version.key, version.version_id) for version in versions], outcome)

    def _holds_objects(self, folder: str) -> bool:
        return next(self.list(folder), None) is not None

    def _knows_conditions(self) -> bool:
        """Whether a conditional put on an object that is there is refused by the service itself."""
        # Twice: somebody else's check may have removed the object in between.
        self._connection.conditional = True
        for _attempt in range(2):
            try:
                self.put(CHECK_KEY, _CHECK_DATA)
            except StorageExists:
                return True
            if self._connection.conditional is False:
                return False
        return False

    def _relative(self, key: str) -> str:
        return key[len(self._options.root) :]
