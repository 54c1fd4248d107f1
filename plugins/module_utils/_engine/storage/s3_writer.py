# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One object on its way into a bucket: in one request when it is small, else in parts."""

from __future__ import annotations

import secrets
import typing as t
import weakref

from ..core.errors import StorageError
from .base import ObjectInfo
from .s3_connection import S3Connection
from .s3_multipart import MultipartUpload
from .s3_part_buffer import PartBuffer
from .s3_parts import MOST_PARTS, plan_parts


class S3Writer:
    """Fills parts in memory and hands them over; see PartPlan for how much memory that takes."""

    def __init__(self, *, connection: S3Connection, key: str, expected_bytes: int | None, if_absent: bool) -> None:
        self._connection = connection
        self._key = key
        self._if_absent = if_absent
        self._token = secrets.token_hex(12)
        self._plan = plan_parts(expected_bytes=expected_bytes, fixed=connection.options.part_bytes)
        self._size = 0
        self._part = PartBuffer(self._plan.part_bytes(1))
        self._upload: MultipartUpload | None = None
        self._open = True

    def write(self, data: bytes | memoryview) -> None:
        self._require_open()
        try:
            rest = memoryview(data).cast("B")
            while rest:
                # Only when more is to come: the last part may be smaller, and a small object is no multipart upload.
                if self._part.is_full:
                    self._hand_over()
                count = self._part.append(rest)
                self._size += count
                rest = rest[count:]
        except BaseException:
            self.abort()
            raise

    def commit(self) -> ObjectInfo:
        self._require_open()
        try:
            return self._connection.publish(
                self._send_parts() if self._upload else self._send_whole(),
                key=self._key,
                size=self._size,
                token=self._token,
                if_absent=self._if_absent,
            )
        finally:
            # Does nothing after a success but to close the writer.
            self.abort()

    def abort(self) -> None:
        self._open = False
        if self._upload is not None:
            self._upload.abort()
        self._part.close()

    def _require_open(self) -> None:
        if not self._open:
            raise StorageError(f"The writing of {self._key} has ended already; begin it anew.")

    def _hand_over(self) -> None:
        if self._upload is None:
            self._upload = MultipartUpload(
                client=self._connection.client,
                options=self._connection.options,
                key=self._connection.place(self._key)["Key"],
                arguments=self._connection.write_arguments(self._key, token=self._token),
            )
            # A writer that is forgotten must not keep its space until the next clean-up.
            weakref.finalize(self, self._upload.abort)
        number = self._upload.next_number
        if number == MOST_PARTS:
            raise StorageError(
                f"{self._key} has reached {self._size} bytes in {MOST_PARTS} parts, the most that S3 takes.",
                hint="Set part_size_mib of the repository to a larger value, or leave it out: then parts grow.",
            )
        self._upload.add(self._part, parallel=self._plan.parallel(number))
        self._part = PartBuffer(self._plan.part_bytes(number + 1))

    def _send_parts(self) -> t.Callable[[dict[str, str]], t.Any]:
        upload = self._upload
        if upload is None or not self._part:
            raise StorageError("A multipart upload has at least one part.")
        upload.add(self._part, parallel=1)
        upload.wait()
        return upload.complete

    def _send_whole(self) -> t.Callable[[dict[str, str]], t.Any]:
        client = self._connection.client
        place = self._connection.place(self._key)
        arguments = self._connection.write_arguments(self._key, token=self._token)
        body = self._part

        def send(condition: dict[str, str]) -> t.Any:
            body.seek(0)  # it may be the second attempt, without the condition
            return client.put_object(**place, **arguments, **condition, Body=body)

        return send
