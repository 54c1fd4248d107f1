# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long recoveries took, and what that says of the next one: per series, against its objective."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, replace

from ..catalog.catalog import Backup, Reading, Selection, read_catalog
from ..catalog.layout import Series
from ..catalog.manifest import Manifest
from ..core.description.kinds import is_runnable
from ..core.errors import StateDirectoryUnusable
from ..core.state import StateDirectory
from ..recovery.ledger import FINISHED
from ..storage.base import Storage
from .forecast import Forecast, Observation, forecast

# Of a series that was asked for in part, so many of its newest backups are looked at for measured recoveries.
_LOOK_BACK = 10
# Options of restores that choose some of what is in a backup, and those that choose some of its databases.
_PARTS = ("collections", "paths", "schemas", "tables")
_DATABASES = ("database", "databases")
_NOBODYS = {"admin", "config", "local"}  # of MongoDB; nobody names them
MET, MISSED, UNKNOWN = "met", "missed", "unknown"

#: The recovery time objective of a series, None where it has none.
ObjectiveOf = t.Callable[[Series], t.Optional[datetime.timedelta]]


@dataclass(frozen=True)
class SeriesForecast:
    """What recovering the newest backup of a series will take (None: never measured), and what it may take."""

    series: Series
    engine: str
    backup_id: str
    plain_bytes: int | None
    forecast: Forecast | None
    objective: datetime.timedelta | None

    @property
    def verdict(self) -> str | None:
        """*met* or *missed*; *unknown* when there is an objective and no measurement; None without an objective."""
        if self.objective is None:
            return None
        if self.forecast is None:
            return UNKNOWN
        return MET if self.forecast.seconds <= self.objective.total_seconds() else MISSED

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values; seconds and bytes."""
        return {
            "job": self.series.folder.rstrip("/"),
            "engine": self.engine,
            "backup": self.backup_id,
            "plain_bytes": self.plain_bytes,
            "forecast": self.forecast.as_dict() if self.forecast else None,
            "objective_seconds": self.objective.total_seconds() if self.objective else None,
            "verdict": self.verdict,
        }


def read_forecasts(
    reading: Reading,
    *,
    storages: t.Mapping[str, Storage],
    selection: Selection,
    state: StateDirectory,
    objective_of: ObjectiveOf,
) -> tuple[SeriesForecast, ...]:
    """A forecast for each series that *reading* has a backup of, by name.

    *selection* is what *reading* was asked for. Measured were verifications at level 3 and above, found in the catalog,
    and the restores that this host made; where its notes can't be read, the catalog alone has to do.
    """
    narrowed = (selection.backup_id, selection.before, selection.newest, selection.state) != (None, None, None, None)
    if narrowed and reading.backups:
        whole = replace(selection, backup_id=None, before=None, state=None, newest=_LOOK_BACK)
        measured = read_catalog(storages, selection=whole).backups
    else:
        measured = reading.backups
    listed: dict[Series, Backup] = {}
    for backup in reading.backups:
        engine, kind = backup.manifest.engine, backup.manifest.kind
        if engine == "files" and not is_runnable(engine=engine, kind=kind):  # nothing measures how long they take
            continue
        listed[backup.manifest.folder.series] = backup
    by_series: dict[Series, list[Backup]] = {series: [] for series in listed}
    for backup in measured:
        by_series.get(backup.manifest.folder.series, []).append(backup)
    return tuple(
        SeriesForecast(
            series=series,
            engine=newest.manifest.engine,
            backup_id=newest.manifest.backup_id,
            plain_bytes=newest.manifest.restored_bytes,
            forecast=forecast(
                [*verified_recoveries(by_series[series] or [newest]), *restores_of(state, series)],
                plain_bytes=newest.manifest.restored_bytes,
            ),
            objective=objective_of(series),
        )
        for series, newest in sorted(listed.items(), key=_by_folder)
    )


def verified_recoveries(backups: t.Iterable[Backup]) -> list[Observation]:
    """The recoveries that verifications measured."""
    return [
        Observation(seconds=one.recovery_seconds, plain_bytes=one.plain_bytes)
        for backup in backups
        for one in backup.verifications
        if one.recovery_seconds is not None
    ]


def restores_of(state: StateDirectory, series: Series) -> list[Observation]:
    """The restores of the series that this host made; none where its notes can't be read."""
    try:
        records = state.records(restore_record_name(series))
    except StateDirectoryUnusable:
        return []
    return [
        Observation(seconds=float(record["seconds"]), plain_bytes=record.get("plain_bytes"))
        for record in records
        if record.get("state") == FINISHED
        and isinstance(record.get("seconds"), (int, float))
        and not record.get("part")
    ]


def restores_a_part(options: t.Mapping[str, t.Any], manifest: Manifest) -> bool:
    """Whether a restore with these options leaves some of the backup out: its time says nothing of the whole."""
    if any(options.get(key) for key in _PARTS):
        return True
    wanted = {name for key in _DATABASES for name in _names(options.get(key))}
    there = manifest.content.get("databases") or ()
    every = {str(one["name"]) if isinstance(one, t.Mapping) else str(one) for one in there} - _NOBODYS
    return bool(wanted) and not wanted >= every


def _names(value: t.Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(str(name) for name in value or ())


def restore_record_name(series: Series) -> str:
    """The run records of the restores of a series."""
    return f"{series.service}.{series.source}.{series.kind}.restore"


def _by_folder(item: tuple[Series, Backup]) -> str:
    return item[0].folder
