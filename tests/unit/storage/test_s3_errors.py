# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the answers of S3 mean. They are made by hand here; test_s3_faults.py meets a real server."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StorageError
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3_errors import translated
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3_options import S3Options

exceptions = pytest.importorskip("botocore.exceptions")

OPTIONS = S3Options(bucket="acme-backups", prefix="prod", region="eu-west-1")


def error_for(error: BaseException) -> StorageError:
    with pytest.raises(StorageError) as caught, translated(OPTIONS, doing="store a/b"):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


def answer(
    code: str, status: int, operation: str = "PutObject", *, message: str = "Said so.", **extra: t.Any
) -> BaseException:
    made: BaseException = exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": message, **extra},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
        },
        operation,
    )
    return made


@pytest.mark.parametrize(
    ("code", "status", "expected", "hint"),
    [
        ("AccessDenied", 403, "storage.forbidden", "s3:PutObject on arn:aws:s3:::acme-backups/prod/*"),
        ("InvalidAccessKeyId", 403, "storage.forbidden", "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", 403, "storage.forbidden", "AWS_SECRET_ACCESS_KEY"),
        ("RequestTimeTooSkewed", 403, "storage.forbidden", "timedatectl"),
        ("ExpiredToken", 400, "storage.forbidden", "run out"),
        ("InvalidToken", 400, "storage.forbidden", "AWS_SESSION_TOKEN"),
        ("NoSuchBucket", 404, "storage.bucket_missing", "acme-backups"),
        ("NoSuchKey", 404, "storage.not_found", ""),
        ("404", 404, "storage.not_found", ""),
        ("NoSuchUpload", 404, "storage.error", "lifecycle"),
        ("InvalidObjectState", 403, "storage.error", "archived"),
        ("KeyTooLongError", 400, "storage.key_invalid", "1024"),
        ("SlowDown", 503, "storage.unreachable", ""),
        ("InternalError", 500, "storage.unreachable", ""),
        ("502", 502, "storage.unreachable", ""),
        ("RequestTimeout", 400, "storage.unreachable", ""),
        ("TooManyRequests", 429, "storage.unreachable", ""),
        ("ConditionalRequestConflict", 409, "storage.unreachable", ""),
        ("NotImplemented", 501, "storage.error", ""),
        ("InsufficientStorage", 507, "storage.no_space", "quota"),
        ("QuotaExceeded", 403, "storage.no_space", "quota"),
        ("PermanentRedirect", 301, "storage.region_wrong", "region"),
        ("AuthorizationHeaderMalformed", 400, "storage.region_wrong", "region"),
        ("InvalidArgument", 400, "storage.error", ""),
    ],
)
def test_every_answer_has_its_meaning(code: str, status: int, expected: str, hint: str) -> None:
    error = error_for(answer(code, status))
    assert error.code == expected
    assert hint in error.hint
    assert code in error.message
    assert "s3://acme-backups/prod" in error.message
    assert error.details["http_status"] == status


def test_the_right_region_is_named() -> None:
    error = error_for(answer("AuthorizationHeaderMalformed", 400, Region="us-west-2"))
    assert (error.code, error.hint) == ("storage.region_wrong", "Set region: us-west-2")


def test_a_bucket_that_is_not_there_has_no_body_when_it_is_asked_for_by_head() -> None:
    assert error_for(answer("404", 404, "HeadBucket")).code == "storage.bucket_missing"


@pytest.mark.parametrize(
    ("error", "code", "hint"),
    [
        (
            exceptions.EndpointConnectionError(endpoint_url="https://x"),
            "storage.unreachable",
            "curl -sv https://s3.eu-west-1",
        ),
        (exceptions.ConnectTimeoutError(endpoint_url="https://x"), "storage.unreachable", "curl"),
        (exceptions.ReadTimeoutError(endpoint_url="https://x"), "storage.unreachable", "curl"),
        (exceptions.ConnectionClosedError(endpoint_url="https://x"), "storage.unreachable", "curl"),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), "storage.unreachable", "curl"),
        (ConnectionResetError(104, "Connection reset by peer"), "storage.unreachable", "curl"),
        (exceptions.NoCredentialsError(), "storage.credentials_missing", "credentials: {file: PATH}"),
        (exceptions.ProfileNotFound(profile="x"), "storage.credentials_missing", "credentials"),
        (
            exceptions.SSLError(endpoint_url="https://x", error="certificate verify failed: self-signed certificate"),
            "storage.error",
            "ca_bundle",
        ),
        (exceptions.SSLError(endpoint_url="https://x", error="EOF occurred"), "storage.unreachable", "curl"),
        (exceptions.FlexibleChecksumError(error_msg="Expected a, got b"), "storage.error", "Verify the backup"),
    ],
)
def test_every_failure_to_get_an_answer_has_its_meaning(error: BaseException, code: str, hint: str) -> None:
    found = error_for(error)
    assert found.code == code
    assert hint in found.hint


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError), translated(OPTIONS, doing="count"):
        raise ZeroDivisionError
