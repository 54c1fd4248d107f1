# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Having a service stay recoverable to one of its labels, whatever the policies say, and taking that back."""

from __future__ import annotations

import contextlib
import datetime
import typing as t
from dataclasses import dataclass, field, replace

from ..core.clock import format_time
from ..core.errors import LabelInvalid, LifeboatError, PinInvalid, RequestInvalid, StorageNotFound
from ..core.host import Host
from ..core.ids import new_backup_id
from ..recovery.label import Label, label_key, labels_folder, parse_label
from ..recovery.label_pin import LabelPin, label_pin_in, parse_label_pin, unreadable_label_pin
from ..retention.values import Pin, PinnedPoint
from ..storage.base import Storage
from .labels import find_label
from .pins import require_to_come, take_away

Source = tuple[str, str]


@dataclass(frozen=True)
class LabelPinResult:
    """What became of *pins*, made or taken away: *repositories* are those in which it is so; *errors* says why not.

    *label* is None when its pins were taken away, and it was not there itself.
    """

    service: str
    name: str
    label: Label | None
    pins: tuple[LabelPin, ...]
    repositories: tuple[str, ...]
    errors: t.Mapping[str, LifeboatError]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "service": self.service,
            "label": self.name,
            "instant": format_time(self.label.made) if self.label else None,
            "pins": [pin.as_dict() for pin in self.pins],
            "repositories": list(self.repositories),
            "errors": {name: error.as_dict() for name, error in self.errors.items()},
        }


@dataclass(frozen=True)
class PinnedPoints:
    """What one repository's pins of labels ask for: *points* by service and source; *problems* can't be read.

    *backups* are those of files, by id.
    """

    points: t.Mapping[Source, tuple[PinnedPoint, ...]] = field(default_factory=dict)
    backups: t.Mapping[str, tuple[Pin, ...]] = field(default_factory=dict)
    problems: tuple[LifeboatError, ...] = ()


def pin_label(
    storages: t.Mapping[str, Storage],
    service: str,
    name: str,
    *,
    reason: str,
    by: str,
    host: Host,
    until: datetime.datetime | None = None,
) -> LabelPinResult:
    """Have all sources of the label stay recoverable to it until *until*, or until it is unpinned.

    Raises RequestInvalid before anything is written, LabelInvalid when there is no such label, and the first error of
    a repository when none took the pin.
    """
    now = host.clock.now()
    if not reason.strip():
        raise RequestInvalid(
            "A pin needs a reason: somebody will ask why all of this is still there.",
            hint=f"lifeboat pin --label {service}/{name} --reason 'before the migration'",
        )
    require_to_come(until, now=now)
    label = find_label(name, service=service, storages=storages)
    pin = LabelPin(
        pin_id=new_backup_id(now=now),
        service=service,
        label=name,
        reason=reason.strip(),
        by=by,
        host=host.name,
        made=now,
        until=until,
    )

    def put(storage: Storage) -> None:
        try:
            storage.stat(label.key)
        except StorageNotFound:
            storage.put(label.key, label.as_bytes())  # a pin without its label says nothing of any moment
        storage.put(pin.key, pin.as_bytes())

    empty = LabelPinResult(service=service, name=name, label=label, pins=(pin,), repositories=(), errors={})
    return _everywhere(storages, put, empty)


def unpin_label(
    storages: t.Mapping[str, Storage], service: str, name: str, *, pin_id: str | None = None
) -> LabelPinResult:
    """Take pins of the label away from all of *storages*: that one, or all, also where the label itself is gone.

    Raises RequestInvalid when there are none, and the first error of a repository when none could be changed.
    """
    label = None
    with contextlib.suppress(LifeboatError):  # nobody needs it to take its pins away
        label = find_label(name, service=service, storages=storages)
    pins: dict[str, LabelPin] = {}
    errors: list[LifeboatError] = []
    for storage in storages.values():
        try:
            found = _pins_in(storage, service)[0]
        except LifeboatError as error:
            errors.append(error)  # taking away says so again, unless there is nothing to take away
            continue
        for pin in found:
            if pin.label == name and pin_id in (None, pin.pin_id):
                pins.setdefault(pin.key, pin)
    if not pins and errors:
        raise errors[0]
    if not pins:
        raise RequestInvalid(
            f"The label {service}/{name} has no pin{f' {pin_id}' if pin_id else ''}.",
            hint=f"lifeboat pin --label {service}/{name} --reason WHY makes one.",
        )
    empty = LabelPinResult(
        service=service, name=name, label=label, pins=tuple(pins.values()), repositories=(), errors={}
    )
    return _everywhere(storages, lambda storage: take_away(storage, list(pins)), empty)


def pinned_points(storage: Storage, services: t.Iterable[str]) -> PinnedPoints:
    """What the pins of labels in one repository ask for. Reads only; problems are part of the answer.

    A point is the moment at which its source was asked for its part of the label, so that the part is behind it.
    """
    points: dict[Source, tuple[PinnedPoint, ...]] = {}
    backups: dict[str, tuple[Pin, ...]] = {}
    problems: list[LifeboatError] = []
    for service in services:
        try:
            pins, unreadable = _pins_in(storage, service)
        except LifeboatError as error:
            problems.append(error)
            continue
        problems += unreadable
        for pin in pins:
            key = label_key(service, pin.label)
            try:
                label = parse_label(storage.get(key), key=key)
            except StorageNotFound:
                problems.append(
                    LabelInvalid(
                        f"The label {service}/{pin.label} is pinned, and it is not there.",
                        hint="Bring it back: lifeboat copy. Or take the pin away: "
                        f"lifeboat unpin --label {service}/{pin.label}",
                        details={"key": key},
                    )
                )
                continue
            except LifeboatError as error:
                problems.append(error)
                continue
            reason = f"label {pin.label}, {pin.reason}"
            for one in label.points:
                place = (service, one.source)
                points[place] = (*points.get(place, ()), PinnedPoint(one.asked, reason, pin.until))
            for files in label.files:
                own = Pin(pin_id=pin.pin_id, reason=reason, made=pin.made, until=pin.until)
                backups[files.backup_id] = (*backups.get(files.backup_id, ()), own)
    return PinnedPoints(points=points, backups=backups, problems=tuple(problems))


def _pins_in(storage: Storage, service: str) -> tuple[list[LabelPin], list[LifeboatError]]:
    pins: list[LabelPin] = []
    problems: list[LifeboatError] = []
    for found in storage.list(labels_folder(service)):
        if label_pin_in(found.key) is None:
            continue
        try:
            pins.append(parse_label_pin(storage.get(found.key), key=found.key))
        except StorageNotFound:
            continue  # taken away meanwhile
        except PinInvalid as error:
            pins.append(unreadable_label_pin(found.key))
            problems.append(error)
    return pins, problems


def _everywhere(
    storages: t.Mapping[str, Storage],
    change: t.Callable[[Storage], None],
    result: LabelPinResult,
) -> LabelPinResult:
    for name, storage in storages.items():
        try:
            change(storage)
        except LifeboatError as error:
            result = replace(result, errors={**result.errors, name: error})
        else:
            result = replace(result, repositories=(*result.repositories, name))
    if not result.repositories:
        raise next(iter(result.errors.values()))
    return result
