# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing a server for its backups: what is to be changed, and the way back, as all databases share it.

A room looks first and makes a list of steps; then it does them, or, in check mode, only shows them. What a step is
about to replace is noted in the host's state folder before, so that it can be put back.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass, field

from .state import DEFAULT_STATE_DIRECTORY, StateDirectory

_FOLDER = "prepared"

Json = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class PrepareRequest:
    """One source of the description. *connection* is the one of its jobs, *administrator* who may change the server.

    *kinds* are the kinds of backups that are made of it; *options* belong to the room. *absent* puts everything back,
    *check* only looks.
    """

    service: str
    source: str
    connection: Json
    administrator: Json = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    options: Json = field(default_factory=dict)
    absent: bool = False
    check: bool = False
    state_directory: str = DEFAULT_STATE_DIRECTORY


@dataclass(frozen=True)
class Change:
    """One thing that is or was changed, in words; no secret is in them."""

    what: str
    before: str
    after: str

    def as_dict(self) -> dict[str, str]:
        """As JSON values."""
        return {"what": self.what, "before": self.before, "after": self.after}


@dataclass(frozen=True)
class Step:
    """A change and what does it."""

    change: Change
    do: t.Callable[[], None]


@dataclass(frozen=True)
class Prepared:
    """What came of it. *restart_reasons* are sentences: without any, no restart is due.

    *account* is the one that was looked after, None where the jobs come as somebody else's. *unit* is the systemd unit
    of the server, None where that can't be told. *by_hand* is what only an operator can do, ready to type.
    """

    server: str
    account: str | None
    changes: tuple[Change, ...]
    restart_reasons: tuple[str, ...] = ()
    unit: str | None = None
    restart_command: str = ""
    by_hand: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "server": self.server,
            "account": self.account,
            "changes": [one.as_dict() for one in self.changes],
            "restart_needed": bool(self.restart_reasons),
            "restart_reasons": list(self.restart_reasons),
            "unit": self.unit,
            "restart_command": self.restart_command if self.restart_reasons else "",
            "by_hand": list(self.by_hand),
        }

    def as_texts(self) -> tuple[str, str]:
        """Before and after, one line for each change."""
        before = "".join(f"{one.what}: {one.before}\n" for one in self.changes)
        return before, "".join(f"{one.what}: {one.after}\n" for one in self.changes)


class PreparationNote:
    """What one source's server was like before: a JSON document in the host's state folder.

    It is written before the change that it is about, so that no crash leaves a change without its way back.
    """

    def __init__(self, *, engine: str, request: PrepareRequest) -> None:
        self._state = StateDirectory(request.state_directory)
        self._name = f"{engine}-{request.service}.{request.source}.json"
        self.content: dict[str, t.Any] = self._state.read(_FOLDER, self._name) or {}

    def part(self, name: str) -> dict[str, t.Any]:
        """A part of the note that can be added to; write() keeps it."""
        found: dict[str, t.Any] = self.content.setdefault(name, {})
        return found

    def write(self) -> None:
        """Make the note what is known now; an empty one is removed."""
        kept = {name: part for name, part in self.content.items() if part}
        if kept:
            self._state.write(_FOLDER, self._name, kept)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._state.path, _FOLDER, self._name))


def nothing_to_put_back(request: PrepareRequest) -> Prepared:
    """The result where nothing is noted: nobody has to be asked, so the server may be gone."""
    return Prepared(server=f"the server of {request.service}/{request.source}", account=None, changes=())


def run_steps(steps: t.Sequence[Step], *, check: bool) -> tuple[Change, ...]:
    """Do them in order, or nothing in check mode; the changes in either case."""
    if not check:
        for step in steps:
            step.do()
    return tuple(step.change for step in steps)
