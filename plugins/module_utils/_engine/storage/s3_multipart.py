# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A large object on its way into a bucket in parts, several at a time."""

from __future__ import annotations

import concurrent.futures
import contextlib
import typing as t

from ..core.errors import StorageError
from ..core.parallel import wait_for
from ..core.signals import undisturbed
from .s3_errors import translated
from .s3_options import S3Options
from .s3_part_buffer import PartBuffer


class MultipartUpload:
    """One multipart upload. Its parts are stored by threads of its own; what they failed at is raised later.

    Nothing of it is visible before complete(); abort() frees its space.
    """

    def __init__(self, *, client: t.Any, options: S3Options, key: str, arguments: t.Mapping[str, t.Any]) -> None:
        """Begin. *key* is the whole key in the bucket, *arguments* are those of CreateMultipartUpload."""
        self._client = client
        self._options = options
        self._place = {"Bucket": options.bucket, "Key": key}
        with translated(options, doing=f"begin to store {key}"):
            answer = client.create_multipart_upload(**self._place, **arguments)
        self._place["UploadId"] = answer["UploadId"]
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=4, thread_name_prefix="s3-upload")
        self._pending: set[concurrent.futures.Future[None]] = set()
        self._parts: dict[int, dict[str, t.Any]] = {}
        self._begun_parts = 0
        self._ended = False

    @property
    def next_number(self) -> int:
        """The number of the part that comes next, from 1."""
        return self._begun_parts + 1

    def add(self, body: PartBuffer, *, parallel: int) -> None:
        """Store the next part and close it; waits while *parallel* are on their way.

        Raises what an earlier one failed at; then *body* is still the caller's.
        """
        self._wait_for(at_most=parallel - 1)
        with undisturbed():
            self._begun_parts += 1
            self._pending.add(self._pool.submit(self._store, self._begun_parts, body))

    def wait(self) -> None:
        """Wait until every part is stored. Raises what one failed at."""
        self._wait_for(at_most=0)

    def complete(self, condition: t.Mapping[str, str]) -> t.Any:
        """Make the object visible after wait(), on *condition*; S3's answer. Errors of boto3 come as they are."""
        parts = [self._parts[number] for number in sorted(self._parts)]
        answer = self._client.complete_multipart_upload(**self._place, **condition, MultipartUpload={"Parts": parts})
        self._ended = True
        self._pool.shutdown()
        return answer

    def abort(self) -> None:
        """Free the space. Never raises: what can't be freed now is shown by unfinished()."""
        if self._ended:
            return
        self._ended = True
        for future in self._pending:
            future.cancel()
        # First, so that parts on their way fail at once; again, because one may have arrived in between
        # (https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html).
        self._abort_once()
        self._pool.shutdown(wait=True)
        if self._pending:
            self._abort_once()

    def _abort_once(self) -> None:
        try:
            with translated(self._options, doing="abort an upload"):
                self._client.abort_multipart_upload(**self._place)
        except StorageError:
            pass  # as promised; the next run finds it by unfinished()

    def _wait_for(self, *, at_most: int) -> None:
        while len(self._pending) > at_most:
            for future in wait_for(self._pending, first=True):
                self._pending.discard(future)
                future.result()

    def _store(self, number: int, body: PartBuffer) -> None:
        doing = f"store part {number} of {self._place['Key']}"
        with contextlib.closing(body), translated(self._options, doing=doing):
            answer = self._client.upload_part(**self._place, PartNumber=number, Body=body)
        part = {"PartNumber": number, "ETag": answer["ETag"]}
        for checksum in ("ChecksumCRC32", "ChecksumCRC64NVME"):
            if answer.get(checksum):
                part[checksum] = answer[checksum]
        self._parts[number] = part
