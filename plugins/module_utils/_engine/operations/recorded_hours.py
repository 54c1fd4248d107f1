# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that one repository's records of one lineage name, hour by hour, with what its floor keeps."""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.clock import Clock
from ..core.errors import LifeboatError
from ..storage.base import Storage
from ..streams.by_hour import HourOfRecords, each_hour
from ..streams.floors import read_floor
from ..streams.hours import find_hours
from ..streams.layout import StreamFolder


def _every(_hour: str) -> bool:
    return True


def read_hours(
    storage: Storage, folder: StreamFolder, *, clock: Clock, wanted: t.Callable[[str], bool] = _every
) -> t.Iterator[HourOfRecords]:
    """What the floor keeps, as of the hour ``""``; then each hour for which *wanted* says yes, oldest first.

    Hours before the floor don't count. In constant memory. Raises what the storage raises when it can't be listed; what
    can't be read of an hour is a problem of it.
    """
    hours = find_hours(storage, folder, now=clock.now())
    always = _kept_by_floor(storage, folder, hours.floor)
    if hours.problem is not None:
        always = dataclasses.replace(always, problems=(*always.problems, hours.problem))
    if always.records or always.problems:
        yield always
    chosen = dataclasses.replace(
        hours,
        indexed=tuple(hour for hour in hours.indexed if wanted(hour)),
        loose=tuple(hour for hour in hours.loose if wanted(hour)),
    )
    with each_hour(storage, folder, chosen) as found:
        yield from found


def _kept_by_floor(storage: Storage, folder: StreamFolder, hour: str) -> HourOfRecords:
    if not hour:
        return HourOfRecords(hour="", records=())
    try:
        return HourOfRecords(hour="", records=read_floor(storage, folder, hour).records)
    except LifeboatError as error:
        return HourOfRecords(hour="", records=(), problems=(error,))
