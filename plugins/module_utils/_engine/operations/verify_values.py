# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verification is asked to prove, and what came of it: the values of :mod:`verify`."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Backup, Selection
from ..catalog.verification import Verification
from ..core.errors import BackupNotProved, LifeboatError, RequestInvalid
from ..core.levels import LEVELS
from ..core.secrets import Secret
from ..core.state import DEFAULT_STATE_DIRECTORY
from ..recovery.questions import Question, question_from
from .backup_values import RepositoryRequest

DEFAULT_SCRATCH_DIRECTORY = "/var/tmp/lifeboat"  # noqa: S108 its folders are made anew, with random names
DEFAULT_MEMORY_LIMIT = 1024 * 1024 * 1024
NEWEST, UNVERIFIED, SAMPLE, DUE = "newest", "unverified", "sample", "due"
WHICH = (NEWEST, UNVERIFIED, SAMPLE, DUE)


@dataclass(frozen=True)
class Proof:
    """What is to be proved of each backup: the *level*, and for level 4 what must be there and what is asked.

    *options* are those of the verifiers (where to find programs ...), by engine.
    """

    level: int
    questions: tuple[Question, ...] = ()
    require: tuple[str, ...] = ()
    options: t.Mapping[str, t.Mapping[str, t.Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises RequestInvalid for a level that there is not."""
        if self.level not in LEVELS:
            raise RequestInvalid(
                f"There is no level {self.level} of verification.",
                hint="Levels: " + ", ".join(f"{number} {name}" for number, name in LEVELS.items()) + ".",
            )


@dataclass(frozen=True)
class VerifyRequest:
    """Which backups are verified now, how far, and where.

    *which*: newest (the newest *count* of each series), unverified (all that have no verification at the level),
    sample (*count* of each series at random), due (the newest *count* of each series without a passed verification at
    the level since *since*). A selection by id means that one. *proofs* say, by the name of a source, what is proved of
    the members of a set beside its level.
    """

    repositories: tuple[RepositoryRequest, ...]
    selection: Selection
    proof: Proof
    which: str = NEWEST
    count: int = 1
    since: datetime.datetime | None = None
    identity: Secret = field(default_factory=lambda: Secret(name="identity"))
    scratch_directory: str = DEFAULT_SCRATCH_DIRECTORY
    memory_limit: int = DEFAULT_MEMORY_LIMIT
    keep_scratch: bool = False
    state_directory: str = DEFAULT_STATE_DIRECTORY
    lock_timeout: float = 0.0
    proofs: t.Mapping[str, Proof] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises RequestInvalid."""
        if not self.repositories:
            raise RequestInvalid("There is no repository to verify backups of.", hint="Name at least one.")
        if self.which not in WHICH:
            raise RequestInvalid(f"{self.which!r} is no choice of backups.", hint=f"One of {', '.join(WHICH)}.")
        if self.count < 1:
            raise RequestInvalid(f"The number of backups is {self.count}; it must be at least 1.")


@dataclass(frozen=True)
class Outcome:
    """What came of one backup: a verification (passed or failed), or an error that let nobody tell."""

    backup: Backup
    verification: Verification | None
    error: LifeboatError | None = None

    @property
    def state(self) -> str:
        """*passed*, *failed*, or *error* when nobody could tell."""
        if self.verification is None:
            return "error"
        return "passed" if self.verification.passed else "failed"

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        manifest = self.backup.manifest
        return {
            "backup": manifest.backup_id,
            "job": manifest.folder.series.folder.rstrip("/"),
            "engine": manifest.engine,
            "state": self.state,
            "verification": self.verification.as_dict() if self.verification else None,
            "error": self.error.as_dict() if self.error else None,
        }


@dataclass(frozen=True)
class VerifyResult:
    """What came of all of them."""

    outcomes: tuple[Outcome, ...]
    problems: tuple[LifeboatError, ...] = ()

    @property
    def error(self) -> LifeboatError | None:
        """The loud part: anything but passed."""
        told = [f"{outcome.backup.manifest.backup_id}: {_reason(outcome)}" for outcome in self._bad]
        told += [problem.message for problem in self.problems]
        return self._error(" ".join(told)) if told else None

    @property
    def short_error(self) -> LifeboatError | None:
        """The same where each outcome and problem is told beside it."""
        return self._error("") if self._bad or self.problems else None

    @property
    def _bad(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.state != "passed"]

    def _error(self, told: str) -> LifeboatError:
        bad = self._bad
        parts = [f"{len(bad)} of {len(self.outcomes)} backups are not proved."] if bad else []
        if self.problems:
            parts.append(f"{len(self.problems)} places of the catalog could not be read: there may be more backups.")
        failed = [outcome.backup.manifest.backup_id for outcome in bad if outcome.verification is not None]
        return BackupNotProved(
            " ".join([*parts, told]).rstrip(),
            hint=f"Keep the older verified ones, and look closer: lifeboat show {failed[-1]}"
            if failed
            else "Mend what is named, then verify again: lifeboat verify --unverified",
            details={"outcomes": [outcome.as_dict() for outcome in bad]},
        )

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "outcomes": [outcome.as_dict() for outcome in self.outcomes],
            "problems": [problem.as_dict() for problem in self.problems],
        }


_REQUIRED = ("require_collections", "require_tables", "require_paths")


def proof_from(
    description: t.Mapping[str, t.Any],
    *,
    level: int | None = None,
    options: t.Mapping[str, t.Mapping[str, t.Any]] | None = None,
) -> Proof:
    """From the description's ``verify`` of a source; *level* instead of its own. Raises RequestInvalid."""
    questions = tuple(question_from(one) for one in description.get("questions") or ())
    names = [question.name for question in questions]
    if len(set(names)) != len(names):
        raise RequestInvalid(f"Two questions have the same name: {', '.join(names)}.")
    return Proof(
        level=int(description.get("level", 4)) if level is None else level,
        questions=tuple(question for question in questions if "verification" in question.ask),
        require=tuple(name for key in _REQUIRED for name in description.get(key) or ()),
        options=options or {},
    )


def _reason(outcome: Outcome) -> str:
    if outcome.error is not None:
        return outcome.error.message
    if outcome.verification is None:
        return "failed"
    errors = [outcome.verification.error, *(copy.error for copy in outcome.verification.copies.values())]
    return next((str(error.get("message")) for error in errors if error), "failed")
