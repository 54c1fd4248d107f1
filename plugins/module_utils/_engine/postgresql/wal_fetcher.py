# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read-ahead for a server in recovery: the next segments are in the cache before PostgreSQL asks for them.

The other side is the script of :mod:`.wal_restore_script`, which says by files in the cache what it wants and takes
what lies there. "There is no such file" is said only of what neither the plan nor any record names; a repository that
does not answer is never the end of the archive: the script gets no answer then, and PostgreSQL stops. What no waiting
mends is said at once, so that nobody waits for it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import shutil
import threading
import typing as t
from dataclasses import dataclass

from ..core.clock import Clock
from ..core.errors import (
    ConfigurationInvalid,
    DecryptionFailed,
    IdentityMissing,
    LibraryMissing,
    PayloadDamaged,
    PayloadTooLarge,
    PostgresTablespaceInWal,
    RecoveryTargetUnreachable,
    RequestInvalid,
    SecretUnavailable,
    StorageBucketMissing,
    StorageCredentialsMissing,
    StorageForbidden,
    StorageKeyInvalid,
    StorageNotFound,
    StorageRegionWrong,
    ToolMissing,
    ToolTooOld,
    WalgConfigurationInvalid,
    WalgSegmentMissing,
)
from ..core.journal import Journal
from ..core.signals import undisturbed
from ..streams.stream import StoredSegment
from .wal_restore_script import (
    HOPELESS,
    MISSING,
    PROBLEM,
    PROCESS_NAME,
    WAIT_SECONDS,
    WANT,
    CacheSettings,
    write_cache_settings,
)

_TEMPORARY = ".tmp-fetch-"
_TURN_SECONDS = 0.02
#: After the first failure of a segment it is tried again after this time, then after twice as long, up to the second.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 20.0
#: What time does not mend. All else may pass: a repository that is away, a full disk, a process that was killed.
_PERMANENT = (
    ConfigurationInvalid,
    DecryptionFailed,
    IdentityMissing,
    LibraryMissing,
    PayloadDamaged,
    PayloadTooLarge,
    PostgresTablespaceInWal,
    RecoveryTargetUnreachable,
    RequestInvalid,
    SecretUnavailable,
    StorageBucketMissing,
    StorageCredentialsMissing,
    StorageForbidden,
    StorageKeyInvalid,
    StorageNotFound,
    StorageRegionWrong,
    ToolMissing,
    ToolTooOld,
    WalgConfigurationInvalid,
    WalgSegmentMissing,
)
#: It is believed when it was said so many times in a row: a server that is just being set up says much.
_PERMANENT_TIMES = 2

Fetch = t.Callable[[StoredSegment, str], None]


@dataclass(frozen=True)
class FetcherLimits:
    """*ahead*: how many segments may wait in the cache; *workers*: how many are fetched at the same time.

    *wait_seconds* is how long the script waits for one before it gives up with 255.
    """

    ahead: int = 8
    workers: int = 3
    wait_seconds: int = WAIT_SECONDS


@dataclass
class _Failure:
    """A segment that could not be fetched: why, when to try again, how long to wait the next time.

    *permanent* is how many times in a row it was something that time does not mend.
    """

    error: BaseException
    again: float
    pause: float
    permanent: int


@t.final
class WalFetcher:
    """Keeps the cache filled while the ``with`` block runs.

    *planned* are the segments in the order of replay; *others* are files that records name and that PostgreSQL may ask
    for out of order (every history file of the lineage: it looks there for timelines that are taken). *fetch* writes
    one file whole and checked or raises (``SegmentReader.fetch``); it is called from several threads. *cache* is a
    folder of its own that the server's user owns, best on the file system of its ``pg_wal``, where taking a segment is
    a rename; it is emptied at the beginning, and what comes in belongs to the folder's owner. *segment_size* in bytes,
    None where it is not known.
    """

    def __init__(
        self,
        *,
        cache: str,
        planned: t.Sequence[StoredSegment],
        fetch: Fetch,
        clock: Clock,
        journal: Journal,
        others: t.Sequence[StoredSegment] = (),
        segment_size: int | None = None,
        limits: FetcherLimits | None = None,
    ) -> None:
        self._cache = cache
        self._planned = [one.segment.name for one in planned]
        self._index = {name: index for index, name in enumerate(self._planned)}
        self._files = {one.segment.name: one for one in (*others, *planned)}
        self._fetch = fetch
        self._clock, self._journal = clock, journal
        self._segment_size = segment_size
        self._limits = limits or FetcherLimits()
        self._owner = (0, 0)
        self._position = 0  # index of the segment that PostgreSQL asks for next, as far as can be told
        self._here: set[str] = set()
        self._wanted: set[str] = set()
        self._running: dict[concurrent.futures.Future[None], str] = {}
        self._failures: dict[str, _Failure] = {}
        self._taken = 0
        self._stop = threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lifeboat-wal-fetcher", daemon=True)

    def __enter__(self) -> WalFetcher:
        """Empty the cache, tell the script, begin to read ahead. Raises OSError."""
        os.makedirs(self._cache, mode=0o700, exist_ok=True)
        facts = os.stat(self._cache)
        self._owner = (facts.st_uid, facts.st_gid)
        for name in os.listdir(self._cache):
            # A question stays: whoever asked it still waits.
            if not name.startswith(WANT):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._cache, name))
        write_cache_settings(
            self._cache,
            CacheSettings(wait_seconds=self._limits.wait_seconds, segment_size=self._segment_size),
        )
        self._write(PROCESS_NAME, f"{os.getpid()}\n")
        with undisturbed():
            self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop; what is being fetched is ended first. Questions that come later get no answer."""
        with undisturbed():
            self._stop.set()
            self._thread.join()
        self._unlink(PROCESS_NAME)

    @property
    def taken(self) -> int:
        """How many planned segments PostgreSQL has taken; one that it takes twice counts twice."""
        return self._taken

    @property
    def problem(self) -> BaseException | None:
        """Why the file that PostgreSQL waits for is not there: the last error; None when nothing is wrong."""
        return self._problem

    def _run(self) -> None:
        workers = self._limits.workers + 1  # one more for what is asked for out of order
        try:
            with concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="lifeboat-wal") as pool:
                while not self._stop.is_set():
                    self._turn(pool)
                    if self._running:
                        concurrent.futures.wait(
                            list(self._running), _TURN_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
                        )
                    else:
                        self._stop.wait(_TURN_SECONDS)
        except OSError as error:
            # The cache itself is in trouble; the script gets no answer and says 255.
            self._problem = error
            self._journal.warning(f"The read-ahead of WAL ended: {error}")

    def _turn(self, pool: concurrent.futures.ThreadPoolExecutor) -> None:
        self._harvest()
        listing = set(os.listdir(self._cache))
        self._notice_taken(listing)
        for entry in sorted(listing):
            if entry.startswith(WANT):
                self._answer(entry[len(WANT) :], listing)
        self._drop_behind()
        busy = set(self._running.values())
        now = self._clock.monotonic()
        for name in (*sorted(self._wanted), *self._window()):
            limit = self._limits.workers + (1 if name in self._wanted else 0)
            failure = self._failures.get(name)
            waits = failure is not None and failure.again > now
            if name in busy or name in self._here or waits or len(self._running) >= limit:
                continue
            busy.add(name)
            self._running[pool.submit(self._bring, self._files[name])] = name
        failures = (self._failures.get(name) for name in (*sorted(self._wanted), *self._window()))
        self._problem = next((failure.error for failure in failures if failure is not None), None)

    def _bring(self, segment: StoredSegment) -> None:
        """In a worker: the file under a temporary name, readable for the server's user."""
        path = self._temporary(segment.segment.name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._fetch(segment, path)
        os.chmod(path, 0o600)
        if os.geteuid() == 0:
            os.chown(path, *self._owner)

    def _harvest(self) -> None:
        """Give the file that has come its name, or note why it has not."""
        for future in [one for one in self._running if one.done()]:
            name = self._running.pop(future)
            error = future.exception()
            if error is not None:
                self._fail(name, error)
                continue
            self._failures.pop(name, None)
            self._unlink(PROBLEM + name)
            # The question goes before the answer comes: a question beside a file means that it is wanted once more.
            self._wanted.discard(name)
            self._unlink(WANT + name)
            os.replace(self._temporary(name), os.path.join(self._cache, name))
            self._here.add(name)

    def _fail(self, name: str, error: BaseException) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary(name))
        before = self._failures.get(name)
        pause = _PAUSE_SECONDS if before is None else min(before.pause * 2, _LONGEST_PAUSE_SECONDS)
        permanent = (before.permanent if before else 0) + 1 if isinstance(error, _PERMANENT) else 0
        again = self._clock.monotonic() + pause
        self._failures[name] = _Failure(error=error, again=again, pause=pause, permanent=permanent)
        words = " ".join(str(error).split())
        self._write(PROBLEM + name, words + "\n")
        if before is None:
            self._journal.warning(f"{name} could not be fetched, and is tried again: {words}")
        if name in self._wanted and permanent >= _PERMANENT_TIMES:
            # Who asks once more, after somebody has mended it, is not told what was true before.
            self._wanted.discard(name)
            self._unlink(WANT + name)
            self._write(HOPELESS + name, words + "\n")

    def _notice_taken(self, listing: set[str]) -> None:
        for name in sorted(self._here - listing):
            self._here.discard(name)
            index = self._index.get(name)
            if index is not None:
                self._taken += 1
                self._position = max(self._position, index + 1)

    def _answer(self, name: str, listing: set[str]) -> None:
        """PostgreSQL asks: go there, whether it asks ahead or begins anew; say so when there is certainly none."""
        if name not in self._files:
            # Also of names that no server archives: before it opens, it asks for the history of the first timeline.
            self._write(MISSING + name, "")
            self._unlink(WANT + name)
            return
        if name in listing:
            self._unlink(WANT + name)  # it came between the script's look and its question
            return
        if name not in self._wanted:
            self._wanted.add(name)
            # What had to wait before is tried at once: somebody stands at the door.
            self._failures.pop(name, None)
        self._position = self._index.get(name, self._position)

    def _window(self) -> list[str]:
        return self._planned[self._position : self._position + self._limits.ahead]

    def _drop_behind(self) -> None:
        """Segments outside of the window are not asked for soon: PostgreSQL jumped."""
        keep = set(self._window()) | self._wanted
        for name in [one for one in self._here if one in self._index and one not in keep]:
            self._here.discard(name)
            self._unlink(name)

    def _temporary(self, name: str) -> str:
        return os.path.join(self._cache, _TEMPORARY + name)

    def _write(self, name: str, text: str) -> None:
        path = os.path.join(self._cache, name)
        temporary = os.path.join(self._cache, f".tmp-note-{name}")
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._cache, name))


def remove_cache(cache: str) -> None:
    """Remove the folder with all that is left in it; none is fine. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(cache)
