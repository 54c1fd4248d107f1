# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the description of a repository to its storage.

To add a kind of storage: write its module beside ``local.py``, run the conformance suite on it, and name it in the
table below. The table is fixed: dynamic imports are not shipped to targets.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
import typing as t

from ..core.clock import Clock
from ..core.description.duration import parse_duration
from ..core.errors import RequestInvalid
from ..core.runner import Runner
from .base import Storage, is_key
from .fields import Fields
from .local import LocalStorage
from .retrying import RetryingStorage
from .s3 import S3Storage
from .s3_delete import LARGEST_BATCH
from .s3_options import MIB, ObjectLock, S3Credentials, S3Options
from .s3_parts import LARGEST_PART, SMALLEST_PART

# In place of a duration: as long as the policy of the job keeps what is written.
RETAIN_BY_POLICY = "policy"
_HASTY_SECONDS = 3.0
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; capitals: old buckets, other services.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


class _Surroundings(t.NamedTuple):
    clock: Clock
    runner: Runner
    environment: t.Mapping[str, str]
    retain_until: datetime.datetime | None
    retain_for: datetime.timedelta | None
    lock_writes: bool
    hasty: bool
    answer_within: float | None


class _Factory(t.NamedTuple):
    build: t.Callable[[Fields, _Surroundings], Storage]
    attempts: int


def open_storage(
    description: t.Mapping[str, t.Any],
    *,
    name: str,
    clock: Clock,
    runner: Runner,
    environment: t.Mapping[str, str] | None = None,
    retain_until: datetime.datetime | None = None,
    retain_for: datetime.timedelta | None = None,
    lock_writes: bool = True,
    hasty: bool = False,
    answer_within: float | None = None,
) -> Storage:
    """The storage of the repository called *name*. Nothing is connected to or looked at yet.

    ``{type: file, path}``, with ``create``, ``folder_mode`` and ``file_mode`` (octal text, "0700").

    ``{type: s3, bucket}``, with ``prefix``, ``region``, ``endpoint_url``, ``storage_class``, ``path_style``,
    ``ca_bundle``, ``sse`` (AES256 or aws:kms), ``sse_kms_key_id``, ``object_lock: {mode, retain}``,
    ``credentials: {file | profile | env | command}``, ``part_size_mib``, ``batch_size`` (of deletes), ``versions``
    (keep or delete) and ``checksums`` (see S3Options).

    For ``object_lock: {retain: policy}`` whoever writes says how long that is: *retain_until* a moment, or *retain_for*
    a time from the writing of each object on; with neither nothing is locked. *lock_writes* False: nothing is, even
    when the description names a duration: for what must be removable again, such as marks of a removal.

    *hasty* is for whoever goes on without a repository that does not answer: one that was lost with its region costs
    seconds then, and not a minute for each question. *answer_within* is for whoever asks again by himself: each call is
    tried once, and waits so many seconds at most to connect, and for each piece of the answer.

    *environment* (default: that of the process) is where credentials by environment are looked up, *runner* runs
    ``credentials: {command}``. Calls that fail in passing are tried again. Raises RequestInvalid for an unknown type,
    an unknown key or a value of the wrong form.
    """
    kind = description.get("type")
    factory = _FACTORIES.get(kind) if isinstance(kind, str) else None
    if factory is None:
        raise RequestInvalid(
            f"The repository {name} has no type."
            if kind is None
            else f"The repository {name} has the type {kind!r}, which does not exist.",
            hint=f"Write type: {' or type: '.join(sorted(_FACTORIES))}",
            details={"repository": name, "allowed": sorted(_FACTORIES)},
        )
    fields = Fields(description, place=f"The repository {name}", ignored=("type", "description"))
    surroundings = _Surroundings(
        clock=clock,
        runner=runner,
        environment=os.environ if environment is None else environment,
        retain_until=retain_until,
        retain_for=retain_for,
        lock_writes=lock_writes,
        hasty=hasty,
        answer_within=answer_within,
    )
    storage = factory.build(fields, surroundings)
    fields.refuse_rest()
    return RetryingStorage(storage=storage, clock=clock, attempts=1 if hasty or answer_within else factory.attempts)


def _open_local(fields: Fields, _surroundings: _Surroundings) -> Storage:
    path = fields.text("path") or ""
    if not os.path.isabs(path) or os.path.normpath(path) == "/":
        raise fields.invalid("path", "the absolute path of a folder below /", hint="path: /var/backups/lifeboat")
    return LocalStorage(
        path=path,
        create=fields.flag("create") or False,
        folder_mode=_mode(fields, "folder_mode", default=0o700),
        file_mode=_mode(fields, "file_mode", default=0o600),
    )


def _mode(fields: Fields, key: str, *, default: int) -> int:
    # A number is refused: YAML reads 0700 as octal or as decimal, depending on its version.
    value = fields.text(key, like=r"0?[0-7]{3}", form="three octal digits in quotes", hint=f'{key}: "{default:04o}"')
    return default if value is None else int(value, 8)


def _open_s3(fields: Fields, surroundings: _Surroundings) -> Storage:
    bucket = fields.text("bucket", like=_BUCKET.pattern, form="the name of a bucket", hint="bucket: acme-backups")
    if bucket is None:
        raise fields.invalid("bucket", "the name of a bucket", hint="bucket: acme-backups")
    options = S3Options(
        bucket=bucket,
        prefix=_prefix(fields),
        region=fields.text("region"),
        endpoint_url=fields.text("endpoint_url", like=r"https?://[^/@\s]+/?", form="an address without a password"),
        storage_class=fields.text("storage_class"),
        path_style=fields.flag("path_style"),
        ca_bundle=fields.text("ca_bundle"),
        sse=fields.text("sse", like="AES256|aws:kms", form="AES256 or aws:kms"),
        sse_kms_key_id=fields.text("sse_kms_key_id"),
        object_lock=_object_lock(fields.section("object_lock")),
        credentials=_credentials(fields.section("credentials")),
        part_bytes=_part_bytes(fields),
        checksums=fields.text("checksums", like="when_supported|when_required", form="when_supported or when_required")
        or "when_supported",
        batch_size=fields.number("batch_size", lowest=1, highest=LARGEST_BATCH) or LARGEST_BATCH,
        delete_versions=fields.text("versions", like="keep|delete", form="keep or delete") == "delete",
        retain_until=surroundings.retain_until,
        retain_for=surroundings.retain_for,
        lock_writes=surroundings.lock_writes,
    )
    if surroundings.hasty:
        options = dataclasses.replace(options, connect_timeout=_HASTY_SECONDS, attempts=2)
    within = surroundings.answer_within
    if within is not None:
        options = dataclasses.replace(options, connect_timeout=within, read_timeout=within, attempts=1)
    return S3Storage(
        options=options, clock=surroundings.clock, runner=surroundings.runner, environment=surroundings.environment
    )


def _prefix(fields: Fields) -> str:
    prefix = (fields.text("prefix") or "").strip("/")
    if prefix and not is_key(prefix):
        raise fields.invalid("prefix", "a name of letters, digits and . _ = @ + , - between single slashes")
    return prefix


def _object_lock(fields: Fields | None) -> ObjectLock | None:
    if fields is None:
        return None
    mode = fields.text("mode", like="governance|compliance", form="governance or compliance")
    retain = fields.text("retain")
    fields.refuse_rest()
    if mode is None or retain is None:
        raise fields.invalid("mode" if mode is None else "retain", "both mode and retain", hint="retain: policy")
    return ObjectLock(mode=mode.upper(), retain=None if retain == RETAIN_BY_POLICY else parse_duration(retain))


def _credentials(fields: Fields | None) -> S3Credentials:
    if fields is None:
        return S3Credentials()
    credentials = S3Credentials(
        file=fields.text("file"),
        command=fields.text("command"),
        profile=fields.text("profile"),
        environment_prefix=fields.text("env", like=r"[A-Za-z_][A-Za-z0-9_]*", form="a prefix of environment names"),
    )
    fields.refuse_rest()
    fields.require_one()
    return credentials


def _part_bytes(fields: Fields) -> int | None:
    mib = fields.number("part_size_mib", lowest=SMALLEST_PART // MIB, highest=LARGEST_PART // MIB)
    return None if mib is None else mib * MIB


_FACTORIES: t.Mapping[str, _Factory] = {
    "file": _Factory(build=_open_local, attempts=4),
    # Few: botocore has tried every request several times already.
    "s3": _Factory(build=_open_s3, attempts=2),
}
