# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be told, on the host's disk: notices that wait, incidents that are open, channels that are down.

In the state directory: ``notify/waiting/``, ``notify/incidents/`` and ``notify/channels/``, one document each.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import typing as t
from dataclasses import dataclass, field, replace

from ..core.clock import Clock, format_time, parse_time
from ..core.state import StateDirectory
from .values import Incident, Notice

WAITING, INCIDENTS, CHANNELS = "notify/waiting", "notify/incidents", "notify/channels"
#: After so many failures in a row a channel is tried again so many minutes later; the last one goes on.
_PAUSES = tuple(datetime.timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 30, 60))
LONGEST_PAUSE = _PAUSES[-1]
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Delivery:
    """One notice for one channel: how often it was refused, and before when it is not tried again."""

    attempts: int = 0
    not_before: datetime.datetime | None = None
    error: t.Mapping[str, t.Any] = field(default_factory=dict)

    def refused(self, error: t.Mapping[str, t.Any], *, now: datetime.datetime) -> Delivery:
        """The same, tried once more in vain."""
        return Delivery(attempts=self.attempts + 1, not_before=now + pause(self.attempts + 1), error=error)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "attempts": self.attempts,
            "not_before": format_time(self.not_before) if self.not_before else None,
            "error": dict(self.error),
        }


@dataclass(frozen=True)
class Waiting:
    """A notice, and the channels (by key) that it still is for."""

    notice: Notice
    deliveries: t.Mapping[str, Delivery]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "notice": self.notice.as_dict(),
            "deliveries": {key: one.as_dict() for key, one in self.deliveries.items()},
        }


@dataclass(frozen=True)
class Standing:
    """How a channel is doing. *down_since* is None for one that works; *given_up* counts what it was never told."""

    key: str
    down_since: datetime.datetime | None = None
    failures: int = 0
    not_before: datetime.datetime | None = None
    error: t.Mapping[str, t.Any] = field(default_factory=dict)
    last_success: datetime.datetime | None = None
    given_up: int = 0

    def down(self, error: t.Mapping[str, t.Any], *, now: datetime.datetime) -> Standing:
        """The same after a failure."""
        failures = self.failures + 1
        return replace(
            self,
            down_since=self.down_since or now,
            failures=failures,
            not_before=now + pause(failures),
            error=dict(error),
        )

    def well(self, *, now: datetime.datetime) -> Standing:
        """The same after a success."""
        return Standing(key=self.key, last_success=now, given_up=self.given_up)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "channel": self.key,
            "down_since": format_time(self.down_since) if self.down_since else None,
            "failures": self.failures,
            "not_before": format_time(self.not_before) if self.not_before else None,
            "error": dict(self.error) or None,
            "last_success": format_time(self.last_success) if self.last_success else None,
            "given_up": self.given_up,
        }


def pause(failures: int) -> datetime.timedelta:
    """How long to wait after so many failures in a row."""
    return _PAUSES[min(max(failures, 1), len(_PAUSES)) - 1]


class Spool:
    """The documents. Whoever records or sends holds the lock of that name. All raise StateDirectoryUnusable."""

    def __init__(self, *, state: StateDirectory, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    @contextlib.contextmanager
    def held(self, what: str, *, timeout: float) -> t.Iterator[bool]:
        """Hold the lock *what* inside of the block; False when somebody else does for *timeout* seconds."""
        path = os.path.join(self._state.folder("locks"), f"notify:{what}.lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._state.unusable(path, error) from error
        try:
            yield self._lock(descriptor, timeout)
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int, timeout: float) -> bool:
        deadline = self._clock.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._clock.monotonic() >= deadline:
                    return False
                self._clock.sleep(_POLL_SECONDS)
            else:
                return True

    def count(self) -> int:
        """How many there are at most, without reading any."""
        return len(self._state.names(WAITING))

    def put(self, waiting: Waiting, *, durably: bool = False) -> None:
        """Keep a notice until all its channels have it; one without channels goes."""
        name = f"{waiting.notice.notice_id}.json"
        if waiting.deliveries:
            self._state.write(WAITING, name, waiting.as_dict(), durably=durably)
        else:
            self._remove(WAITING, name)

    def waiting(self) -> list[Waiting]:
        """What is to be sent, oldest first; a document that can't be read is passed over."""
        found = []
        for name in self._state.names(WAITING):
            document = self._state.read(WAITING, name)
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
                if document is not None:
                    deliveries = {key: _delivery(one) for key, one in document["deliveries"].items()}
                    found.append(Waiting(Notice.from_dict(document["notice"]), deliveries))
        return found

    def incident(self, key: str) -> Incident | None:
        """The open incident of that key."""
        return _incident(self._state.read(INCIDENTS, f"{key}.json"))

    def incidents(self) -> list[Incident]:
        """All open ones."""
        read = (_incident(self._state.read(INCIDENTS, name)) for name in self._state.names(INCIDENTS))
        return [one for one in read if one is not None]

    def put_incident(self, incident: Incident) -> None:
        """Keep it."""
        self._state.write(INCIDENTS, f"{incident.key}.json", incident.as_dict(), durably=True)

    def close_incident(self, key: str) -> None:
        """It is over."""
        self._remove(INCIDENTS, f"{key}.json")

    def standing(self, key: str) -> Standing:
        """How the channel of that key is doing."""
        return read_standing(self._state, key)

    def put_standing(self, standing: Standing) -> None:
        """Keep it."""
        self._state.write(CHANNELS, f"{standing.key}.json", standing.as_dict())

    def _remove(self, folder: str, name: str) -> None:
        path = os.path.join(self._state.folder(folder), name)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._state.unusable(path, error) from error


def read_standing(state: StateDirectory, key: str) -> Standing:
    """How the channel of that key is doing; one that was never tried works."""
    document = state.read(CHANNELS, f"{key}.json") or {}
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return Standing(
            key=key,
            down_since=_time(document["down_since"]),
            failures=int(document["failures"]),
            not_before=_time(document["not_before"]),
            error=dict(document["error"] or {}),
            last_success=_time(document["last_success"]),
            given_up=int(document["given_up"]),
        )
    return Standing(key=key)


def waiting_for(state: StateDirectory) -> dict[str, int]:
    """How many notices wait, by the channel's key."""
    counts: dict[str, int] = {}
    for name in state.names(WAITING):
        document = state.read(WAITING, name) or {}
        for key in document.get("deliveries", {}):
            counts[key] = counts.get(key, 0) + 1
    return counts


def _delivery(document: t.Mapping[str, t.Any]) -> Delivery:
    return Delivery(
        attempts=int(document["attempts"]), not_before=_time(document["not_before"]), error=dict(document["error"])
    )


def _incident(document: t.Mapping[str, t.Any] | None) -> Incident | None:
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return Incident.from_dict(document) if document is not None else None
    return None


def _time(text: str | None) -> datetime.datetime | None:
    return parse_time(text) if text else None
