# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether all that the records of one lineage name is there, by one listing and in constant memory."""

from __future__ import annotations

import itertools
import typing as t

from ..core.clock import Clock
from ..core.errors import Interrupted, LifeboatError, StorageError, StorageNotFound
from ..storage.base import ObjectInfo
from ..streams.by_hour import HourOfRecords
from ..streams.layout import StreamFolder, is_hour
from ..streams.segment import Segment
from ..streams.unrecorded import may_be_taken
from .ahead import in_order, workers
from .check_backups import is_whole
from .check_values import Looking
from .copy_object import Expected, Place
from .name_table import NameTable
from .recorded_hours import read_hours

_BATCH = 1000


class LineageCheck:
    """One lineage of one repository; used by one thread."""

    def __init__(self, folder: StreamFolder, *, place: Place, looking: Looking, clock: Clock) -> None:
        self._folder = folder
        self._place = place
        self._looking = looking
        self._clock = clock
        self._names = NameTable()

    def check(self, objects: t.Iterable[ObjectInfo]) -> None:
        """Hold the records against *objects*, which is all that lies below the lineage, as it is listed.

        Raises StorageError when the records can't be listed.
        """
        self._looking.looked.lineages += 1
        try:
            self._read_records()
            segments_prefix = f"{self._folder.prefix}segments/"
            iterator = iter(objects)
            while True:
                batch = list(itertools.islice(iterator, _BATCH))
                if not batch:
                    break
                self._hold_against([found for found in batch if found.key.startswith(segments_prefix)])
                for found in batch:
                    if not found.key.startswith(segments_prefix) and not self._is_ours(found.key):
                        self._looking.findings.add(
                            "orphan",
                            found.key,
                            f"{found.size} bytes that no stream knows",
                            hint="Look what it is: nothing removes it by itself.",
                        )
            self._tell_missing()
        finally:
            self._names.close()

    def _read_records(self) -> None:
        share = self._looking.request.share
        for hour in read_hours(self._place.storage, self._folder, clock=self._clock):
            self._looking.stopping.check()
            for problem in hour.problems:
                self._looking.findings.add(
                    "record-unreadable",
                    str(problem.details.get("key", self._folder.prefix)),
                    problem.message,
                    hint=problem.hint,
                )
            objects = _objects(self._folder, hour)
            self._looking.looked.segments += len(objects)
            self._names.add((key, one.payload.size, _number(hour.hour)) for key, one in objects.items())
            if share is not None:
                self._read_data([(key, one) for key, one in objects.items() if share.takes(key)])

    def _read_data(self, objects: t.Sequence[tuple[str, Segment]]) -> None:
        if not objects:
            return
        parallel = self._looking.request.parallel
        with workers(parallel, stopping=self._looking.stopping) as pool:
            for (key, segment), future in in_order(pool, self._read_one, objects, ahead=2 * parallel):
                problem = future.result()
                self._looking.looked.segments_read += 1
                self._looking.looked.bytes_read += segment.payload.size
                if problem is not None:
                    self._looking.findings.add("segment-damaged", key, problem, hint=self._repair_hint())

    def _read_one(self, pair: tuple[str, Segment]) -> str | None:
        key, segment = pair
        try:
            return is_whole(
                Expected(key=key, size=segment.payload.size, sha256=segment.payload.sha256),
                place=self._place,
                looking=self._looking,
            )
        except StorageNotFound:
            return None  # the listing tells of it
        except Interrupted:
            raise
        except LifeboatError as error:
            return f"it could not be read: {error.message}"

    def _hold_against(self, stored: t.Sequence[ObjectInfo]) -> None:
        recorded = self._names.find([found.key for found in stored])
        now = self._clock.now()
        for found in stored:
            numbers = recorded.get(found.key)
            if numbers is None:
                if not may_be_taken(found, now=now):
                    self._looking.findings.add(
                        "segment-unrecorded",
                        found.key,
                        f"{found.size} bytes that no record which counts names",
                        hint="Nothing needs it: lifeboat prune sweeps it when it is older than a week.",
                    )
            elif numbers[0] != found.size:
                self._looking.findings.add(
                    "segment-size",
                    found.key,
                    f"{found.size} bytes are stored, and the record says {numbers[0]}",
                    hint=self._repair_hint(),
                )
        self._names.see(recorded)

    def _tell_missing(self) -> None:
        """What is recorded and was not listed, looked for once more: it may have been removed meanwhile."""
        unseen = {number for number, _count in self._names.unseen()}
        if not unseen:
            return

        def wanted(hour: str) -> bool:
            return _number(hour) in unseen

        for hour in read_hours(self._place.storage, self._folder, clock=self._clock, wanted=wanted):
            for key, segment in _objects(self._folder, hour).items():
                if self._names.is_unseen(key) and not self._is_there(key):
                    self._looking.findings.add(
                        "segment-missing",
                        key,
                        f"{segment.name} is recorded, and its {segment.payload.size} bytes are not there",
                        hint=self._repair_hint(),
                    )
                    self._names.see([key])  # recorded twice is missing once

    def _is_there(self, key: str) -> bool:
        if not self._looking.findings.is_told("segment-missing"):
            return False
        try:
            self._place.storage.stat(key)
        except StorageNotFound:
            return False
        except StorageError:
            return False
        return True

    def _is_ours(self, key: str) -> bool:
        folder, _slash, rest = key[len(self._folder.prefix) :].partition("/")
        if not key.endswith(".json"):
            return False
        if folder == "records":
            hour, _slash, name = rest.partition("/")
            return is_hour(hour) and bool(name) and "/" not in name
        return folder in ("index", "floors") and is_hour(rest[: -len(".json")])

    def _repair_hint(self) -> str:
        others = [one.name for one in self._looking.request.repositories if one.name != self._place.name]
        if not others:
            return f"See what can still be recovered to: lifeboat windows --repository {self._place.name}"
        return f"Bring it from another repository: lifeboat copy --to {self._place.name} --repair"


def _objects(folder: StreamFolder, hour: HourOfRecords) -> dict[str, Segment]:
    return {
        folder.segment_key(one.description.group, one.payload.name): one
        for record in hour.records
        for one in record.segments
    }


def _number(hour: str) -> int:
    return int(hour or 0)
