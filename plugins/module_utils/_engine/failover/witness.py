# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in the repository that is a witness: what each server says of its lease, and the marks of failovers.

No clock of one host is held against that of another. The marks are judged by the ledger in the same repository: a mark
alone says no more than that there is something to read.
"""

from __future__ import annotations

import datetime
import json
import typing as t
import urllib.parse
from dataclasses import dataclass

from ..core.errors import FailoverError, StorageExists, StorageNotFound
from ..storage.base import Storage
from .entry import is_run, run_number
from .ledger import Storages

FORMAT, FORMAT_VERSION = "lifeboat-lease", 1
#: It is renewed; its server was stopped; nothing is promised any more.
HELD, RELEASED, WITHDRAWN = "held", "released", "withdrawn"
_LARGEST = 64 * 1024


@dataclass(frozen=True)
class Said:
    """What the server on *host* says of its lease. *round* counts the renewals of one *session*, *lease* is in seconds.

    *at* is its own clock, for people. *knows* is the newest failover that it knew when it took the lease, *obeyed* the
    one because of which it was stopped.
    """

    host: str
    state: str
    session: str
    round: int
    lease: float
    at: str
    knows: str = ""
    obeyed: str = ""

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "host": self.host,
            "state": self.state,
            "session": self.session,
            "round": self.round,
            "lease": self.lease,
            "at": self.at,
            "knows": self.knows,
            "obeyed": self.obeyed,
        }


@dataclass(frozen=True)
class Witness:
    """The objects about *source* of *service* in the repository called *repository*."""

    repository: str
    storage: Storage
    service: str
    source: str

    @property
    def storages(self) -> Storages:
        """For those who read its ledger."""
        return {self.repository: self.storage}

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.service}/{self.source}"

    def said(self, host: str) -> Said | None:
        """What the server on *host* said last; None when it never said anything. Raises what reading raises."""
        try:
            data = self.storage.get(self._said_key(host), limit=_LARGEST)
        except StorageNotFound:
            return None
        return _parsed(data, key=self._said_key(host))

    def say(self, said: Said) -> None:
        """Replace what was said before. Raises what storing raises: it may be there all the same, whole."""
        self.storage.put(self._said_key(said.host), _bytes(said.as_dict()), if_absent=False)

    def age(self, host: str, *, now: datetime.datetime) -> float:
        """Seconds since the server said anything, to about one, by the storage's clock. Raises StorageNotFound."""
        moment = now + datetime.timedelta(seconds=self.storage.clock_skew())
        return max(0.0, (moment - self.storage.stat(self._said_key(host)).modified).total_seconds())

    def marks(self) -> tuple[str, ...]:
        """The failovers that have taken the lease from whom they replace, in their order."""
        names = (one.key[len(self._marks) :].removesuffix(".json") for one in self.storage.list(self._marks))
        return tuple(sorted((name for name in names if is_run(name)), key=_number))

    def mark(self, run: str, *, host: str, at: str) -> None:
        """Put down that *run* takes it from *host*. One that is there already is as good: a run has one plan."""
        document = {"format": FORMAT, "format_version": FORMAT_VERSION, "run": run, "host": host, "at": at}
        try:
            self.storage.put(f"{self._marks}{run}.json", _bytes(document))
        except StorageExists:
            return

    # Never under lock, as all that is the repository's own: it is written every few seconds.
    @property
    def _folder(self) -> str:
        return f".lifeboat/witness/{self.service}/{self.source}/"

    @property
    def _marks(self) -> str:
        return f"{self._folder}taken/"

    def _said_key(self, host: str) -> str:
        return f"{self._folder}held/{urllib.parse.quote(host, safe='').replace('%', '=')}.json"


def _number(run: str) -> int:
    return run_number(run) or 0


def _bytes(document: t.Mapping[str, t.Any]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("utf-8")


def _parsed(data: bytes, *, key: str) -> Said:
    try:
        document = json.loads(data.decode("utf-8"))
        if document["format"] != FORMAT or document["format_version"] != FORMAT_VERSION:
            raise ValueError(f"its format is {document['format']!r} {document['format_version']!r}")
        said = Said(
            **{name: str(document[name]) for name in ("host", "state", "session", "at", "knows", "obeyed")},
            round=int(document["round"]),
            lease=float(document["lease"]),
        )
        if said.state not in (HELD, RELEASED, WITHDRAWN):
            raise ValueError(f"its state is {said.state!r}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FailoverError(
            f"What {key} says of a lease can't be read: {error}.",
            hint="See by what version of Lifeboat that server is run.",
        ) from error
    return said
