# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog as data, and what runs just now: for the module ``backup_info`` and for ``lifeboat list``."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Reading, Selection, read_catalog
from ..catalog.layout import Series
from ..core.clock import parse_time
from ..core.description.duration import parse_duration
from ..core.errors import RequestInvalid
from ..core.host import Host
from ..core.ids import is_backup_id
from ..core.state import DEFAULT_STATE_DIRECTORY, StateDirectory, running_jobs
from ..storage.registry import open_storage
from .backup_values import RepositoryRequest
from .choosing import require_one_readable
from .finishing import open_restores
from .recovery_times import SeriesForecast, read_forecasts


@dataclass(frozen=True)
class InformationRequest:
    """Which repositories to read, and what is asked for."""

    repositories: tuple[RepositoryRequest, ...]
    selection: Selection
    manifests: bool = False
    objectives: t.Mapping[str, datetime.timedelta] = field(default_factory=dict)
    state_directory: str = DEFAULT_STATE_DIRECTORY

    def objective_of(self, series: Series) -> datetime.timedelta | None:
        """The recovery time objective of the kind, else of its source."""
        source = f"{series.service}/{series.source}"
        return self.objectives.get(f"{source}/{series.kind}") or self.objectives.get(source)

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any]) -> InformationRequest:
        """From the options of ``backup_info``. Raises RequestInvalid for times and ids that are none."""
        return cls(
            repositories=repository_requests(options["repositories"]),
            selection=selection_from(options),
            manifests=bool(options.get("manifests")),
            objectives=objectives_from(options.get("objectives") or {}),
            state_directory=options.get("state_directory", DEFAULT_STATE_DIRECTORY),
        )


@dataclass(frozen=True)
class Information:
    """What was found."""

    reading: Reading
    running: tuple[t.Mapping[str, t.Any], ...]
    restores: tuple[t.Mapping[str, t.Any], ...] = ()
    forecasts: tuple[SeriesForecast, ...] = ()
    with_manifests: bool = False

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values: ``backups``, ``problems``, ``running``, ``restores``, ``forecasts``."""
        backups = []
        for backup in self.reading.backups:
            manifest = {"manifest": backup.manifest.as_dict()} if self.with_manifests else {}
            backups.append({**backup.as_dict(), **manifest})
        return {
            "backups": backups,
            "problems": [problem.as_dict() for problem in self.reading.problems],
            "running": [dict(document) for document in self.running],
            "restores": [dict(document) for document in self.restores],
            "forecasts": [forecast.as_dict() for forecast in self.forecasts],
        }


def read_information(request: InformationRequest, *, host: Host) -> Information:
    """Read it all. Raises StorageAllFailed when not one repository could be read."""
    storages = {
        repository.name: open_storage(
            repository.description, name=repository.name, clock=host.clock, runner=host.runner
        )
        for repository in request.repositories
    }
    reading = read_catalog(storages, selection=request.selection)
    require_one_readable(reading, storages)
    for problem in reading.problems:
        host.journal.warning(str(problem))
    state = StateDirectory(path=request.state_directory)
    return Information(
        reading=reading,
        running=tuple(running_jobs(state)),
        restores=tuple(open_restores(state)),
        forecasts=read_forecasts(
            reading,
            storages=storages,
            selection=request.selection,
            state=state,
            objective_of=request.objective_of,
        ),
        with_manifests=request.manifests,
    )


def repository_requests(options: t.Sequence[t.Mapping[str, t.Any]]) -> tuple[RepositoryRequest, ...]:
    """From a list of ``{name: ..., type: ..., ...}``."""
    return tuple(
        RepositoryRequest(
            name=str(option["name"]), description={key: value for key, value in option.items() if key != "name"}
        )
        for option in options
    )


def objectives_from(options: t.Mapping[str, t.Any]) -> dict[str, datetime.timedelta]:
    """From ``{service/source: 2h, service/source/kind: 30m}``. Raises RequestInvalid and DurationInvalid."""
    for name in options:
        if str(name).count("/") not in (1, 2):
            raise RequestInvalid(
                f"objectives: {name!r} is no source.", hint="Write SERVICE/SOURCE: 2h or SERVICE/SOURCE/KIND: 30m."
            )
    return {str(name).strip("/"): parse_duration(value) for name, value in options.items()}


def selection_from(options: t.Mapping[str, t.Any]) -> Selection:
    """From the filters that module and command line share. Raises RequestInvalid."""
    before = None
    if options.get("before"):
        try:
            before = parse_time(str(options["before"]))
        except ValueError as error:
            raise RequestInvalid(
                f"before: {error}", hint="Write RFC 3339 with a zone, for example 2026-11-21T02:00:00Z."
            ) from error
    backup_id = options.get("id")
    if backup_id is not None and not is_backup_id(str(backup_id)):
        raise RequestInvalid(
            f"{backup_id!r} is not a backup id.",
            hint="Ids look like 20261121T020000Z-4f2c91; lifeboat list shows them.",
        )
    newest = options.get("newest")
    if newest is not None and int(newest) < 1:
        raise RequestInvalid(f"newest is {newest}; it must be at least 1.")
    return Selection(
        service=options.get("service"),
        source=options.get("source"),
        engine=options.get("engine"),
        kind=options.get("kind"),
        backup_id=backup_id,
        state=options.get("state"),
        before=before,
        newest=None if newest is None else int(newest),
    )
