# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bucket itself is like: whether it keeps versions, knows locks, wants MFA for deletes, and its clock."""

from __future__ import annotations

import datetime
import typing as t

from ..core.errors import StorageError, StorageForbidden, StorageUnreachable
from .s3_connection import S3Connection, answer_date
from .s3_errors import error_code, translated

_NO_LOCKS = frozenset({"ObjectLockConfigurationNotFoundError", "NotImplemented", "MethodNotAllowed"})


class S3Bucket:
    """Facts that are asked for when they are first needed, and then remembered. None: we may not know."""

    def __init__(self, connection: S3Connection) -> None:
        self._connection = connection
        self._versioning: t.Mapping[str, t.Any] | None = None
        self._locks: bool | None = None
        self._asked_for_versioning = False
        self._asked_for_locks = False

    @property
    def is_known_versioned(self) -> bool:
        """Whether it was found out that versions are kept; asks nobody."""
        return self._versioning is not None and _keeps_versions(self._versioning)

    @property
    def is_known_locking(self) -> bool:
        """Whether it was found out that objects can be locked; asks nobody."""
        return self._locks is True

    def keeps_versions(self) -> bool | None:
        """Whether replaced and deleted objects stay as versions, or stayed once: then they may still be there."""
        facts = self._ask_for_versioning()
        return None if facts is None else _keeps_versions(facts)

    def wants_mfa(self) -> bool:
        """Whether versions are deleted with a code of somebody's device only. False when we may not know."""
        return (self._ask_for_versioning() or {}).get("MFADelete") == "Enabled"

    def locks(self) -> bool | None:
        """Whether object lock is switched on for the bucket."""
        if not self._asked_for_locks:
            self._locks = self._ask_for_locks()
            self._asked_for_locks = True
        return self._locks

    def clock_skew(self) -> float:
        """Seconds that the service's clock is ahead of ours, from the date of an answer, to about a second.

        Any answer will do, a refusal as well. Raises StorageUnreachable without an answer, StorageError without a date.
        """
        from botocore.exceptions import ClientError

        clock = self._connection.clock
        client = self._connection.impatient_client
        before = clock.now()
        with translated(self._connection.options, doing="ask for the time"):
            try:
                answer = client.head_bucket(Bucket=self._connection.options.bucket)
            except ClientError as error:
                answer = error.response
        after = clock.now()
        date = answer_date(answer)
        if date is None:
            raise StorageError(
                f"{self._connection.options.server} answered without a date, so its clock can't be compared with ours."
            )
        # A date has whole seconds, the rest cut off: half a second is the best guess.
        guess = date + datetime.timedelta(seconds=0.5)
        return (guess - (before + (after - before) / 2)).total_seconds()

    def _ask_for_versioning(self) -> t.Mapping[str, t.Any] | None:
        if not self._asked_for_versioning:
            self._versioning = self._read("read the versioning", lambda client: client.get_bucket_versioning)
            self._asked_for_versioning = True
        return self._versioning

    def _ask_for_locks(self) -> bool | None:
        from botocore.exceptions import ClientError

        def ask(client: t.Any) -> t.Any:
            def call(**place: str) -> t.Any:
                try:
                    return client.get_object_lock_configuration(**place)
                except ClientError as error:
                    if error_code(error) not in _NO_LOCKS:
                        raise
                    return {}

            return call

        answer = self._read("read the object lock", ask)
        if answer is None:
            return None
        return bool(answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    def _read(self, doing: str, method: t.Callable[[t.Any], t.Any]) -> t.Any:
        """The answer; None when we may not know, or the service doesn't know the question."""
        client = self._connection.client
        try:
            with translated(self._connection.options, doing=f"{doing} of the bucket"):
                return method(client)(Bucket=self._connection.options.bucket)
        except StorageForbidden as error:
            # A wrong key is refused everywhere; what we may not do here we need not know.
            if error.details.get("code") not in ("AccessDenied", "403"):
                raise
            return None
        except StorageUnreachable:
            raise
        except StorageError as error:
            if error.details.get("code") not in ("NotImplemented", "MethodNotAllowed"):
                raise
            return None


def _keeps_versions(facts: t.Mapping[str, t.Any]) -> bool:
    return facts.get("Status") in ("Enabled", "Suspended")
