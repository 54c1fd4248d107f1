# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is stored of a lineage below its floor, hour by hour: what names it, and what it names. Reads only."""

from __future__ import annotations

import functools
import itertools
import typing as t
from dataclasses import dataclass, field

from ..core.errors import LifeboatError, StorageNotFound, StreamError
from ..storage.base import Storage
from ..streams.hours import get_index
from ..streams.index import objects_in_index
from ..streams.layout import StreamFolder, is_hour
from ..streams.record import NamedObject, parse_record
from .ahead import Stopping, in_order, workers

_PARALLEL_READS = 8
_AHEAD = 2 * _PARALLEL_READS
_SUFFIX = ".json"


@dataclass
class Leavings:
    """One hour below the floor, or a part of it: *records* and *indexes* are keys, and *objects* all that they name.

    *problems* are records and indexes that can't be read, and that are not among these.
    """

    hour: str
    objects: list[NamedObject] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    problems: list[LifeboatError] = field(default_factory=list)


def indexed_leavings(storage: Storage, folder: StreamFolder, *, floor: str) -> t.Generator[Leavings, None, None]:
    """The hours that have an index, by that alone. Raises what the storage raises; see :func:`loose_leavings`."""
    with workers(_PARALLEL_READS, stopping=Stopping()) as pool:
        hours = _hours_below(storage, folder.index_prefix, floor=floor)
        for hour, future in in_order(pool, functools.partial(_index, storage, folder), hours, ahead=_AHEAD):
            found = Leavings(hour=hour)
            try:
                data = future.result()
                if isinstance(data, LifeboatError):
                    raise data
                key = folder.index_key(hour)
                ids, found.objects = objects_in_index(data, folder=folder, hour=hour, key=key)
                found.records = [folder.record_key(hour, record_id) for record_id in ids]
                found.indexes = [key]
            except StorageNotFound:
                continue  # another run was faster
            except StreamError as error:
                found.problems.append(error)
            yield found


def loose_leavings(
    storage: Storage, folder: StreamFolder, *, floor: str, without: t.Container[str]
) -> t.Generator[Leavings, None, None]:
    """The records that are there, one by one, but for the hours *without*: those that had no index, or came late."""
    keys = _keys_below(storage, folder.records_prefix, floor=floor, without=without)
    with workers(_PARALLEL_READS, stopping=Stopping()) as pool:
        answers = in_order(pool, functools.partial(_record, storage, folder), keys, ahead=_AHEAD)
        for hour, group in itertools.groupby(answers, key=lambda one: _hour_in(one[0], folder.records_prefix)):
            found = Leavings(hour=hour)
            for key, future in group:
                answer = future.result()
                if isinstance(answer, LifeboatError):
                    found.problems.append(answer)
                elif answer is not None:
                    found.records.append(key)
                    found.objects += answer
            yield found


def _index(storage: Storage, folder: StreamFolder, hour: str) -> bytes | LifeboatError:
    try:
        return get_index(storage, folder, hour)
    except StorageNotFound as error:
        return error


def _record(storage: Storage, folder: StreamFolder, key: str) -> list[NamedObject] | LifeboatError | None:
    try:
        record = parse_record(storage.get(key), folder=folder, key=key)
    except StorageNotFound:
        return None  # another run was faster
    except StreamError as error:
        return error
    return [NamedObject(one.name, one.description.group, one.payload.name, one.payload.size) for one in record.segments]


def _hours_below(storage: Storage, prefix: str, *, floor: str) -> t.Iterator[str]:
    for found in storage.list(prefix):
        name = found.key[len(prefix) :]
        if name >= floor:
            return
        if name.endswith(_SUFFIX) and is_hour(name[: -len(_SUFFIX)]):
            yield name[: -len(_SUFFIX)]


def _keys_below(storage: Storage, prefix: str, *, floor: str, without: t.Container[str]) -> t.Iterator[str]:
    for found in storage.list(prefix):
        hour = _hour_in(found.key, prefix)
        if hour >= floor:
            return
        if is_hour(hour) and hour not in without and found.key.endswith(_SUFFIX):
            yield found.key


def _hour_in(key: str, prefix: str) -> str:
    return key[len(prefix) :].partition("/")[0]
