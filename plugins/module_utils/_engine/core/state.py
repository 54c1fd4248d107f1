# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a host's own notes: ``locks/``, ``running/`` (progress), ``runs/`` (what became of each run)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import tempfile
import typing as t
from dataclasses import dataclass

from .clock import Clock, format_time
from .durable import fsync_folder
from .errors import LockHeld, StateDirectoryUnusable

DEFAULT_STATE_DIRECTORY = "/var/lib/lifeboat"
_POLL_SECONDS = 0.1
_GLANCE_SECONDS = 0.3
_LARGEST_RECORD_FILE = 1024 * 1024


@dataclass(frozen=True)
class StateDirectory:
    """Names and primitive operations of the state folder; everything in it is readable by its owner only."""

    path: str = DEFAULT_STATE_DIRECTORY

    def folder(self, name: str) -> str:
        """The path of a folder of the state directory, made when missing. Raises StateDirectoryUnusable."""
        path = os.path.join(self.path, name)
        try:
            for each in (self.path, path):  # the mode is that of the last folder only
                os.makedirs(each, mode=0o700, exist_ok=True)
        except OSError as error:
            raise self.unusable(path, error) from error
        return path

    def write(self, folder: str, name: str, document: t.Mapping[str, t.Any], *, durably: bool = False) -> None:
        """Put a JSON document there in one step: a reader sees the old or the new one.

        It survives a crash of the machine with *durably* only.
        """
        path = os.path.join(self.folder(folder), name)
        text = json.dumps(document)
        temporary = ""
        try:
            descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=f".{name}.")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                if durably:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
            if durably:
                fsync_folder(os.path.dirname(path))
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise self.unusable(path, error) from error

    def read(self, folder: str, name: str) -> dict[str, t.Any] | None:
        """The document of that name; None when there is none or it can't be read as one."""
        try:
            with open(os.path.join(self.path, folder, name), encoding="utf-8") as file:
                document = json.load(file)
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted, without temporary ones; empty when the folder does not exist."""
        try:
            return sorted(name for name in os.listdir(os.path.join(self.path, folder)) if not name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self.unusable(os.path.join(self.path, folder), error) from error

    def clean(self, folder: str, name: str) -> None:
        """Remove what writers of that document left who died; the caller knows that nobody else writes it now."""
        path = self.folder(folder)
        with contextlib.suppress(OSError):  # it takes a little space and harms nobody
            for rest in os.listdir(path):
                if rest.startswith(f".{name}."):
                    os.unlink(os.path.join(path, rest))

    def append_record(self, name: str, record: t.Mapping[str, t.Any]) -> None:
        """Add one line to the run records of a job, durably; the file is turned over at 1 MiB (one old one is kept)."""
        path = os.path.join(self.folder("runs"), f"{name}.jsonl")
        try:
            with contextlib.suppress(FileNotFoundError):
                if os.path.getsize(path) > _LARGEST_RECORD_FILE:
                    os.replace(path, f"{path}.1")
            with open(path, "a+b", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
                line = json.dumps(record, sort_keys=True).encode("utf-8") + b"\n"
                # After a line that a crash cut short a new one begins, or both would be lost.
                file.write(line if _ends_in_a_line(file) else b"\n" + line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self.unusable(path, error) from error

    def records(self, name: str) -> list[dict[str, t.Any]]:
        """The run records of a job, oldest first. A line that a crash cut short is left out."""
        found: list[dict[str, t.Any]] = []
        for suffix in (".jsonl.1", ".jsonl"):
            try:
                with open(os.path.join(self.path, "runs", name + suffix), "rb") as file:
                    lines = file.readlines()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self.unusable(os.path.join(self.path, "runs"), error) from error
            for line in lines:
                with contextlib.suppress(ValueError):
                    record = json.loads(line)
                    if isinstance(record, dict):
                        found.append(record)
        return found

    def unusable(self, path: str, error: OSError) -> StateDirectoryUnusable:
        """The error that says what to do about *error* at *path*."""
        return StateDirectoryUnusable(
            f"The state directory can't be used: {path}: {error.strerror}.",
            hint=f"Make it writable for uid {os.geteuid()}, or choose another with state_directory.",
            details={"path": path},
        )


class SourceLock:
    """One run at a time for each source of a host.

    The kernel holds it (flock), so it is free again when the holder dies in whatever way. Who holds it, and how far
    the run is, stands in ``running/`` beside it.
    """

    def __init__(self, *, state: StateDirectory, name: str, clock: Clock) -> None:
        self._state = state
        self._name = name
        self._clock = clock
        self._descriptor = -1
        self._holder: dict[str, t.Any] = {}

    def acquire(self, *, holder: t.Mapping[str, t.Any], timeout: float) -> None:
        """Take the lock; wait up to *timeout* seconds for it.

        *holder* (JSON values) is what others are shown. Raises LockHeld that names the holder.
        """
        path = os.path.join(self._state.folder("locks"), f"{self._name}.lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._state.unusable(path, error) from error
        try:
            self._wait(timeout)
            self._state.clean("running", f"{self._name}.json")
            self._present(holder)
        except BaseException:
            self._close()
            raise

    def add(self, **facts: t.Any) -> None:
        """Tell others more about the holder than was known when the lock was taken (JSON values)."""
        self._holder.update(facts)
        self.show({})

    def show(self, progress: t.Mapping[str, t.Any]) -> None:
        """Publish how far the run is."""
        self._state.write("running", f"{self._name}.json", {**self._holder, "progress": dict(progress)})

    def release(self) -> None:
        """Let the next one in. Does nothing when the lock is not ours."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):  # a note without a held lock is one of the dead, and passed over
            os.unlink(os.path.join(self._state.path, "running", f"{self._name}.json"))
        self._close()

    def _wait(self, timeout: float) -> None:
        # running_jobs() takes the lock for an instant to see whether it is held: that must not stop anybody.
        deadline = self._clock.monotonic() + max(timeout, _GLANCE_SECONDS)
        while not _try_lock(self._descriptor):
            if self._clock.monotonic() >= deadline:
                raise self._held(timeout)
            self._clock.sleep(_POLL_SECONDS)

    def _present(self, holder: t.Mapping[str, t.Any]) -> None:
        self._holder = {
            **holder,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": format_time(self._clock.now()),
        }
        self.show({})

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    def _held(self, timeout: float) -> LockHeld:
        running = self._state.read("running", f"{self._name}.json") or {}
        progress = running.get("progress") or {}
        place = running.get("host", "this host")
        who = f"process {running.get('pid', '?')} on {place}, since {running.get('since', '?')}"
        what = f"{running.get('job', 'a run')}, {progress.get('stage', 'starting')}"
        waited = f" (waited {timeout:g} s)" if timeout else ""
        return LockHeld(
            f"{self._name.replace('.', '/')} is being worked on by {who}: {what}{waited}.",
            hint="See how far it is: lifeboat status. To wait for it, set lock_timeout (seconds) or --wait.",
            details=running,
        )


def running_jobs(state: StateDirectory) -> list[dict[str, t.Any]]:
    """What runs on this host just now, with progress; notes of runs that died are left out."""
    found = []
    for name in state.names("running"):
        if not name.endswith(".json"):
            continue
        lock_path = os.path.join(state.path, "locks", f"{name[: -len('.json')]}.lock")
        try:
            descriptor = os.open(lock_path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENOENT:
                continue
            raise StateDirectoryUnusable(
                f"The lock {lock_path} can't be opened: {error.strerror}.",
                hint="Run lifeboat status as the user who runs the backups.",
            ) from error
        try:
            is_held = not _try_lock(descriptor, shared=True)
        finally:
            os.close(descriptor)
        document = state.read("running", name) if is_held else None
        if document is not None:
            found.append(document)
    return found


def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ends_in_a_line(file: t.BinaryIO) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
