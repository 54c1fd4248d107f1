# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage interface: everything that a repository must promise, whatever it is made of.

Keys are relative, slash-separated names of objects ("family/main/full/20261121T020000Z-4f2c91/manifest.json"). One
conformance suite (``tests/conformance``) holds every implementation and every decorator to these promises.

Errors are those of ``core.errors``: StorageUnreachable may be tried again, every other StorageError may not.
"""

from __future__ import annotations

import datetime
import re
import typing as t
from dataclasses import dataclass, field

from ..core.errors import StorageError, StorageKeyInvalid

# Names of files that are still being written begin so, in every storage made of files; no key may.
TEMPORARY_PREFIX = ".lifeboat-tmp-"
CHECK_KEY = ".lifeboat-check"

_SEGMENT = re.compile(r"[A-Za-z0-9._=@+,-]{1,255}")


@dataclass(frozen=True)
class ObjectInfo:
    """One stored object: its key, its size in bytes and when it was stored (aware, UTC, the storage's own clock)."""

    key: str
    size: int
    modified: datetime.datetime
    storage_class: str | None = None  # as the storage names it; None where it has no such classes or does not say


@dataclass(frozen=True)
class ObjectVersion:
    """One stored state of an object, where the storage keeps old ones. *is_latest*: it decides what readers see.

    *is_marker*: no data, it says that the object was deleted then. *size* is in bytes, *modified* aware UTC.
    """

    key: str
    version_id: str
    size: int
    modified: datetime.datetime
    is_latest: bool
    is_marker: bool


@dataclass(frozen=True)
class LockState:
    """What keeps an object from being deleted: a date (aware, UTC; None: there is none), a legal hold, or both.

    *mode* is ``governance`` (somebody with a special permission may shorten it) or ``compliance`` (nobody may), empty
    without a date.
    """

    until: datetime.datetime | None
    mode: str
    hold: bool

    def binds(self, now: datetime.datetime) -> bool:
        """Whether the object can't be deleted at *now*."""
        return self.hold or (self.until is not None and self.until > now)


@dataclass(frozen=True)
class Unfinished:
    """The rest of an upload that never became an object: invisible to list(), but it takes space.

    *token* identifies it to abort_unfinished(): a multipart upload id, or the path of a temporary file.
    """

    key: str
    token: str
    started: datetime.datetime


@dataclass(frozen=True)
class DeleteReport:
    """What became of each key given to delete(): it is in exactly one of the three. One not there counts as deleted.

    *refused* says why not (no permission), *causes* has one error with a code and a hint for each kind of refusal.
    *deferred* are those under lock, with the date until which they are (aware, UTC); None: under a hold, or not known.
    They are untouched: try again then.
    """

    deleted: tuple[str, ...] = ()
    refused: t.Mapping[str, str] = field(default_factory=dict)
    deferred: t.Mapping[str, datetime.datetime | None] = field(default_factory=dict)
    causes: tuple[StorageError, ...] = ()


@dataclass(frozen=True)
class Properties:
    """What this storage can do."""

    kind: str  # file, s3, memory
    url: str  # for people: file:///var/backups/lifeboat, s3://bucket/prefix; never holds a secret
    conditional_put: bool  # put(if_absent=True) is decided by the storage itself, so two writers can't both win
    versioned: bool = False  # a replaced or deleted object's old states stay; see versions()
    locks: bool = False  # objects can be locked until a date


class ObjectWriter(t.Protocol):
    """One object on its way in. Nobody can see it before commit() returned."""

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes; the caller may use the memory again when this returns.

        They may be buffered, so an error may be reported late, by a later call.
        """

    def commit(self) -> ObjectInfo:
        """Make the object durable and visible, whole; called once. After an error the object is not there.

        One exception that no storage across a network can avoid: after StorageUnreachable it may be there, whole,
        because the storage took it and only its answer was lost.
        """

    def abort(self) -> None:
        """Forget everything that was written; may be called at any time, more than once, never raises."""


class Storage(t.Protocol):
    """A place for objects."""

    @property
    def properties(self) -> Properties:
        """What this storage can do and how to call it; asks nobody.

        *versioned* and *locks* are False until they were found out, by check() or by the first call that depends on it.
        """

    def check(self) -> None:
        """Prove that the repository is there and can be written, before anything depends on it.

        Raises StorageBucketMissing, StorageForbidden, StorageUnreachable, StorageNoSpace. Leaves nothing behind where
        objects may be deleted, else one small object named ``.lifeboat-check``.
        """

    def free_bytes(self) -> int | None:
        """Bytes that can still be stored; None where there is no such limit."""

    def writer(self, key: str, *, expected_bytes: int | None = None, if_absent: bool = True) -> ObjectWriter:
        """Begin an object of any size, in constant memory.

        *expected_bytes* is a hint for part sizes. With *if_absent*, commit() raises StorageExists when the key is
        there already; otherwise it replaces the object in one step: readers see the old or the new one, never a mix.
        """

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
        """Store a small object: writer(), write(), commit() in one. Safe to try again after StorageUnreachable."""

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
        """The object's bytes from *offset*, in pieces of at most 8 MiB; at most *length* of them.

        An *offset* at or behind the end gives no bytes.

        Raises StorageNotFound at once (not at the first piece); a stream that ends early raises StorageUnreachable.
        """

    def get(self, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
        """A small object whole. Raises StorageNotFound, and StorageError when it is larger than *limit* bytes."""

    def stat(self, key: str) -> ObjectInfo:
        """The object's facts. Raises StorageNotFound."""

    def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
        """Every object whose key starts with *prefix*, in order of key, in constant memory.

        Keys are compared byte by byte, or part by part where the storage does so (SeaweedFS): ``a-b`` comes before or
        after ``a/b``. Either way, what lies below one folder comes together, and names of equal length in order.
        """

    def list_folders(self, prefix: str = "") -> t.Iterator[str]:
        """The names directly below the folder *prefix* (empty, or ending in a slash) that hold objects, in order."""

    def delete(self, keys: t.Sequence[str]) -> DeleteReport:
        """Remove objects; every key is answered for. Deleting what is not there is no error.

        Where old versions are kept and the repository does not say ``versions: delete``, objects are only hidden by
        markers, and no lock stands against that. With it all versions go, and objects under lock are deferred.
        StorageUnreachable: some may be gone; do it again.
        """

    def unfinished(self, prefix: str = "") -> t.Iterator[Unfinished]:
        """Uploads below *prefix* that were begun and neither committed nor aborted, by whomever."""

    def abort_unfinished(self, upload: Unfinished) -> None:
        """Free the space of such an upload; one that is gone already is no error."""

    def versions(self, prefix: str = "") -> t.Iterator[ObjectVersion]:
        """Every version and every marker of the keys that start with *prefix*, those of one key together.

        The one that readers see comes first; the others newest first, as far as the storage's whole seconds tell.
        Nothing where the storage keeps no old versions. In constant memory.
        """

    def delete_versions(self, versions: t.Sequence[ObjectVersion]) -> DeleteReport:
        """Remove these for good; a key counts as deleted when all that were given of it are gone.

        The older ones of a key go first, then the latest, its marker last, and none of these when one before stayed:
        what is deleted would be seen again. So give all of a key, or not its latest.
        """

    def lock_state(self, key: str) -> LockState | None:
        """What keeps the object from being deleted, None when nothing does. Raises StorageNotFound.

        A date in the past is told, too; see LockState.binds().
        """

    def extend_lock(self, keys: t.Sequence[str], *, until: datetime.datetime) -> t.Mapping[str, str]:
        """Lock the objects at least until then; a later date that they have stays, and so does their mode.

        The keys for which it could not be done, each with why: no such object, no permission, no locks here.
        """

    def set_hold(self, keys: t.Sequence[str], *, on: bool) -> t.Mapping[str, str]:
        """Put the objects under legal hold or release them; answers as extend_lock()."""

    def clock_skew(self) -> float:
        """Seconds that the storage's clock is ahead of ours (negative: behind), to about a second; 0.0 for files."""


def check_key(key: str) -> str:
    """Return *key* when it is a clean relative name that can't leave the repository, else raise StorageKeyInvalid."""
    for segment in key.split("/"):
        if segment in ("", ".", "..") or not _SEGMENT.fullmatch(segment) or segment.startswith(TEMPORARY_PREFIX):
            raise StorageKeyInvalid(
                f"{key!r} can't be the name of an object: the part {segment!r} is not allowed.",
                hint=f"Use letters, digits and . _ = @ + , - between single slashes; {TEMPORARY_PREFIX} is reserved.",
            )
    return key


def is_housekeeping(key: str) -> bool:
    """Whether the object belongs to the repository itself (a lease, the check's object): it is never locked."""
    return key.startswith(".lifeboat")


def is_key(name: str) -> bool:
    """Whether *name* could have been stored here; what else lies in a repository is not an object of it."""
    try:
        check_key(name)
    except StorageKeyInvalid:
        return False
    return True


def check_prefix(prefix: str) -> str:
    """Return *prefix* when keys can begin with it: empty, or clean parts of which the last may be cut short."""
    folder, _slash, rest = prefix.rpartition("/")
    if folder:
        check_key(folder)
    elif prefix.startswith("/"):
        check_key(prefix)
    if rest not in ("", ".", ".."):
        check_key(rest)
    return prefix


def check_folder(prefix: str) -> str:
    """Return *prefix* when it is empty or a clean folder ending in a slash, else raise StorageKeyInvalid."""
    if prefix:
        check_key(prefix[:-1] if prefix.endswith("/") else prefix + "/")
    return prefix
