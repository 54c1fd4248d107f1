# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore is asked to be, what it would do, and what became of it: the values of :mod:`restore`."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Selection
from ..core.errors import LifeboatError
from ..core.secrets import Secret
from ..core.state import DEFAULT_STATE_DIRECTORY
from ..recovery.recovery_planner import RecoveryPlan
from ..recovery.restorer import Restoration, RestoreInspection
from .backup_values import RepositoryRequest
from .choosing import NEWEST_VERIFIED, Choice
from .forecast import Forecast
from .recovering import RecoveryRequest

Options = t.Mapping[str, t.Any]
# Options whose values are secrets when they are given as such; their references (…_file, …_env, …_command) are not.
_SECRETS = ("password", "uri")


@dataclass(frozen=True)
class RestoreRequest:
    """One restore that is wanted now.

    *selection* names service, source and kind, and perhaps an id or a time; *point* says which of them (see
    :mod:`choosing`); with *recovery* a point in time says it instead. *options* are the restorer's. *confirm* repeats
    the name of what is replaced, where something is.
    """

    repositories: tuple[RepositoryRequest, ...]
    selection: Selection
    options: Options
    point: str = NEWEST_VERIFIED
    identity: Secret = field(default_factory=lambda: Secret(name="identity"))
    confirm: str | None = None
    allow_failed: bool = False
    state_directory: str = DEFAULT_STATE_DIRECTORY
    lock_timeout: float = 0.0
    recovery: RecoveryRequest | None = None


@dataclass(frozen=True)
class EarlierRestore:
    """A restore of before that is to be resumed, rolled back or tidied up. *options* bring secrets given by value."""

    restore_id: str
    repositories: tuple[RepositoryRequest, ...]
    options: Options = field(default_factory=dict)
    identity: Secret = field(default_factory=lambda: Secret(name="identity"))
    confirm: str | None = None
    state_directory: str = DEFAULT_STATE_DIRECTORY
    lock_timeout: float = 0.0


@dataclass(frozen=True)
class RestorePlan:
    """What the restore would do: shown by check mode and by --dry-run."""

    choice: Choice
    target: str
    inspection: RestoreInspection
    forecast: Forecast | None
    unfinished: tuple[str, ...] = ()  # earlier restores into this target that will be rolled back first
    recovery: RecoveryPlan | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        inspection = self.inspection
        return {
            "backup": self.choice.as_dict(),
            "recovery": recovery_as_dict(self.recovery) if self.recovery else None,
            "target": self.target,
            "replaces": inspection.replaces,
            "stops": list(inspection.stops),
            "moves": list(inspection.moves),
            "steps": list(inspection.steps),
            "facts": dict(inspection.facts),
            "needed_bytes": inspection.needed_bytes,
            "free_bytes": inspection.free_bytes,
            "versions": inspection.versions,
            "forecast": self.forecast.as_dict() if self.forecast else None,
            "unfinished": list(self.unfinished),
            "warnings": list(inspection.warnings),
        }


@dataclass(frozen=True)
class RestoreResult:
    """What became of it."""

    restore_id: str
    target: str
    state: str  # finished, rolled back, discarded
    backup: t.Mapping[str, t.Any]
    restoration: Restoration | None = None
    seconds: float = 0.0
    stages: t.Mapping[str, float] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def error(self) -> LifeboatError | None:
        """What failed once the data was right."""
        return self.restoration.error if self.restoration else None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        restoration = self.restoration
        return {
            "id": self.restore_id,
            "target": self.target,
            "state": self.state,
            "backup": dict(self.backup),
            "where": restoration.where if restoration else None,
            "connect": restoration.connect if restoration else None,
            "content": dict(restoration.content) if restoration else {},
            "aside": list(restoration.aside) if restoration else [],
            "removed": list(self.removed),
            "seconds": round(self.seconds, 3),
            "stages": dict(self.stages),
            "warnings": [*self.warnings, *(restoration.warnings if restoration else ())],
        }


def recovery_as_dict(plan: RecoveryPlan) -> dict[str, t.Any]:
    """A recovery's plan as JSON values: the target, what is replayed, and why it was chosen so."""
    segments = plan.segments
    return {
        "target": plan.target.as_dict(),
        "base": plan.base.manifest.backup_id if plan.base is not None else None,
        "lineage": plan.lineage,
        "segments": len(segments),
        "first_segment": segments[0].segment.name if segments else None,
        "last_segment": segments[-1].segment.name if segments else None,
        "stored_bytes": sum(one.segment.payload.size for one in segments),
        "plain_bytes": sum(one.segment.payload.plain_size or 0 for one in segments),
        "why": list(plan.why),
        "warnings": list(plan.warnings),
        "facts": dict(plan.facts),
    }


def without_secrets(options: Options) -> dict[str, t.Any]:
    """The options as the ledger may keep them: secrets that were given by value are left out."""
    return {
        key: without_secrets(value) if isinstance(value, t.Mapping) else value
        for key, value in options.items()
        if not (key in _SECRETS and isinstance(value, str))
    }


def with_secrets(kept: Options, given: Options) -> dict[str, t.Any]:
    """The options that the ledger kept, with the secrets of *given* put in where they were left out."""
    merged = dict(kept)
    for key, value in given.items():
        if isinstance(value, t.Mapping) and isinstance(merged.get(key), t.Mapping):
            merged[key] = with_secrets(merged[key], value)
        elif key in _SECRETS and key not in merged:
            merged[key] = value
    return merged
