# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletes of many objects or versions, in batches, as many at a time as the service can bear."""

from __future__ import annotations

import random
import threading
import typing as t
from dataclasses import dataclass

from ..core.errors import StorageForbidden, StorageUnreachable
from .s3_connection import S3Connection
from .s3_denials import Denial, S3Denials, Target
from .s3_errors import translated
from .s3_pace import Pace
from .s3_parallel import at_once
from .version_order import Outcome

# The most that DeleteObjects takes (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html).
LARGEST_BATCH = 1000
_AT_ONCE = 16
_SMALLEST_SHARE = 100
_PASSING = frozenset({"InternalError", "OperationAborted"})
_TOO_FAST = frozenset({"SlowDown", "ServiceUnavailable", "Throttling", "TooManyRequests"})
_GONE = frozenset({"NoSuchKey", "NoSuchVersion"})
# A service that says "slower" is not broken: about two minutes of that in a row, then it is left alone.
_PATIENCE = 12
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 20.0
_LONGEST_PIECE = 1.0
_TOO_FAST_STATUS = (429, 503)


@dataclass(frozen=True)
class _Answer:
    """What one DeleteObjects said: what was not deleted for now and why, and what never will be."""

    passing: t.Mapping[Target, str]
    denied: tuple[Denial, ...] = ()
    too_fast: bool = False
    cause: StorageUnreachable | None = None


class S3Deleter:
    """Deletes in one repository; it remembers how fast the service is. Safe for threads."""

    def __init__(self, *, connection: S3Connection, denials: S3Denials) -> None:
        self._connection = connection
        self._denials = denials
        self._pace = Pace(most=_AT_ONCE)
        self._random = random.SystemRandom()

    def delete(self, targets: t.Sequence[Target], outcome: Outcome) -> None:
        """Delete them, and note in *outcome* what stayed and why.

        Raises StorageUnreachable when some are still there because the service could not, for now.
        """
        denied = self._delete(targets)
        self._denials.explain([denial for denial in denied if not denial.whole], outcome, last=True)
        # Some services refuse a whole request because one of its objects is locked (VersityGW).
        again = self._denials.explain([denial for denial in denied if denial.whole], outcome)
        if again:
            self._denials.explain(self._delete(again), outcome, last=True)

    def _delete(self, targets: t.Sequence[Target]) -> list[Denial]:
        # Few are shared out, too: services take the objects of a request one after the other.
        share = max(_SMALLEST_SHARE, -(-len(targets) // self._pace.limit))
        size = min(self._connection.options.batch_size, share)
        starts = range(0, len(targets), size)
        stop = threading.Event()
        found = at_once(
            lambda start: self._delete_batch(targets[start : start + size], stop=stop),
            starts,
            most=_AT_ONCE,
            stop=stop,
        )
        return [denial for denials in found for denial in denials]

    def _delete_batch(self, targets: t.Sequence[Target], *, stop: threading.Event) -> list[Denial]:
        left = list(targets)
        denied: list[Denial] = []
        failures = 0
        while True:
            with self._pace.turn() as turn:
                answer = self._send(left)
                if answer.passing:
                    turn.complain()
            denied += answer.denied
            if not answer.passing:
                return denied
            failures = failures + 1 if len(answer.passing) == len(left) else 1
            most = _PATIENCE if answer.too_fast else self._connection.options.attempts
            if failures >= most or stop.is_set():
                raise self._given_up(answer, asked=len(targets)) from answer.cause
            left = list(answer.passing)
            self._wait(min(_FIRST_DELAY * 2 ** (failures - 1), _LONGEST_DELAY), stop=stop)

    def _wait(self, delay: float, *, stop: threading.Event) -> None:
        # At random: else all batches that were refused together come back together.
        left = delay * (0.5 + 0.5 * self._random.random())
        # In pieces: whoever interrupts us does not wait for the whole.
        while left > 0 and not stop.is_set():
            self._connection.clock.sleep(min(left, _LONGEST_PIECE))
            left -= _LONGEST_PIECE

    def _send(self, targets: t.Sequence[Target]) -> _Answer:
        client = self._connection.impatient_client
        root = self._connection.options.root
        objects = [target.as_request(root) for target in targets]
        try:
            with translated(self._connection.options, doing=f"delete {len(targets)} objects"):
                answer = client.delete_objects(Bucket=self._connection.options.bucket, Delete={"Objects": objects})
        except StorageForbidden as error:
            # Some services refuse the request as a whole where Amazon refuses each key. Bad keys are another thing.
            if error.details.get("code") != "AccessDenied":
                raise
            said = error.details.get("said") or error.message
            return _Answer(
                passing={},
                denied=tuple(Denial(target=one, code="AccessDenied", said=said, whole=True) for one in targets),
            )
        except StorageUnreachable as error:
            return _Answer(
                passing=dict.fromkeys(targets, error.message),
                too_fast=error.details.get("http_status") in _TOO_FAST_STATUS,
                cause=error,
            )
        return _read(targets, answer, root=root)

    def _given_up(self, answer: _Answer, *, asked: int) -> StorageUnreachable:
        if answer.cause is not None:
            return answer.cause
        target, reason = next(iter(answer.passing.items()))
        return StorageUnreachable(
            f"{len(answer.passing)} of {asked} objects could not be deleted in {self._connection.options.url} for now: "
            f"{target.key}: {reason}.",
            hint="What was deleted stays deleted. Run it again later; it goes on with the rest.",
            details={"keys": sorted(target.key for target in answer.passing)[:100]},
        )


def _read(targets: t.Sequence[Target], answer: t.Any, *, root: str) -> _Answer:
    """The request succeeds even when not one key could be deleted: every key has an answer of its own."""
    named = _Names(targets, root=root)
    deleted = {named.target(found) for found in answer.get("Deleted", ())}
    passing: dict[Target, str] = {}
    denied: dict[Target, Denial] = {}
    too_fast = False
    for found in answer.get("Errors", ()):
        target, code, said = named.target(found), found.get("Code", ""), found.get("Message") or "no reason given"
        if code in _GONE:
            deleted.add(target)
        elif code in _PASSING or code in _TOO_FAST:
            passing[target] = f"{code}: {said}"
            too_fast = too_fast or code in _TOO_FAST
        else:
            denied[target] = Denial(target=target, code=code, said=said)
    unanswered = [target for target in targets if target not in deleted and target not in denied]
    passing = {target: passing.get(target, "the service did not answer for it") for target in unanswered}
    return _Answer(passing=passing, denied=tuple(denied.values()), too_fast=too_fast)


class _Names:
    """Which target an answer speaks of."""

    def __init__(self, targets: t.Sequence[Target], *, root: str) -> None:
        self._root = root
        self._by_key: dict[str, list[Target]] = {}
        for target in targets:
            self._by_key.setdefault(target.key, []).append(target)

    def target(self, found: t.Any) -> Target:
        key = found["Key"][len(self._root) :]
        targets = self._by_key.get(key, ())
        # With one target of that key there is no doubt, whatever the service says of versions.
        return targets[0] if len(targets) == 1 else Target(key=key, version_id=found.get("VersionId"))
