# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module ``backup_status`` to a status."""

from __future__ import annotations

import datetime
import os
import typing as t

from ..core.description.description import Description, load_description, read_description
from ..core.description.objectives import unmet_objectives
from ..core.host import Host
from .status_report import read_report


def read_status_from(options: t.Mapping[str, t.Any], *, host: Host) -> dict[str, t.Any]:
    """``status`` (the document), ``well`` and ``unmet_objectives``.

    *options* hold ``description`` (as an inventory has it) or ``config`` (a file), and ``jobs``. Raises what reading
    the description and :func:`read_report` raise.
    """
    path = options.get("config")
    description = read_description(path) if path else load_description(options["description"])
    report = read_report(
        description, host=host, select=tuple(options.get("jobs") or ()), known_since=written(path) if path else None
    )
    return {"status": report.document, "well": report.document["well"], "unmet_objectives": unmet(description)}


def unmet(description: Description) -> list[dict[str, str]]:
    """The objectives that the schedules can't meet."""
    return [one.as_dict() for one in unmet_objectives(description.services)]


def written(path: str) -> datetime.datetime | None:
    """When a file was written: since when its jobs are described. None when it can't be looked at."""
    try:
        moment = os.stat(path).st_mtime
    except OSError:
        return None
    return datetime.datetime.fromtimestamp(moment, tz=datetime.timezone.utc)
