# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an object was not deleted: a lock, MFA delete, or a permission that is missing.

Amazon answers AccessDenied to all three, so what it is has to be asked for.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.errors import StorageDeleteDenied, StorageError, StorageForbidden, StorageMfaDelete, StorageNotFound
from .base import LockState
from .s3_bucket import S3Bucket
from .s3_connection import S3Connection
from .s3_locks import S3Locks
from .s3_parallel import at_once
from .version_order import Outcome, Stayed

_LOOKING_AT_ONCE = 8
# Our clock and the service's may differ, and it is the service's that counts.
_CLOCKS_DIFFER = datetime.timedelta(minutes=15)
_WORDS_OF_LOCKS = ("object lock", "worm", "retention", "legal hold")


class Target(t.NamedTuple):
    """What is to be deleted: an object as readers see it, or one version of it."""

    key: str
    version_id: str | None = None

    def as_request(self, root: str) -> dict[str, str]:
        """As DeleteObjects takes it."""
        name = {"Key": root + self.key}
        return name if self.version_id is None else {**name, "VersionId": self.version_id}


@dataclass(frozen=True)
class Denial:
    """The service said no. *whole*: to the request, without a word on this one of its targets."""

    target: Target
    code: str
    said: str
    whole: bool = False


class S3Denials:
    """Finds out why, for one repository."""

    def __init__(self, *, connection: S3Connection, bucket: S3Bucket, locks: S3Locks) -> None:
        self._connection = connection
        self._bucket = bucket
        self._locks = locks

    def explain(self, denials: t.Sequence[Denial], outcome: Outcome, *, last: bool = False) -> list[Target]:
        """Note why they stayed; but not of those to try again without their locked neighbours, which are returned.

        There are none when this was the *last* time.
        """
        if not denials:
            return []
        if any("mfa" in denial.said.lower() for denial in denials) or self._bucket.wants_mfa():
            self._refuse(denials, outcome, cause=self._mfa_error(denials))
            return []
        rest = self._set_locked_aside(denials, outcome)
        if not last and len(rest) < len(denials):
            return [denial.target for denial in rest]
        if rest:
            self._refuse(rest, outcome, cause=self._permission_error(rest))
        return []

    def _set_locked_aside(self, denials: t.Sequence[Denial], outcome: Outcome) -> list[Denial]:
        """Note those under lock; the others."""
        if self._bucket.locks() is False:
            return list(denials)
        rest = []
        for denial, lock in zip(denials, at_once(self._lock_of, denials, most=_LOOKING_AT_ONCE)):
            if lock is None:
                rest.append(denial)
            else:
                outcome.note(denial.target.key, Stayed(until=None if lock.hold else lock.until))
        return rest

    def _lock_of(self, denial: Denial) -> LockState | None:
        """The lock that stood against it; None when it was something else."""
        try:
            lock = self._locks.state(denial.target.key, version_id=denial.target.version_id)
        except StorageNotFound:
            return None
        except StorageForbidden:
            # We may not look. Then the service's own words have to do.
            said = denial.said.lower()
            is_lock = any(word in said for word in _WORDS_OF_LOCKS)
            return LockState(until=None, mode="", hold=True) if is_lock else None
        return lock if lock is not None and lock.binds(self._connection.clock.now() - _CLOCKS_DIFFER) else None

    def _refuse(self, denials: t.Sequence[Denial], outcome: Outcome, *, cause: StorageError) -> None:
        for denial in denials:
            outcome.note(denial.target.key, Stayed(reason=f"{denial.code}: {denial.said}"))
        outcome.causes.setdefault(cause.code, cause)

    def _permission_error(self, denials: t.Sequence[Denial]) -> StorageDeleteDenied:
        options = self._connection.options
        first = denials[0]
        versions = any(denial.target.version_id is not None for denial in denials)
        action = "s3:DeleteObjectVersion" if versions else "s3:DeleteObject"
        return StorageDeleteDenied(
            f"{options.server} refused to delete {_count(denials)} in {options.url}, such as {first.target.key}: "
            f"{first.code}: {first.said.rstrip('.')}.",
            hint=f"Prune with credentials that may: allow {action}, s3:GetObjectRetention and s3:GetObjectLegalHold on "
            f"arn:aws:s3:::{options.bucket}/{options.root}* (docs/iam/pruner.json). Hosts that only make backups need "
            "none of them.",
            details={"repository": options.url, "code": first.code, "keys": _keys(denials)},
        )

    def _mfa_error(self, denials: t.Sequence[Denial]) -> StorageMfaDelete:
        options = self._connection.options
        return StorageMfaDelete(
            f"The bucket {options.bucket} has MFA delete switched on, so {_count(denials)} in {options.url} can't be "
            "deleted for good by a program.",
            hint="Leave out versions: delete of the repository and let a lifecycle rule of the bucket remove old "
            "versions (docs/runbooks/object-lock.md); or have the bucket's owner switch MFA delete off.",
            details={"repository": options.url, "keys": _keys(denials)},
        )


def _count(denials: t.Sequence[Denial]) -> str:
    count = len({denial.target.key for denial in denials})
    return "1 object" if count == 1 else f"{count} objects"


def _keys(denials: t.Sequence[Denial]) -> list[str]:
    return sorted({denial.target.key for denial in denials})[:100]
