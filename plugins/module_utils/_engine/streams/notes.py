# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host notes of its own shipping: what waits to be told to a repository, and what each repository was told.

The records in the repositories are the truth. The notes serve where the credentials may write and nothing else, keep
events until every repository has them, and tell the state of a job without asking anybody.
"""

from __future__ import annotations

import contextlib
import os
import threading
import typing as t

from ..core.clock import format_time
from ..core.durable import fsync_folder
from ..core.errors import StateDirectoryUnusable
from ..core.signals import undisturbed
from ..core.state import StateDirectory
from .record import event_from, event_values
from .segment import Segment, StreamEvent

_FOLDER = "ship"
#: Names that are remembered for each repository; the spool holds fewer, unless it is larger than any.
_MOST_NAMES = 100_000


class StreamNotes:
    """The notes of one stream job; safe for threads."""

    def __init__(self, *, state: StateDirectory, name: str) -> None:
        self._state = state
        self._name = f"{name}.json"
        self._lock = threading.Lock()
        document = read_notes(state, name)
        repositories = document.get("repositories")
        self._repositories: dict[str, dict[str, t.Any]] = {
            str(repository): dict(notes)
            for repository, notes in (repositories if isinstance(repositories, dict) else {}).items()
            if isinstance(notes, dict)
        }
        events = document.get("events")
        self._events: list[dict[str, t.Any]] = [
            dict(event) for event in (events if isinstance(events, list) else []) if _is_event(event)
        ]

    def recorded(self, repository: str, lineage: str) -> dict[str, str]:
        """The names that this host recorded there and that may wait in the spool still, with their plain SHA-256."""
        with undisturbed(), self._lock:
            found = self._repositories.get(repository, {}).get("recorded", {}).get(lineage, {})
            return {str(name): str(plain) for name, plain in found.items()}

    def indexed_to(self, repository: str, lineage: str) -> str:
        """The last hour that needs no further look; empty when nothing is known."""
        with undisturbed(), self._lock:
            return str(self._repositories.get(repository, {}).get("indexed_to", {}).get(lineage, ""))

    def note_recorded(self, repository: str, lineage: str, segments: t.Sequence[Segment]) -> None:
        """A record that names *segments* is durable there. Raises StateDirectoryUnusable."""
        with undisturbed(), self._lock:
            notes = self._repositories.setdefault(repository, {})
            names = notes.setdefault("recorded", {}).setdefault(lineage, {})
            names.update((segment.name, segment.plain_sha256) for segment in segments)
            for name in list(names)[:-_MOST_NAMES]:
                del names[name]
            if segments:
                newest = segments[-1].description
                notes["newest"] = {
                    "lineage": lineage,
                    "name": newest.name,
                    "ends": format_time(newest.ends) if newest.ends else None,
                    "stored": format_time(segments[-1].stored),
                }
            self._write()

    def note_indexed(self, repository: str, lineage: str, hour: str) -> None:
        """Every hour up to that one has its index there, or is named by one. Raises StateDirectoryUnusable."""
        with undisturbed(), self._lock:
            self._repositories.setdefault(repository, {}).setdefault("indexed_to", {})[lineage] = hour
            self._write()

    def forget(self, segments: t.Iterable[tuple[str, str]]) -> None:
        """Lineages and names of what left the spool. Raises StateDirectoryUnusable."""
        with undisturbed(), self._lock:
            for lineage, name in segments:
                for notes in self._repositories.values():
                    notes.get("recorded", {}).get(lineage, {}).pop(name, None)
            self._write()

    def add_events(self, lineage: str, events: t.Sequence[StreamEvent], *, repositories: t.Sequence[str]) -> None:
        """Keep *events* until each of *repositories* has a record of them; durable. Raises StateDirectoryUnusable."""
        if not events:
            return
        with undisturbed(), self._lock:
            known = [event["event"] for event in self._events]
            self._events += [
                {"lineage": lineage, "event": event_values(event), "missing": list(repositories)}
                for event in events
                if event_values(event) not in known
            ]
            self._write(durable=True)

    def events_for(self, repository: str, lineage: str) -> tuple[StreamEvent, ...]:
        """Those of the lineage that the repository has no record of, oldest first."""
        with undisturbed(), self._lock:
            return tuple(
                event_from(event["event"], "event")
                for event in self._events
                if event["lineage"] == lineage and repository in event["missing"]
            )

    def lineages_with_events(self, repository: str) -> tuple[str, ...]:
        """The lineages of which :meth:`events_for` has something."""
        with undisturbed(), self._lock:
            return tuple(dict.fromkeys(event["lineage"] for event in self._events if repository in event["missing"]))

    def note_events(self, repository: str, lineage: str, events: t.Sequence[StreamEvent]) -> None:
        """A record of *events* is durable there. Raises StateDirectoryUnusable."""
        if not events:
            return
        told = [event_values(event) for event in events]
        with undisturbed(), self._lock:
            for event in self._events:
                if event["lineage"] == lineage and event["event"] in told and repository in event["missing"]:
                    event["missing"].remove(repository)
            self._events = [event for event in self._events if event["missing"]]
            self._write()

    def keep_repositories(self, names: t.Collection[str]) -> None:
        """Forget repositories that the job no longer has; nobody would ever tell them."""
        with undisturbed(), self._lock:
            self._repositories = {name: notes for name, notes in self._repositories.items() if name in names}
            for event in self._events:
                event["missing"] = [name for name in event["missing"] if name in names]
            self._events = [event for event in self._events if event["missing"]]

    def _write(self, *, durable: bool = False) -> None:
        self._state.write(_FOLDER, self._name, {"repositories": self._repositories, "events": self._events})
        if not durable:
            return
        folder = self._state.folder(_FOLDER)
        try:
            descriptor = os.open(os.path.join(folder, self._name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            fsync_folder(folder)
        except OSError as error:
            raise self._state.unusable(folder, error) from error


def read_notes(state: StateDirectory, name: str) -> dict[str, t.Any]:
    """The notes as they are, empty where there are none; for looking at."""
    with contextlib.suppress(StateDirectoryUnusable):
        return state.read(_FOLDER, f"{name}.json") or {}
    return {}


def _is_event(value: t.Any) -> bool:
    try:
        event_from(value["event"], "event")
        return isinstance(value["lineage"], str) and isinstance(value["missing"], list)
    except (KeyError, TypeError, ValueError):
        return False
