# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of a failover's ledger: an object with the hash of the one before it, so that none is changed unseen."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from dataclasses import dataclass, field

from ..core.errors import FailoverLedgerInvalid

Json = t.Mapping[str, t.Any]

FORMAT, FORMAT_VERSION = "lifeboat-failover", 1
#: *opened* and *resumed* say who goes on; *intended*, *done* and *failed* are about a step; the last two end it.
OPENED, RESUMED, INTENDED, DONE, FAILED = "opened", "resumed", "intended", "done", "failed"
CLOSED, ABANDONED = "closed", "abandoned"
EVENTS = (OPENED, RESUMED, INTENDED, DONE, FAILED, CLOSED, ABANDONED)
_RUN = re.compile(r"(run|drill)-([0-9]{4,9})")
_ENTRY = re.compile(r"([0-9]{4})\.json")
LARGEST = 1024 * 1024


@dataclass(frozen=True)
class Operator:
    """Who writes: a person and the controller's host. *session* is random and tells two runs of one person apart."""

    name: str
    host: str
    session: str

    def __str__(self) -> str:
        return f"{self.name} on {self.host}"


@dataclass(frozen=True)
class Entry:
    """What happened, as number *number* of *run*. *previous* is the SHA-256 of the entry before, empty in the first."""

    service: str
    run: str
    number: int
    event: str
    at: str
    by: Operator
    previous: str
    step: str = ""
    data: Json = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Where it lies in a repository."""
        return f"{run_folder(self.service, self.run)}{self.number:04d}.json"

    @property
    def sha256(self) -> str:
        """The hash that the next entry names."""
        return hashlib.sha256(self.as_bytes()).hexdigest()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "service": self.service,
            "run": self.run,
            "number": self.number,
            "event": self.event,
            "step": self.step,
            "at": self.at,
            "by": {"name": self.by.name, "host": self.by.host, "session": self.by.session},
            "previous": self.previous,
            "data": dict(self.data),
        }

    def as_bytes(self) -> bytes:
        """The bytes of the stored object."""
        return (json.dumps(self.as_dict(), indent=1, sort_keys=True) + "\n").encode("utf-8")


def failovers_folder(service: str) -> str:
    """The key prefix of a service's failovers. No source can have a name that begins with a dot."""
    return f"{service}/.failover/"


def run_folder(service: str, run: str) -> str:
    """The key prefix of one failover."""
    return f"{failovers_folder(service)}{run}/"


def run_name(number: int, *, drill: bool = False) -> str:
    """Failovers are counted, so that two operators who begin at once want the same name, and one gets it.

    Drills are counted by themselves: one that was left open keeps nobody from a failover.
    """
    return f"{'drill' if drill else 'run'}-{number:04d}"


def run_number(name: str, *, drill: bool = False) -> int | None:
    """The number in the name of a failover, or of a drill; None when it is no such name."""
    found = _RUN.fullmatch(name)
    return int(found[2]) if found and (found[1] == "drill") == drill else None


def is_run(name: str) -> bool:
    """Whether it is the name of a failover or a drill."""
    return _RUN.fullmatch(name) is not None


def entry_number(name: str) -> int | None:
    """The number in the name of an entry's object; None when it is no such name."""
    found = _ENTRY.fullmatch(name)
    return int(found[1]) if found else None


def parse_entry(data: bytes, *, key: str) -> Entry:
    """The inverse of :meth:`Entry.as_bytes`. Raises FailoverLedgerInvalid for what is not a whole entry of that key."""
    try:
        document = json.loads(data[:LARGEST].decode("utf-8"))
        if document["format"] != FORMAT or document["format_version"] != FORMAT_VERSION:
            raise ValueError(f"its format is {document['format']!r} {document['format_version']!r}")
        entry = Entry(
            service=str(document["service"]),
            run=str(document["run"]),
            number=int(document["number"]),
            event=str(document["event"]),
            at=str(document["at"]),
            by=Operator(**{name: str(document["by"][name]) for name in ("name", "host", "session")}),
            previous=str(document["previous"]),
            step=str(document["step"]),
            data=dict(document["data"]),
        )
        if entry.event not in EVENTS or entry.key != key:
            raise ValueError("it describes another place, or no event")
        if entry.as_bytes() != data:
            raise ValueError("it was written anew by somebody")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FailoverLedgerInvalid(
            f"The entry {key} can't be trusted: {error}.",
            hint="Look at the copy in another repository before anything is promoted.",
            details={"key": key},
        ) from error
    return entry


def require_chain(entries: t.Sequence[Entry]) -> None:
    """Raises FailoverLedgerInvalid when one is missing, or names another one before it than there is."""
    previous = ""
    for number, entry in enumerate(entries):
        if entry.number != number or entry.previous != previous:
            raise FailoverLedgerInvalid(
                f"The ledger of {entry.service}'s {entry.run} is broken at {entry.key}: what comes before it was "
                "changed or is gone.",
                hint="Look at the copy in another repository before anything is promoted.",
                details={"key": entry.key},
            )
        previous = entry.sha256
