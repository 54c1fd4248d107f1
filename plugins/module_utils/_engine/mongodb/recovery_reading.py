# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far back a plan looks into the oplog: to the dump that it will begin with. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.catalog import Backup
from ..recovery.recovery_target import RecoveryTarget
from .recovery_bases import Unfit, recovery_base
from .recovery_planner import stop_position


def reads_since(bases: t.Sequence[Backup], target: RecoveryTarget) -> datetime.datetime | None:
    """When the newest dump before the target was begun; None: what is older may have a say.

    That is so for the latest, which is where the oplog ends that reaches furthest, from whichever dump. Raises
    RequestInvalid for targets of other engines.
    """
    stop = stop_position(target)
    if stop is None:
        return None
    found = [(one, backup) for backup in bases if not isinstance(one := recovery_base(backup), Unfit)]
    before = [(one.position, one.backup_id, backup) for one, backup in found if one.usable_from < stop]
    if not before:
        return None
    return max(before, key=lambda each: each[:2])[2].manifest.started
