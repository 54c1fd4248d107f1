# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules and the command line share when they ask for backups: repositories, filters, objectives.

Apart from what answers them, so that a module carries to its host only what it runs.
"""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.catalog import Selection
from ..core.clock import parse_time
from ..core.description.duration import parse_duration
from ..core.errors import RequestInvalid
from ..core.ids import is_backup_id
from .backup_values import RepositoryRequest


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
