# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repository in a bucket is described by."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True)
class S3Credentials:
    """Where the keys are; with nothing given, boto3's own chain decides (environment, ~/.aws, role of the host).

    *file* is a file with lines ``AWS_ACCESS_KEY_ID=...``, *command* prints such lines, *profile* is one of the AWS
    configuration, *environment_prefix* ``X`` means the variables ``X_ACCESS_KEY_ID`` and so on.
    """

    file: str | None = None
    command: str | None = None
    profile: str | None = None
    environment_prefix: str | None = None


@dataclass(frozen=True)
class ObjectLock:
    """What is written can't be deleted for *retain*; *mode* is GOVERNANCE or COMPLIANCE.

    Without *retain* whoever writes says for how long: *retain_until* or *retain_for* of the options.
    """

    mode: str
    retain: datetime.timedelta | None


@dataclass(frozen=True)
class S3Options:
    """A bucket and how to talk to its service.

    *path_style* None: by path for an *endpoint_url*, as most services other than Amazon's need, else by host name.
    *part_bytes* fixes the size of the parts of large objects (at least 8 MiB; an object has at most 10,000 of them);
    without it they begin at 8 MiB and grow. Services that insist on parts of one size need it.
    *checksums* is ``when_supported`` (a CRC32 with every upload) or ``when_required`` for services that refuse those:
    then the SHA-256 of what is sent is signed instead, so that a damaged upload is noticed too.
    Timeouts are in seconds, *attempts* counts the tries of one request.
    """

    bucket: str
    prefix: str = ""
    region: str | None = None
    endpoint_url: str | None = None
    storage_class: str | None = None
    path_style: bool | None = None
    ca_bundle: str | None = None
    sse: str | None = None
    sse_kms_key_id: str | None = None
    object_lock: ObjectLock | None = None
    credentials: S3Credentials = field(default_factory=S3Credentials)
    part_bytes: int | None = None
    checksums: str = "when_supported"
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    attempts: int = 5
    batch_size: int = 1000
    delete_versions: bool = False
    retain_until: datetime.datetime | None = None
    retain_for: datetime.timedelta | None = None
    lock_writes: bool = True

    @property
    def root(self) -> str:
        """What every key in the bucket begins with: empty, or ending in a slash."""
        return f"{self.prefix}/" if self.prefix else ""

    @property
    def url(self) -> str:
        """For people: ``s3://bucket/prefix``."""
        return f"s3://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    @property
    def server(self) -> str:
        """Who is spoken to, for people."""
        return self.endpoint_url or "Amazon S3"

    def write_arguments(self, *, now: datetime.datetime, locked: bool = True) -> dict[str, t.Any]:
        """What PutObject and CreateMultipartUpload are told about the object to be; *locked*: if there is a lock."""
        arguments: dict[str, t.Any] = {}
        if self.storage_class:
            arguments["StorageClass"] = self.storage_class
        if self.sse:
            arguments["ServerSideEncryption"] = self.sse
        if self.sse_kms_key_id:
            arguments["SSEKMSKeyId"] = self.sse_kms_key_id
        until = self._locked_until(now) if locked and self.lock_writes else None
        if self.object_lock and until:
            arguments["ObjectLockMode"] = self.object_lock.mode
            arguments["ObjectLockRetainUntilDate"] = until
        return arguments

    def _locked_until(self, now: datetime.datetime) -> datetime.datetime | None:
        if self.object_lock is None:
            return None
        if self.object_lock.retain is not None:
            return now + self.object_lock.retain
        if self.retain_until is not None:
            # S3 refuses a date in the past: what is that old needs no lock any more.
            return self.retain_until if self.retain_until > now else None
        return None if self.retain_for is None else now + self.retain_for
