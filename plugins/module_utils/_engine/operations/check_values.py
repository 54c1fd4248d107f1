# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look through repositories is asked for, and what it finds: the values of :mod:`repo_check`."""

from __future__ import annotations

import hashlib
import re
import threading
import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Selection
from ..core.errors import RequestInvalid
from ..core.progress import Progress
from .ahead import Stopping
from .backup_values import RepositoryRequest

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)

#: What can be found, and how bad it is: an *error* is data that can't be restored from this repository, a *warning*
#: something that should be there as well, a *note* takes space only.
FINDINGS: t.Mapping[str, str] = {
    "repository-unreadable": ERROR,
    "manifest-unreadable": ERROR,
    "payload-missing": ERROR,
    "payload-size": ERROR,
    "payload-damaged": ERROR,
    "parent-missing": ERROR,
    "member-missing": ERROR,
    "record-unreadable": ERROR,
    "segment-missing": ERROR,
    "segment-size": ERROR,
    "segment-damaged": ERROR,
    "copy-failed": WARNING,
    "copy-missing": WARNING,
    "notes-missing": WARNING,
    "document-unreadable": WARNING,
    "run-unfinished": NOTE,
    "removal-unfinished": NOTE,
    "upload-unfinished": NOTE,
    "segment-unrecorded": NOTE,
    "orphan": NOTE,
}
#: Of each kind of finding so many are told one by one; the rest is counted.
MOST_TOLD = 1000
_PARTS = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)\s*%")


@dataclass(frozen=True)
class Share:
    """Which objects are read byte by byte: the *part*-th of *of* equal parts, the same ones every time."""

    part: int = 1
    of: int = 1
    seed: str = ""

    def takes(self, key: str) -> bool:
        """Whether the object of that key belongs to it."""
        digest = hashlib.blake2b(f"{self.seed}{key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.of < self.part

    @classmethod
    def parse(cls, text: str, *, seed: str) -> Share:
        """From ``all``, ``10%`` (others every time: *seed*) or ``2/7`` (the second of seven, for one a day).

        Raises RequestInvalid.
        """
        percent, parts = _PERCENT.fullmatch(text.strip()), _PARTS.fullmatch(text.strip())
        if text == "all":
            return cls()
        if percent and 0 < float(percent[1]) <= 100:
            return cls(part=round(float(percent[1]) * 10_000), of=1_000_000, seed=seed)
        if parts and int(parts[1]) <= int(parts[2]):
            return Part(part=int(parts[1]), of=int(parts[2]))
        raise RequestInvalid(
            f"{text!r} is no share of the data.",
            hint="Write --read-data for all of it, --read-data=10% for some at random, --read-data=2/7 for the second "
            "of seven parts.",
        )


class Part(Share):
    """One of several parts that together are everything."""

    def takes(self, key: str) -> bool:
        """Whether the object of that key belongs to it."""
        digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.of == self.part - 1


@dataclass(frozen=True)
class CheckRequest:
    """Which repositories to look through, and what of them. *share* (None: nothing) is read byte by byte.

    *repositories* are all that there are, *only* the names of those that are looked through (empty: all).
    """

    repositories: tuple[RepositoryRequest, ...]
    only: tuple[str, ...] = ()
    selection: Selection = field(default_factory=Selection)
    share: Share | None = None
    parallel: int = 4

    def __post_init__(self) -> None:
        """Raises RequestInvalid for a repository that there is not."""
        names = [repository.name for repository in self.repositories]
        unknown = [name for name in self.only if name not in names]
        if unknown:
            raise RequestInvalid(f"There is no repository {unknown[0]}.", hint=f"Repositories: {', '.join(names)}.")

    @property
    def prefix(self) -> str:
        """What is listed: everything, or what is below a service, a source, a kind."""
        parts: list[str] = []
        for part in (self.selection.service, self.selection.source, self.selection.kind):
            if part is None:
                break
            parts.append(f"{part}/")
        return "".join(parts)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, where, and the command that does something about it."""

    code: str
    repository: str
    key: str
    message: str
    hint: str = ""

    @property
    def severity(self) -> str:
        """``error``, ``warning`` or ``note``."""
        return FINDINGS[self.code]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "code": self.code,
            "severity": self.severity,
            "repository": self.repository,
            "key": self.key,
            "message": self.message,
            "hint": self.hint,
        }


class Findings:
    """What was found in one repository: all counted, the first of each kind told. Safe for threads."""

    def __init__(self, *, repository: str, most: int = MOST_TOLD) -> None:
        self.repository = repository
        self.counts: dict[str, int] = {}
        self.told: list[Finding] = []
        self._most = most
        self._lock = threading.Lock()

    def add(self, code: str, key: str, message: str, *, hint: str = "") -> None:
        """Note one."""
        with self._lock:
            self.counts[code] = self.counts.get(code, 0) + 1
            if self.counts[code] <= self._most:
                self.told.append(Finding(code=code, repository=self.repository, key=key, message=message, hint=hint))

    def is_told(self, code: str) -> bool:
        """Whether the next one of that kind is told, and not only counted."""
        return self.counts.get(code, 0) < self._most


@dataclass
class Looked:
    """How much was looked at in one repository."""

    objects: int = 0
    bytes: int = 0
    backups: int = 0
    removed: int = 0  # copies of which only the note of their removal is left
    lineages: int = 0
    segments: int = 0
    payloads_read: int = 0
    segments_read: int = 0
    bytes_read: int = 0

    def as_dict(self) -> dict[str, int]:
        """As JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Looking:
    """What everybody who looks at a part of a repository is given."""

    request: CheckRequest
    findings: Findings
    looked: Looked
    progress: Progress
    stopping: Stopping


@dataclass(frozen=True)
class RepositoryChecked:
    """What was found in one repository."""

    name: str
    url: str
    looked: Looked
    counts: t.Mapping[str, int]
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def worst(self) -> str | None:
        """The worst severity of its findings; None when there are none."""
        there = {FINDINGS[code] for code in self.counts}
        return next((severity for severity in SEVERITIES if severity in there), None)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "url": self.url,
            "worst": self.worst,
            "looked_at": self.looked.as_dict(),
            "counts": dict(self.counts),
            "findings": [finding.as_dict() for finding in self.findings],
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class CheckResult:
    """What was found in all of them."""

    repositories: tuple[RepositoryChecked, ...]

    @property
    def exit_status(self) -> int:
        """1 when data can't be restored from a repository, 3 when something is lacking there, else 0."""
        there = {one.worst for one in self.repositories}
        return 1 if ERROR in there else 3 if WARNING in there else 0

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "exit_status": self.exit_status,
            "repositories": [one.as_dict() for one in self.repositories],
        }
