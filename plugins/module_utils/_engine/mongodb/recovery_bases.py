# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full dumps as what a recovery begins with: which moment they hold, and which they can't begin. Pure."""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup
from ..catalog.standing import FAILED, VERIFIED
from ..core.errors import LifeboatError
from . import consistency
from .noted_content import noted_content
from .timestamps import Position, position_text


@dataclass(frozen=True)
class RecoveryBase:
    """A dump that can be brought forward.

    It holds what happened up to *position* (and, where the tool did not note exactly when, perhaps what came up to
    *usable_from*), so a target must not be before *usable_from*. *database* is the only one that it has, None: all.
    Collections *outside* (``database.name``) are those that hold what they were at some moment between the two.
    """

    backup: Backup
    position: Position
    usable_from: Position
    database: str | None
    feature_compatibility: str | None
    replica_set_id: str | None
    outside: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for whoever plans with it."""
        if not self.outside:
            return ()
        names = ", ".join(self.outside[:5])
        return (f"Read outside of the backup's snapshot, at some moment of the dump: {names}.",)

    @property
    def backup_id(self) -> str:
        """The backup's id."""
        return self.backup.manifest.backup_id

    @property
    def is_verified(self) -> bool:
        """Whether it was restored and questioned with success."""
        return self.backup.state == VERIFIED


@dataclass(frozen=True)
class Unfit:
    """A dump that no recovery can begin with, and why."""

    backup: Backup
    reason: str


def recovery_base(backup: Backup) -> RecoveryBase | Unfit:
    """What a dump is to a recovery."""
    if backup.state == FAILED:
        return Unfit(backup, "it did not pass its verification")
    try:
        noted = noted_content(backup.manifest)
        how = backup.manifest.content["consistency"]
        found = _positions(backup, how)
    except (LifeboatError, KeyError, TypeError, ValueError) as error:
        return Unfit(backup, f"its manifest can't be read ({error})")
    if found is None:
        return Unfit(backup, "its collections stem from different moments (consistency: none)")
    position, usable_from, outside = found
    set_id = backup.manifest.content.get("replica_set_id")
    return RecoveryBase(
        backup=backup,
        position=position,
        usable_from=usable_from,
        database=noted.database,
        feature_compatibility=noted.feature_compatibility,
        replica_set_id=None if set_id is None else str(set_id),
        outside=outside,
    )


def _positions(backup: Backup, how: t.Mapping[str, t.Any]) -> tuple[Position, Position, tuple[str, ...]] | None:
    if how["mode"] == consistency.SNAPSHOT:
        moment = _position(how["cluster_time"])
        outside = tuple(str(name) for name in how.get("outside_snapshot") or ())
        if not outside:
            return moment, moment, ()
        # They were read at some moment before the end of the dump, after which they have what the oplog repeats.
        ended = backup.manifest.finished
        end = max(moment, (math.ceil(ended.timestamp()) + 1, 0))
        return moment, end, outside
    if how["mode"] == consistency.OPLOG:
        if how.get("oplog"):
            end = _position(how["oplog"]["end"])
            return end, end, ()
        if how.get("not_before") and how.get("not_after"):
            return _position(how["not_before"]), _position(how["not_after"]), ()
    return None


def _position(moment: t.Mapping[str, t.Any]) -> Position:
    return int(moment["t"]), int(moment["i"])


def shown(base: RecoveryBase) -> str:
    """For people: the id and the moment."""
    return f"{base.backup_id} (at {position_text(base.position)})"
