# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Degraded mode in the repositories: who entered it, when, why, until when, and what was so before; who left it.

Each event is an object of its own that is put only where there is none: of two operators who write the same number one
gets it. Every later event catches up in a repository that was down.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from ..core.clock import Clock, format_time
from ..core.errors import (
    DegradedNotRecorded,
    DegradedOvertaken,
    DegradedRecordInvalid,
    LifeboatError,
    StorageExists,
)
from ..storage.base import Storage

Json = t.Mapping[str, t.Any]
Storages = t.Mapping[str, Storage]

FORMAT, FORMAT_VERSION = "lifeboat-degraded-mode", 1
#: Begun to enter; all measures tried; another time or reason; begun to leave; left.
ENTERING, ENTERED, EXTENDED, LEAVING, LEFT = "entering", "entered", "extended", "leaving", "left"
EVENTS = (ENTERING, ENTERED, EXTENDED, LEAVING, LEFT)

_LARGEST = 1024 * 1024


@dataclass(frozen=True)
class Event:
    """What happened. *mode* is random and the same for all events of one degraded mode."""

    service: str
    number: int
    event: str
    mode: str
    at: str
    by: str
    data: Json = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Where it lies."""
        return f"{degraded_folder(self.service)}{self.number:06d}.json"

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "service": self.service,
            "number": self.number,
            "event": self.event,
            "mode": self.mode,
            "at": self.at,
            "by": self.by,
            "data": dict(self.data),
        }

    def as_bytes(self) -> bytes:
        """The bytes of the stored object."""
        return (json.dumps(self.as_dict(), indent=1, sort_keys=True) + "\n").encode("utf-8")


@dataclass(frozen=True)
class History:
    """All events of a service, which of them each repository has, and those that could not be asked."""

    service: str
    events: tuple[Event, ...]
    held: t.Mapping[str, frozenset[int]] = field(default_factory=dict)
    problems: t.Mapping[str, LifeboatError] = field(default_factory=dict)

    @property
    def mode(self) -> dict[str, t.Any]:
        """The degraded mode that the service is in, as JSON values; empty when it is in none.

        ``before`` holds by measure and host what was so, as far as it is recorded.
        """
        if not self.events or self.events[-1].event == LEFT:
            return {}
        own = [one for one in self.events if one.mode == self.events[-1].mode]
        said: dict[str, t.Any] = {}
        before: dict[str, t.Any] = {}
        for one in own:
            said.update({key: one.data[key] for key in ("reason", "until") if one.data.get(key)})
            before.update(one.data.get("before") or {})
        return {
            "id": own[0].mode,
            "state": own[-1].event,
            "at": own[0].at,
            "by": own[0].by,
            "last_by": own[-1].by,
            **said,
            "before": before,
        }


def degraded_folder(service: str) -> str:
    """The key prefix. No source can have a name that begins with a dot."""
    return f"{service}/.degraded/"


def read_history(service: str, *, storages: Storages) -> History:
    """All that any repository has. Raises DegradedRecordInvalid where two differ, and what reading raises if all do."""
    found: dict[int, Event] = {}
    held: dict[str, frozenset[int]] = {}
    problems: dict[str, LifeboatError] = {}
    for name, storage in storages.items():
        own: set[int] = set()
        try:
            for key in [one.key for one in storage.list(degraded_folder(service))]:
                event = parse_event(storage.get(key, limit=_LARGEST), key=key)
                own.add(event.number)
                if found.setdefault(event.number, event) != event:
                    raise DegradedRecordInvalid(
                        f"The repositories have two different records {key}; that of {name} differs.",
                        hint="Look at both; the hosts have notes of their own: lifeboat_degraded=status",
                        details={"repository": name, "key": key},
                    )
        except DegradedRecordInvalid:
            raise
        except LifeboatError as error:
            problems[name] = error
        else:
            held[name] = frozenset(own)
    if problems and len(problems) == len(storages):
        raise next(iter(problems.values()))
    events = tuple(found[number] for number in sorted(found))
    return History(service=service, events=events, held=held, problems=problems)


def note_event(
    service: str, event: str, *, mode: str, by: str, data: Json, after: int, storages: Storages, clock: Clock
) -> History:
    """Add an event behind number *after* (-1: there is none). Raises DegradedOvertaken, DegradedNotRecorded."""
    history = read_history(service, storages=storages)
    last = history.events[-1].number if history.events else -1
    if last != after:
        one = history.events[-1]
        raise DegradedOvertaken(
            f"{one.by} wrote {one.event} at {one.at} meanwhile.",
            hint="See how it is, and begin again: -e lifeboat_degraded=status",
            details={"by": one.by, "event": one.event},
        )
    new = Event(service, last + 1, event, mode, format_time(clock.now()), by, data)
    problems: dict[str, LifeboatError] = {}
    for name, storage in storages.items():
        try:
            for one in (*history.events, new):
                if one.number not in history.held.get(name, ()):
                    _put(one, storage)
        except DegradedOvertaken:
            raise
        except LifeboatError as error:
            problems[name] = error
    if len(problems) == len(storages):
        first = next(iter(problems.values()), None)
        raise DegradedNotRecorded(
            f"No repository took the record of {event}: {first.message if first else 'there is none'}",
            hint=first.hint if first else "Describe a repository for one of the service's backups.",
        )
    return History(service=service, events=(*history.events, new), problems=problems)


def parse_event(data: bytes, *, key: str) -> Event:
    """The inverse of :meth:`Event.as_bytes`. Raises DegradedRecordInvalid."""
    try:
        document = json.loads(data[:_LARGEST].decode("utf-8"))
        if (document["format"], document["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise ValueError(f"its format is {document['format']!r} {document['format_version']!r}")
        event = Event(
            service=str(document["service"]),
            number=int(document["number"]),
            event=str(document["event"]),
            mode=str(document["mode"]),
            at=str(document["at"]),
            by=str(document["by"]),
            data=dict(document["data"]),
        )
        if event.event not in EVENTS or event.key != key or event.as_bytes() != data:
            raise ValueError("it was written by somebody else, or for another place")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DegradedRecordInvalid(
            f"The record {key} can't be trusted: {error}.", hint="Look at the copy in another repository."
        ) from error
    return event


def _put(event: Event, storage: Storage) -> None:
    try:
        storage.put(event.key, event.as_bytes())
    except StorageExists:
        there = parse_event(storage.get(event.key, limit=_LARGEST), key=event.key)
        if there != event:
            raise DegradedOvertaken(
                f"{there.by} wrote {there.event} at {there.at} first.",
                hint="See how it is, and begin again: -e lifeboat_degraded=status",
                details={"by": there.by, "event": there.event},
            ) from None
