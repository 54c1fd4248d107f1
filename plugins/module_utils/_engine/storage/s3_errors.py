# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the errors of S3 and of boto3 mean for a repository.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import contextlib
import typing as t

from ..core.errors import (
    StorageBucketMissing,
    StorageCredentialsMissing,
    StorageError,
    StorageForbidden,
    StorageKeyInvalid,
    StorageNoSpace,
    StorageNotFound,
    StorageRegionWrong,
    StorageUnreachable,
)
from .s3_options import S3Options

_SERVER_FAULT = 500
_KEYS_RUN_OUT = "The temporary credentials have run out. Renew them, or use a role that renews its own."
_HINT_OF_CODE: t.Mapping[str, str] = {
    "InvalidAccessKeyId": "The access key id is unknown there: it was deleted, is mistyped or belongs to another "
    "service. Check AWS_ACCESS_KEY_ID in the repository's credentials.",
    "SignatureDoesNotMatch": "The secret key does not fit the access key id. Check AWS_SECRET_ACCESS_KEY in the "
    "repository's credentials: copied whole, without quotes or a space at its end?",
    "RequestTimeTooSkewed": "This host's clock is wrong by more than 15 minutes. Run: timedatectl; chronyc tracking",
    "ExpiredToken": _KEYS_RUN_OUT,
    "TokenRefreshRequired": _KEYS_RUN_OUT,
    "InvalidToken": "AWS_SESSION_TOKEN does not belong to these keys. Remove it when they are not temporary.",
    "AccountProblem": "The account is suspended or has a payment problem: ask its owner.",
    "NoSuchUpload": "Somebody aborted the upload meanwhile; is there a lifecycle rule that does so too early?",
    "InvalidObjectState": "The object is archived: restore it in the bucket first, which may take hours.",
    "KeyTooLongError": "S3 keys have at most 1024 bytes: shorten the repository's prefix.",
}
_KIND_OF_CODE: t.Mapping[str, type[StorageError]] = {
    **dict.fromkeys(
        ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"), StorageRegionWrong
    ),
    **dict.fromkeys(
        ("EntityTooLarge", "InsufficientStorage", "QuotaExceeded", "StorageQuotaExceeded", "XMinioStorageFull"),
        StorageNoSpace,
    ),
    **dict.fromkeys(
        (
            "BandwidthLimitExceeded",
            "ConditionalRequestConflict",
            "InternalError",
            "OperationAborted",
            "PriorRequestNotComplete",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServiceUnavailable",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "TooManyRequests",
        ),
        StorageUnreachable,
    ),
    # Those of the temporary keys come with status 400.
    **dict.fromkeys(
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "TokenRefreshRequired", "InvalidToken"),
        StorageForbidden,
    ),
    "NoSuchBucket": StorageBucketMissing,
    "NoSuchUpload": StorageError,
    "InvalidObjectState": StorageError,
    "KeyTooLongError": StorageKeyInvalid,
}
_KIND_OF_STATUS: t.Mapping[int, type[StorageError]] = {
    301: StorageRegionWrong,
    403: StorageForbidden,
    404: StorageNotFound,
    429: StorageUnreachable,
    501: StorageError,
    507: StorageNoSpace,
}


def error_code(error: BaseException) -> str:
    """The code of an error that S3 answered with: "NoSuchKey", or the bare HTTP status where there is no text."""
    response = getattr(error, "response", None)
    return str(response["Error"].get("Code", "")) if isinstance(response, dict) and "Error" in response else ""


def http_status(error: BaseException) -> int:
    """The HTTP status of an answer that was an error, 0 when there was no answer."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    return int(metadata.get("HTTPStatusCode", 0))


@contextlib.contextmanager
def translated(options: S3Options, *, doing: str) -> t.Iterator[None]:
    """Turn every error of boto3 in the block into the StorageError that says what to do; *doing*: "store a/b"."""
    import urllib3.exceptions
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _answered(error, options=options, doing=doing) from error
    except (BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
        raise _unanswered(error, options=options, doing=doing) from error


def _answered(error: t.Any, *, options: S3Options, doing: str) -> StorageError:
    code = error_code(error)
    details = {
        "code": code,
        "http_status": http_status(error),
        "operation": error.operation_name,
        "repository": options.url,
        "said": error.response["Error"].get("Message") or "",
    }
    kind = _kind_of(error, options=options)
    message = f"{options.server} refused to {doing}" if kind is StorageForbidden else f"Could not {doing}"
    said = details["said"] or "no reason given"
    return kind(
        f"{message} in {options.url}: {code}: {said}".rstrip(".") + ".",
        hint=_HINT_OF_CODE.get(code) or _lock_hint(error, options=options) or _hint_for(kind, error, options=options),
        details=details,
    )


def _kind_of(error: t.Any, *, options: S3Options) -> type[StorageError]:
    status = http_status(error)
    if status == 400 and _region_of(error) not in ("", options.region):
        return StorageRegionWrong
    if status == 404 and error.operation_name == "HeadBucket":
        return StorageBucketMissing
    default = StorageUnreachable if status >= _SERVER_FAULT else StorageError
    return _KIND_OF_CODE.get(error_code(error)) or _KIND_OF_STATUS.get(status) or default


def _lock_hint(error: t.Any, *, options: S3Options) -> str:
    """For the answer to a write with a lock into a bucket without; SeaweedFS says nothing more than InvalidRequest."""
    writes = error.operation_name in ("PutObject", "CreateMultipartUpload")
    if not options.object_lock or not writes or error_code(error) != "InvalidRequest":
        return ""
    return (
        f"Has the bucket {options.bucket} object lock? Switch it on there (docs/runbooks/object-lock.md), or leave out "
        "object_lock."
    )


def _hint_for(kind: type[StorageError], error: t.Any, *, options: S3Options) -> str:
    hints: dict[type[StorageError], str] = {
        StorageRegionWrong: _region_hint(_region_of(error)),
        StorageNoSpace: "Free some space in the bucket, or raise its quota.",
        StorageUnreachable: "It was tried several times. Look at the service's own state, then run the job again.",
        StorageBucketMissing: f"Create the bucket {options.bucket}, or correct bucket and endpoint_url.",
        StorageForbidden: _permission_hint(error.operation_name, options=options),
    }
    return hints.get(kind, "")


def _permission_hint(operation: str, *, options: S3Options) -> str:
    of_bucket = {
        "ListObjectsV2": "s3:ListBucket",
        "HeadBucket": "s3:ListBucket",
        "ListObjectVersions": "s3:ListBucketVersions",
        "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    }.get(operation)
    if of_bucket:
        return f"Allow {of_bucket} on arn:aws:s3:::{options.bucket} in the policy of these credentials."
    action = {
        "CreateMultipartUpload": "s3:PutObject",
        "CompleteMultipartUpload": "s3:PutObject",
        "UploadPart": "s3:PutObject",
        "PutObject": "s3:PutObject",
        "HeadObject": "s3:GetObject (and s3:ListBucket, without which a missing object is refused and not missing)",
        "GetObject": "s3:GetObject (and s3:ListBucket, without which a missing object is refused and not missing)",
        "DeleteObjects": "s3:DeleteObject",
    }.get(operation, f"s3:{operation}")
    return f"Allow {action} on arn:aws:s3:::{options.bucket}/{options.root}* in the policy of these credentials."


def _region_of(error: t.Any) -> str:
    """The region that the answer says the bucket is in."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(error.response["Error"].get("Region") or headers.get("x-amz-bucket-region") or "")


def _region_hint(region: str) -> str:
    return f"Set region: {region}" if region else "Set region to the one that the bucket was created in."


def _unanswered(error: Exception, *, options: S3Options, doing: str) -> StorageError:
    import botocore.exceptions as known

    reason = str(error).rstrip(".")
    details = {"error": type(error).__name__, "repository": options.url}
    if isinstance(
        error,
        (
            known.NoCredentialsError,
            known.PartialCredentialsError,
            known.CredentialRetrievalError,
            known.ProfileNotFound,
            known.TokenRetrievalError,
        ),
    ):
        return StorageCredentialsMissing(
            f"There are no credentials for {options.url}: {reason}.",
            hint="Give the repository credentials: {file: PATH}, with lines AWS_ACCESS_KEY_ID=... and "
            "AWS_SECRET_ACCESS_KEY=...",
            details=details,
        )
    if isinstance(error, known.SSLError) and "certificate" in reason.lower():
        return StorageError(
            f"Could not {doing} in {options.url}: the certificate of {options.server} is not trusted: {reason}.",
            hint="Name the authority that signed it: ca_bundle: /etc/ssl/certs/our-authority.pem",
            details=details,
        )
    if isinstance(error, (known.ParamValidationError, known.InvalidRegionError)):
        return StorageError(f"Could not {doing} in {options.url}: {reason}.", details=details)
    if isinstance(error, known.FlexibleChecksumError):
        # Not passing: what was read before may be the damaged part.
        return StorageError(
            f"Could not {doing} in {options.url}: what arrived does not fit its checksum: {reason}.",
            hint="Verify the backup; if it is damaged, use another repository's copy.",
            details=details,
        )
    return StorageUnreachable(
        f"Could not {doing} in {options.url}: {reason}.",
        hint="Run: curl -sv " + (options.endpoint_url or f"https://s3.{options.region or 'us-east-1'}.amazonaws.com"),
        details=details,
    )
