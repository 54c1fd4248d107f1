# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides IAM policies as Amazon does, as far as those of docs/iam go: what it doesn't know it refuses to read.

An explicit Deny wins, and what no statement allows is denied
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html). Which actions the
operations of S3 need: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html.
"""

from __future__ import annotations

import datetime
import json
import pathlib
import re
import typing as t
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Question:
    """May this be done? *context* holds the condition keys of the request."""

    action: str
    resource: str
    context: t.Mapping[str, str] = field(default_factory=dict)


_STATEMENT = {"Sid", "Effect", "Action", "Resource", "Condition"}


@dataclass(frozen=True)
class Policy:
    """A policy that was read whole."""

    statements: tuple[dict[str, t.Any], ...]

    def allows(self, question: Question) -> bool:
        """The decision."""
        effects = {statement["Effect"] for statement in self.statements if _applies(statement, question)}
        return effects == {"Allow"}


def read_policy(path: pathlib.Path) -> Policy:
    """The policy of a file. Raises ValueError for anything whose meaning is not known here."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if set(document) != {"Version", "Statement"} or document["Version"] != "2012-10-17":
        raise ValueError(f"{path.name}: no policy of the version 2012-10-17")
    for statement in document["Statement"]:
        unknown = set(statement) - _STATEMENT or set(statement.get("Condition", {})) - set(_CONDITIONS)
        if unknown or statement["Effect"] not in ("Allow", "Deny"):
            raise ValueError(f"{path.name}: {statement.get('Sid')}: {unknown or statement['Effect']} is not known here")
    return Policy(statements=tuple(document["Statement"]))


def like(value: str, pattern: str) -> bool:
    """Whether *value* is as *pattern*, in which * stands for any characters and ? for one."""
    parts = (re.escape(part) for part in re.split(r"([*?])", pattern))
    return re.fullmatch("".join({r"\*": ".*", r"\?": "."}.get(part, part) for part in parts), value) is not None


_CONDITIONS: dict[str, t.Callable[[str, str], bool]] = {
    "StringLike": like,
    "NumericGreaterThan": lambda value, limit: float(value) > float(limit),
}


def questions_of(operation: str, parameters: t.Mapping[str, t.Any], *, now: datetime.datetime) -> list[Question]:
    """What is asked for one request of boto3. Raises KeyError for an operation that is not known here."""
    bucket = f"arn:aws:s3:::{parameters['Bucket']}"
    if operation == "DeleteObjects":
        return [
            Question(
                "s3:DeleteObjectVersion" if "VersionId" in target else "s3:DeleteObject", f"{bucket}/{target['Key']}"
            )
            for target in parameters["Delete"]["Objects"]
        ]
    if operation in _OF_BUCKET:
        context = {"s3:prefix": parameters.get("Prefix", "")} if operation in _WITH_PREFIX else {}
        return [Question(_OF_BUCKET[operation], bucket, context)]
    place = f"{bucket}/{parameters['Key']}"
    questions = [
        Question(_OF_OBJECT[operation] + ("Version" if _asks_for_version(operation, parameters) else ""), place)
    ]
    until = parameters.get("ObjectLockRetainUntilDate") or parameters.get("Retention", {}).get("RetainUntilDate")
    if until is not None:
        days = {"s3:object-lock-remaining-retention-days": str((until - now).days)}
        questions = [question for question in questions if question.action != "s3:PutObjectRetention"]
        questions.append(Question("s3:PutObjectRetention", place, days))
    if parameters.get("BypassGovernanceRetention"):
        questions.append(Question("s3:BypassGovernanceRetention", place))
    return questions


_WITH_PREFIX = {"ListObjectsV2", "ListObjectVersions"}
_OF_BUCKET = {
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "PutBucketVersioning": "s3:PutBucketVersioning",
    "PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
}
_OF_OBJECT = {
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "DeleteObject": "s3:DeleteObject",
    "GetObjectRetention": "s3:GetObjectRetention",
    "PutObjectRetention": "s3:PutObjectRetention",
    "GetObjectLegalHold": "s3:GetObjectLegalHold",
    "PutObjectLegalHold": "s3:PutObjectLegalHold",
}


def _asks_for_version(operation: str, parameters: t.Mapping[str, t.Any]) -> bool:
    return "VersionId" in parameters and operation in ("GetObject", "HeadObject", "DeleteObject")


def _applies(statement: t.Mapping[str, t.Any], question: Question) -> bool:
    return (
        any(like(question.action.lower(), pattern.lower()) for pattern in _listed(statement["Action"]))
        and any(like(question.resource, pattern) for pattern in _listed(statement["Resource"]))
        and all(
            # A key that the request doesn't have fulfils no condition.
            key in question.context
            and any(_CONDITIONS[test](question.context[key], wanted) for wanted in _listed(values))
            for test, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
