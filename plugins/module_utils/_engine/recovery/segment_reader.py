# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Segments on their way back, from whichever repository has a good copy."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import hashlib
import os
import tempfile
import typing as t

from ..catalog.layout import Series
from ..core.errors import (
    LifeboatError,
    PayloadDamaged,
    RecoveryTargetUnreachable,
    RestoreTargetInvalid,
    StorageError,
    StorageUnreachable,
)
from ..core.host import Host
from ..core.parallel import wait_for
from ..core.progress import Progress
from ..core.secrets import Secret
from ..core.signals import undisturbed
from ..pipeline.delivery import PayloadOutput, deliver
from ..pipeline.processes import CHUNK
from ..pipeline.stored_check import check_stored
from ..storage.base import Storage
from ..streams.layout import StreamFolder
from ..streams.segment import Segment
from ..streams.stream import StoredSegment
from .identity_file import identity_path
from .key_check import require_key
from .recovery_planner import RecoveryPlan

_ATTEMPTS = 4
_FIRST_DELAY = 1.0
_PARALLEL_CHECKS = 4
_TEMPORARY = ".lifeboat-segment-"


class StoredSegmentReader:
    """A SegmentReader of what repositories hold; *series* is that of the stream, *storages* are by their names.

    *identity* is the private key, where segments are encrypted.
    """

    def __init__(
        self,
        *,
        plan: RecoveryPlan,
        series: Series,
        storages: t.Mapping[str, Storage],
        host: Host,
        identity: Secret | None = None,
    ) -> None:
        self._plan = plan
        self._series = series
        self._storages = storages
        self._host = host
        self._identity = identity or Secret(name="identity")

    @property
    def plan(self) -> RecoveryPlan:
        """What was planned."""
        return self._plan

    def fetch(self, segment: StoredSegment, path: str) -> None:
        """See SegmentReader. Stored bytes and plain bytes are both compared with the record.

        Raises RestoreTargetInvalid when *path* is there already or can't be written, else the last repository's error.
        """
        if os.path.lexists(path):
            raise RestoreTargetInvalid(f"{path} is there already.", hint=f"Look what it is: ls -l {path}")
        self._from_any(segment, lambda storage, copy: self._fetch(storage, copy, path))

    def check(self) -> None:
        """See SegmentReader. The stored bytes are those that were recorded, or they are not; of the first and the last
        one it is seen whether the private key opens them, and no more is decrypted.

        Raises IdentityMissing, SecretUnavailable and DecryptionFailed, too.
        """
        for segment in (*self._plan.segments[:1], *self._plan.segments[-1:]):
            self._require_key(segment)
        pool = concurrent.futures.ThreadPoolExecutor(max_workers=_PARALLEL_CHECKS)
        try:
            futures = [(segment, pool.submit(self._problem, segment)) for segment in self._plan.segments]
            for segment, future in futures:
                wait_for([future])
                problem = future.result()
                if problem is not None:
                    raise _nowhere_whole(segment, problem) from problem
        finally:
            with undisturbed():
                pool.shutdown(wait=True, cancel_futures=True)

    def _require_key(self, segment: StoredSegment) -> None:
        """What else is wrong with it is told by the check that follows."""
        for name in (one for one in segment.copies if one in self._storages):
            copy = segment.copies[name]
            with contextlib.suppress(StorageError):
                require_key(
                    copy.payload,
                    read=functools.partial(self._read, self._storages[name], copy),
                    identity=self._identity,
                    runner=self._host.runner,
                )
                return

    def _problem(self, segment: StoredSegment) -> LifeboatError | None:
        try:
            self._from_any(segment, self._check)
        except LifeboatError as error:
            return error
        return None

    def _from_any(self, segment: StoredSegment, attempt: t.Callable[[Storage, Segment], None]) -> None:
        """Try each repository that has it; those that did not answer again, a few times. Raises the last error."""
        candidates = [name for name in segment.copies if name in self._storages]
        last: LifeboatError = RecoveryTargetUnreachable(
            f"{segment.segment.name} is recorded in {', '.join(segment.copies) or 'no repository'} only, "
            "and none of them was opened.",
            hint="Name the repositories of the job in the description.",
            details={"segment": segment.segment.name, "before": None, "after": None},
        )
        for number in range(_ATTEMPTS):
            silent: list[str] = []
            for name in candidates:
                try:
                    attempt(self._storages[name], segment.copies[name])
                except StorageUnreachable as error:
                    last = error
                    silent.append(name)
                except LifeboatError as error:
                    last = error
                    self._host.journal.warning(f"{name}: {error.message} [{error.code}]")
                else:
                    return
                last.details.setdefault("repository", name)
            candidates = silent
            if not candidates:
                break
            if number + 1 < _ATTEMPTS:
                self._host.clock.sleep(_FIRST_DELAY * 2**number)
        raise last

    def _read(self, storage: Storage, copy: Segment) -> t.Iterator[bytes]:
        folder = StreamFolder(series=self._series, lineage=self._plan.lineage)
        return storage.read(folder.segment_key(copy.description.group, copy.payload.name))

    def _check(self, storage: Storage, copy: Segment) -> None:
        progress = Progress(clock=self._host.clock)
        check_stored(copy.payload, read=functools.partial(self._read, storage, copy), progress=progress)

    def _fetch(self, storage: Storage, copy: Segment, path: str) -> None:
        temporary = ""
        try:
            descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=_TEMPORARY)
            with os.fdopen(descriptor, "wb") as file:
                self._deliver(storage, copy, file)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except OSError as error:
            raise RestoreTargetInvalid(
                f"{path} can't be written: {error.strerror}.",
                hint=f"Run: ls -ld {os.path.dirname(path)}; df -h {os.path.dirname(path)}",
            ) from error
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)

    def _deliver(self, storage: Storage, copy: Segment, file: t.BinaryIO) -> None:
        digest = hashlib.sha256()

        def take(plain: t.BinaryIO) -> None:
            while True:
                piece = plain.read(CHUNK)
                if not piece:
                    return
                digest.update(piece)
                file.write(piece)

        identity = self._identity if copy.payload.encryption else Secret(name=self._identity.name)
        with identity_path(identity, runner=self._host.runner) as identity_file:
            deliver(
                copy.payload,
                PayloadOutput(read=take),
                read=functools.partial(self._read, storage, copy),
                identity_file=identity_file,
                progress=Progress(clock=self._host.clock),
            )
        if digest.hexdigest() != copy.plain_sha256:
            raise PayloadDamaged(
                f"{copy.payload.name} gives other plain bytes than its record says: SHA-256 {digest.hexdigest()}.",
                hint="Recover from the copy in another repository, or look at who could write to this one.",
                details={"payload": copy.payload.name, "found": digest.hexdigest()},
            )


def _nowhere_whole(segment: StoredSegment, problem: LifeboatError) -> RecoveryTargetUnreachable:
    name = segment.segment.name
    return RecoveryTargetUnreachable(
        f"The segment {name} is needed and is whole in no repository: {problem.message}",
        hint="Choose a target before it: lifeboat windows shows what can be reached.",
        details={"segment": name, "problem": problem.as_dict(), "before": None, "after": None},
    )
