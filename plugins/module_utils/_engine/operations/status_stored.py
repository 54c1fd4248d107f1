# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repositories hold of the sources that a status looks at, each object read once."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Reading, Selection, read_catalog
from ..catalog.layout import Series
from ..core.description.model import Source
from ..core.errors import LifeboatError
from ..core.host import Host
from ..core.secrets import Secret
from ..recovery.windows import Windows
from ..storage.base import Storage
from .choosing import Sources
from .recovering import StoredSource, read_source, windows_of
from .recovery_kinds import RECOVERABLE_ENGINES
from .ship_values import ShipRequest
from .stream_status import Known


@dataclass(frozen=True)
class Stored:
    """By ``service/source``: what was read of the catalog, and windows where there is a stream; streams by series."""

    readings: t.Mapping[str, Reading]
    streams: t.Mapping[Series, Known]
    windows: t.Mapping[str, Windows]


def read_stored(
    sources: t.Sequence[tuple[str, Source]],
    requests: t.Sequence[ShipRequest],
    *,
    storages: t.Mapping[str, Storage],
    host: Host,
) -> Stored:
    """Read it. *sources* come with the names of their services, *requests* are their streams."""
    by_source = _with_streams(requests, storages, host)
    readings = {name: one.reading for name, one in by_source.items()}
    for service, source in sources:
        name = f"{service}/{source.name}"
        used = {use.name for job in source.jobs if job.runnable for use in job.repositories}
        if name not in readings and used:
            asked = {key: storage for key, storage in storages.items() if key in used}
            readings[name] = read_catalog(asked, selection=Selection(service=service, source=source.name))
    windows: dict[str, Windows] = {}
    for request in requests:
        if request.source_name in by_source:
            with contextlib.suppress(LifeboatError):  # what is down has been said
                found = by_source[request.source_name]
                windows[request.source_name] = windows_of(found, storages, engine=request.engine)
    return Stored(
        readings=readings,
        streams={one.series: by_source[one.source_name].streams for one in requests if one.source_name in by_source},
        windows=windows,
    )


def _with_streams(
    requests: t.Sequence[ShipRequest], storages: t.Mapping[str, Storage], host: Host
) -> dict[str, StoredSource]:
    asked = Sources(storages=storages, host=host, identity=Secret(name="identity"))
    return {
        request.source_name: read_source(
            asked,
            Selection(service=request.series.service, source=request.series.source),
            engine=request.engine,
        )
        for request in requests
        if request.engine in RECOVERABLE_ENGINES
    }
