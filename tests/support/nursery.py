# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in processes of their own, that die where a test wants them to.

A nursery is a program: for each line of JSON on its standard input it forks a child that does the work, waits for its
end, and prints one line of JSON: the exit status (negative: the signal that killed it) and, when it ended by itself,
what came of it. Forked children need not import anything, so that a run takes a tenth of a second instead of a whole
one.
"""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import datetime
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from tests.support.children import environment

if t.TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Run = t.TypeVar("_Run", bound="DataclassInstance")

# What changes a file system, and so may be the last thing that a process did.
_SYSTEM_CALLS = ("write", "fsync", "link", "replace", "rename", "unlink", "mkdir", "rmdir")


@dataclass(frozen=True)
class Outcome:
    """How a run ended. *document* is the result of what was done, or its error under ``error``; None for the killed."""

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


def die_where(*, at_system_call: int | None, at_request: int | None) -> None:
    """Die before the n-th system call that changes a file, or before the n-th request to S3; None: not there."""
    if at_system_call is not None:
        _die_before(os, _SYSTEM_CALLS, at=at_system_call)
    if at_request is not None:
        from botocore.httpsession import URLLib3Session

        _die_before(URLLib3Session, ("send",), at=at_request)


def _die_before(place: t.Any, names: t.Sequence[str], *, at: int) -> None:
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


class NurseryOf(t.Generic[_Run]):
    """A process that does what *module* does, in children of its own; use as a context manager."""

    module: t.ClassVar[str]

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            start_new_session=True,
        )

    def run(self, run: _Run) -> Outcome:
        """Do it once, and wait for its end."""
        self.begin(run)
        return self.end()

    def begin(self, run: _Run) -> int:
        """Begin; the id of the process that does it. :meth:`end` comes next."""
        if self._process.stdin is None:
            raise AssertionError("the nursery is spoken to by pipes")
        self._process.stdin.write(json.dumps(dataclasses.asdict(run)) + "\n")
        self._process.stdin.flush()
        return int(self._answer()["pid"])

    def end(self) -> Outcome:
        """Wait for the end of what was begun."""
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


def serve(work: t.Callable[[dict[str, t.Any]], dict[str, t.Any]]) -> None:
    """The nursery's side: *work* is done in a child for each line, with the values of the line."""
    # Once for all children; one that becomes another user may not be able to read Python's own files any more.
    import boto3  # noqa: F401

    codecs.lookup("ascii")

    for line in sys.stdin:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as answer:
            pid = os.fork()
            if pid == 0:
                _in_child(work, json.loads(line), answer)
            print(json.dumps({"pid": pid}), flush=True)
            _pid, status = os.waitpid(pid, 0)
            answer.seek(0)
            document = json.loads(answer.read() or "null")
        print(json.dumps({"status": os.waitstatus_to_exitcode(status), "document": document}), flush=True)


def _in_child(
    work: t.Callable[[dict[str, t.Any]], dict[str, t.Any]], values: dict[str, t.Any], answer: t.TextIO
) -> t.NoReturn:
    try:
        answer.write(json.dumps(work(values)))
        answer.flush()
        threading._shutdown()  # type: ignore[attr-defined] - what an interpreter does before it ends: waits for threads
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it is, the parent must not run on in this copy of it
        traceback.print_exc()
        os._exit(70)
