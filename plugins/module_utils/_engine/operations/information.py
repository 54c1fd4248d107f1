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
from ..core.host import Host
from ..core.state import DEFAULT_STATE_DIRECTORY, StateDirectory, running_jobs
from ..storage.registry import open_storage
from .backup_values import RepositoryRequest
from .catalog_requests import objectives_from, repository_requests, selection_from
from .choosing import require_one_readable
from .open_restores import open_restores
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
