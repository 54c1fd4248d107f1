# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup runs in processes of their own, that die where a test wants them to.

As a program it is a nursery: for each line of JSON on its standard input it forks a child that makes one backup
(:class:`Run` describes it), waits for its end, and prints one line of JSON: the exit status (negative: the signal that
killed it) and, when it ended by itself, what came of it. Forked children need not import anything, so that a run takes
a tenth of a second instead of a whole one.
"""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import datetime
import itertools
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LifeboatError
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import stopping_on_signals
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import backup as operation
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage import registry
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from tests.support.backups import SERIES, Source, request
from tests.support.children import environment

# What changes a file system, and so may be the last thing that a process did.
_SYSTEM_CALLS = ("write", "fsync", "link", "replace", "rename", "unlink", "mkdir", "rmdir")


@dataclass(frozen=True)
class Run:
    """One backup run, as JSON values.

    The run kills itself (SIGKILL) before the n-th call (``at_call``) to the repository *target*, after it
    (``answer_lost``), before the n-th system call that changes a file (``at_system_call``), before the n-th request to
    S3 (``at_request``), or once so many bytes of the payload have gone to the target (``at_byte``: payload, bytes).
    *later* is how many seconds the run's clock is ahead. *uid* is the user that the run changes to, *file_limit* the
    largest file in bytes that it may write (``ulimit -f``).
    """

    source: str
    state: str
    repositories: dict[str, dict[str, t.Any]]
    target: str = ""
    at_call: int | None = None
    answer_lost: bool = False
    at_system_call: int | None = None
    at_request: int | None = None
    at_byte: tuple[str, int] | None = None
    later: float = 0.0
    script: str = "cat data"
    copied: int | None = None
    uid: int | None = None
    file_limit: int | None = None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a run ended. *document* is the result of the backup, or its error under ``error``; None for the killed."""

    status: int
    document: dict[str, t.Any] | None

    @property
    def was_killed(self) -> bool:
        """Whether it met the end that was meant for it."""
        return self.status == -signal.SIGKILL


class LaterClock(SystemClock):
    """The machine's clock, some seconds ahead: the next run is seldom at once."""

    def __init__(self, seconds: float) -> None:
        self._ahead = datetime.timedelta(seconds=seconds)

    def now(self) -> datetime.datetime:
        return super().now() + self._ahead


def kill() -> None:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait(60)  # until it is delivered, also when another thread takes it


def make_backup(run: Run) -> dict[str, t.Any]:
    """Make the backup in this process, which may not survive it; the result, or the error under ``error``."""
    os.environ.update(run.environment)
    storages: dict[str, FaultyStorage] = {}

    def opened(description: t.Mapping[str, t.Any], *, name: str, **surroundings: t.Any) -> FaultyStorage:
        point = FaultPoint(at_call=run.at_call, answer_lost=run.answer_lost) if name == run.target else None
        storage = registry.open_storage(description, name=name, **surroundings)
        storages[name] = FaultyStorage(storage=storage, fault=kill, point=point)
        return storages[name]

    operation.open_storage = opened
    source = Source(folder=run.source, script=run.script, copied=run.copied)

    def producer(context: t.Any) -> Source:
        if run.at_byte is not None:
            payload, position = run.at_byte
            storages[run.target]._point = FaultPoint(at_byte=(SERIES.backup(context.backup_id).key(payload), position))
        return source

    wanted = request(
        source,
        run.repositories,
        state_directory=run.state,
        make_producer=producer,
        transforms=Transforms(compression=Compression(level=1, threads=1)),
    )
    if run.at_system_call is not None:
        _count(os, _SYSTEM_CALLS, at=run.at_system_call)
    if run.at_request is not None:
        from botocore.httpsession import URLLib3Session

        _count(URLLib3Session, ("send",), at=run.at_request)
    try:
        with stopping_on_signals():
            result = operation.run_backup(wanted, host=Host(clock=LaterClock(run.later), name="db1"))
    except LifeboatError as error:
        return {"error": error.as_dict()}
    return result.as_dict()


def _count(place: t.Any, names: t.Sequence[str], *, at: int) -> None:
    """Die before the *at*-th call of these functions."""
    numbers = itertools.count(1)

    def counted(call: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def count(*arguments: t.Any, **options: t.Any) -> t.Any:
            if next(numbers) == at:
                kill()
            return call(*arguments, **options)

        return count

    for name in names:
        setattr(place, name, counted(getattr(place, name)))


class Nursery:
    """A process that makes backups in children of its own; use as a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.backup_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            start_new_session=True,
        )

    def run(self, run: Run) -> Outcome:
        """Make one backup and wait for its end."""
        self.begin(run)
        return self.end()

    def begin(self, run: Run) -> int:
        """Begin to make a backup; the id of the process that does it. :meth:`end` comes next."""
        if self._process.stdin is None:
            raise AssertionError("the nursery is spoken to by pipes")
        self._process.stdin.write(json.dumps(dataclasses.asdict(run)) + "\n")
        self._process.stdin.flush()
        return int(self._answer()["pid"])

    def end(self) -> Outcome:
        """Wait for the end of the backup that was begun."""
        return Outcome(**self._answer())

    def _answer(self) -> dict[str, t.Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise AssertionError(f"the nursery ended with status {self._process.wait()}")
        return dict(json.loads(line))

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def processes_that_name(folder: str) -> list[str]:
    """The command lines of processes, other than the dead, in which a folder stands."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if folder in line:
                found.append(line)
    return found


def _serve() -> None:
    # Once for all children; one that becomes another user may not be able to read Python's own files any more.
    import boto3  # noqa: F401

    codecs.lookup("ascii")

    for line in sys.stdin:
        values = json.loads(line)
        values["at_byte"] = tuple(values["at_byte"]) if values["at_byte"] else None
        with tempfile.TemporaryFile("w+", encoding="utf-8") as answer:
            pid = os.fork()
            if pid == 0:
                _in_child(Run(**values), answer)
            print(json.dumps({"pid": pid}), flush=True)
            _pid, status = os.waitpid(pid, 0)
            answer.seek(0)
            document = json.loads(answer.read() or "null")
        print(json.dumps({"status": os.waitstatus_to_exitcode(status), "document": document}), flush=True)


def _in_child(run: Run, answer: t.TextIO) -> t.NoReturn:
    try:
        if run.file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (run.file_limit, run.file_limit))
        if run.uid is not None:
            os.setuid(run.uid)
        answer.write(json.dumps(make_backup(run)))
        answer.flush()
        threading._shutdown()  # type: ignore[attr-defined] - what an interpreter does before it ends: waits for threads
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it is, the parent must not run on in this copy of it
        traceback.print_exc()
        os._exit(70)


if __name__ == "__main__":
    _serve()
