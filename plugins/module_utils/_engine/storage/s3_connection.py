# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of the S3 storage share: the client, made when it is first needed, and what the service can do."""

from __future__ import annotations

import datetime
import email.utils
import itertools
import threading
import typing as t

from ..core.clock import Clock
from ..core.errors import (
    StorageBucketMissing,
    StorageError,
    StorageExists,
    StorageForbidden,
    StorageNoSpace,
    StorageNotFound,
)
from ..core.runner import Runner
from .base import ObjectInfo, is_housekeeping
from .s3_client import fetch_keys, make_client
from .s3_errors import error_code, http_status, translated
from .s3_options import S3Options

# Noted with every object, so that after a lost answer one can tell one's own object from somebody else's.
_TOKEN_NAME = "lifeboat-upload"  # noqa: S105 - a name, no secret
_NOT_IMPLEMENTED = 501
_CONDITION_FAILED = 412


class S3Connection:
    """One repository's client. Safe for threads."""

    def __init__(self, *, options: S3Options, clock: Clock, runner: Runner, environment: t.Mapping[str, str]) -> None:
        self.options = options
        self.clock = clock
        self._runner = runner
        self._environment = environment
        self._lock = threading.Lock()
        self._keys: t.Mapping[str, str] | None = None
        self._client: t.Any = None
        self._impatient_client: t.Any = None
        # None: not known yet. Amazon decides conditional writes itself since 2024, other services differ.
        self.conditional: bool | None = None if options.endpoint_url else True

    @property
    def client(self) -> t.Any:
        """The boto3 client. Raises LibraryMissing and StorageCredentialsMissing."""
        with self._lock:
            if self._client is None:
                self._client = self._make_client(attempts=self.options.attempts)
            return self._client

    @property
    def impatient_client(self) -> t.Any:
        """As *client*, but every request is made once: for those who must see the service's complaints themselves."""
        with self._lock:
            if self._impatient_client is None:
                self._impatient_client = self._make_client(attempts=1)
            return self._impatient_client

    def place(self, key: str) -> dict[str, str]:
        """How requests name the object *key* of the repository."""
        return {"Bucket": self.options.bucket, "Key": self.options.root + key}

    def write_arguments(self, key: str, *, token: str) -> dict[str, t.Any]:
        """What PutObject and CreateMultipartUpload are told about an object to be."""
        locked = not is_housekeeping(key)
        return {**self.options.write_arguments(now=self.clock.now(), locked=locked), "Metadata": {_TOKEN_NAME: token}}

    def pages(self, operation: str, *, doing: str, **arguments: t.Any) -> t.Iterator[t.Any]:
        """The answers of a listing of the bucket, page by page."""
        client = self.client
        with translated(self.options, doing=doing):
            pages = iter(client.get_paginator(operation).paginate(Bucket=self.options.bucket, **arguments))
        for _number in itertools.count():
            with translated(self.options, doing=doing):
                page = next(pages, None)
            if page is None:
                return
            yield page

    def head(self, key: str) -> t.Any:
        """The answer of HeadObject. Raises StorageNotFound."""
        client = self.client
        with translated(self.options, doing=f"look at {key}"):
            return client.head_object(**self.place(key))

    def publish(
        self, send: t.Callable[[dict[str, str]], t.Any], *, key: str, size: int, token: str, if_absent: bool
    ) -> ObjectInfo:
        """Make an object visible by *send*, which is given the condition as arguments of the request.

        Raises StorageExists when *if_absent* and somebody else's object is there.
        """
        from botocore.exceptions import ClientError

        try:
            with translated(self.options, doing=f"store {key}"):
                try:
                    answer = self._send(send, key=key, if_absent=if_absent)
                except ClientError as error:
                    if http_status(error) != _CONDITION_FAILED:
                        raise
                    raise _exists(key) from error
        except (StorageForbidden, StorageBucketMissing, StorageNoSpace):
            raise
        except StorageError:
            # The answer to an earlier attempt may have been lost, though it was carried out.
            stored = self._find_own(key, token=token)
            if stored is None:
                raise
            return stored
        return ObjectInfo(key=key, size=size, modified=self._time_of(answer))

    def _make_client(self, *, attempts: int) -> t.Any:
        if self._keys is None:
            self._keys = fetch_keys(self.options, runner=self._runner, environment=self._environment)
        return make_client(self.options, keys=self._keys, attempts=attempts)

    def _send(self, send: t.Callable[[dict[str, str]], t.Any], *, key: str, if_absent: bool) -> t.Any:
        from botocore.exceptions import ClientError

        if not if_absent:
            return send({})
        if self.conditional is not True:
            # A service that does not know the condition would replace the object without a word.
            self._refuse_existing(key)
        if self.conditional is False:
            return send({})
        try:
            return send({"IfNoneMatch": "*"})
        except ClientError as error:
            if http_status(error) != _NOT_IMPLEMENTED and error_code(error) != "NotImplemented":
                raise
        self.conditional = False
        self._refuse_existing(key)
        return send({})

    def _refuse_existing(self, key: str) -> None:
        try:
            self.head(key)
        except StorageNotFound:
            return
        except StorageError:
            # Credentials that may only write can't look; then the condition has to do.
            if self.conditional is False:
                raise
            return
        raise _exists(key)

    def _find_own(self, key: str, *, token: str) -> ObjectInfo | None:
        try:
            answer = self.head(key)
        except StorageError:
            return None
        if answer.get("Metadata", {}).get(_TOKEN_NAME) != token:
            return None
        return object_info(key, size=answer["ContentLength"], modified=answer["LastModified"])

    def _time_of(self, answer: t.Any) -> datetime.datetime:
        """When the service says that it answered: the storage's own clock."""
        return answer_date(answer) or self.clock.now()


def answer_date(answer: t.Any) -> datetime.datetime | None:
    """When the service says that it answered (UTC); None when it does not say."""
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return email.utils.parsedate_to_datetime(text).astimezone(datetime.timezone.utc)
    except (TypeError, ValueError):
        return None


def object_info(key: str, *, size: int, modified: datetime.datetime, storage_class: str | None = None) -> ObjectInfo:
    """The facts as S3 gives them; its times are aware, in any zone."""
    return ObjectInfo(
        key=key, size=size, modified=modified.astimezone(datetime.timezone.utc), storage_class=storage_class
    )


def _exists(key: str) -> StorageExists:
    return StorageExists(f"There is an object {key} already, and it may not be replaced.", details={"key": key})
