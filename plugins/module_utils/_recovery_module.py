# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules about points in time ask the engine. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.catalog.catalog import Selection
from ._engine.core.secrets import Secret
from ._engine.operations.catalog_requests import repository_requests
from ._engine.operations.choosing import Sources
from ._engine.operations.labels import (
    LabelSource,
    label_of_hosts,
    make_label,
    mark_sources,
    newest_files,
    require_new_label,
    store_label,
)
from ._engine.operations.recovering import source_windows
from ._engine.recovery.label import files_from, files_values, point_values, points_from

if t.TYPE_CHECKING:
    from ._engine.core.host import Host

Options = t.Mapping[str, t.Any]


def read_windows(options: Options, *, host: Host) -> dict[str, t.Any]:
    """What one source can be recovered to."""
    sources = _sources(options, host)
    selection = Selection(service=options["service"], source=options["source"])
    return source_windows(sources, selection, engine=options["engine"]).as_dict()


def make_one_label(options: Options, *, check_mode: bool, host: Host) -> dict[str, t.Any]:
    """Mark all sources and store the label; in check mode only look whether the name is free.

    Without *store* the sources are marked, and nothing else; with *points* those of all hosts are stored.
    """
    storages = _sources(options, host).storages
    name, service = options["name"], options["service"]
    if check_mode:
        require_new_label(name, service=service, storages=storages)
        return {"changed": True}
    if "points" in options:
        points = points_from(options["points"])
        files = files_from(options.get("files", ()))
        label = label_of_hosts(name, service=service, points=points, skew=options.get("skew_seconds"), files=files)
        result = store_label(label, storages=storages)
    else:
        marked = [
            LabelSource(name=one["name"], engine=one["engine"], connection=one["connection"])
            for one in options["sources"]
            if one["engine"] != "files"
        ]
        names = [one["name"] for one in options["sources"] if one["engine"] == "files"]
        if not options["store"]:
            require_new_label(name, service=service, storages=storages)
            files = newest_files(names, service=service, storages=storages, host=host)
            made = mark_sources(name, service=service, sources=marked, host=host) if marked or not names else ()
            return {
                "changed": True,
                "points": [point_values(point) for point in made],
                "files": [files_values(one) for one in files],
            }
        result = make_label(name, service=service, sources=marked, files=names, storages=storages, host=host)
    for repository, error in result.errors.items():
        host.journal.warning(f"{repository} did not take the label: {error.message} [{error.code}]")
    return {"changed": True, **result.as_dict()}


def _sources(options: Options, host: Host) -> Sources:
    return Sources.open(repository_requests(options["repositories"]), host=host, identity=Secret(name="identity"))
