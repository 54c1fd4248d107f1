# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old a segment's object may be that no record names yet, and still be recorded (ADR 72).

Retention sweeps such objects when they are older than the sweep age, which is two days at least
(``prune_values.LEAST_SWEEP_AGE``). Who finds one takes it for its own while it is younger than a day, and records
within half a day what it stored or found; else it stores the segment once more, under another name. So nothing that a
sweep may remove is ever recorded. The age is the storage's own: its time of the object against its own clock.
"""

from __future__ import annotations

import datetime

from ..core.clock import Clock
from ..core.errors import StorageError, StorageForbidden, StorageUnreachable
from ..storage.base import ObjectInfo, Storage

TAKEN_WITHIN = datetime.timedelta(days=1)
RECORDED_WITHIN = datetime.timedelta(hours=12)


def may_be_taken(found: ObjectInfo, *, now: datetime.datetime) -> bool:
    """Whether an object without a record is young enough to be recorded; *now* is the storage's time."""
    return now - found.modified < TAKEN_WITHIN


def may_be_recorded(stored: datetime.datetime, *, now: datetime.datetime) -> bool:
    """Whether what was stored, or found, at *stored* may still be recorded as it is; both by our clock."""
    return abs(now - stored) <= RECORDED_WITHIN


def time_of_storage(storage: Storage, *, clock: Clock) -> datetime.datetime | None:
    """The storage's time, None where it does not say. Raises StorageForbidden, StorageUnreachable."""
    try:
        return clock.now() + datetime.timedelta(seconds=storage.clock_skew())
    except (StorageForbidden, StorageUnreachable):
        raise
    except StorageError:
        return None
