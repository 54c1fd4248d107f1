# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the jobs of a series have made themselves: members of sets lie beside it and go with their sets."""

from __future__ import annotations

import typing as t

from ..catalog.catalog import Backup, Selection, read_catalog
from ..catalog.layout import Series
from ..catalog.set_members import SET_LABEL
from ..storage.base import Storage

#: So many of the newest are read at first, and then: nearly always the first is one of the job's own.
_AT_ONCE: tuple[int | None, ...] = (1, 8, None)


def newest_own(storages: t.Mapping[str, Storage], series: Series) -> Backup | None:
    """The newest that is no member of a set; None where there is none, or where something could not be read.

    A member is kept as long as its set, whatever the job itself says: it never stands for a backup of the job's.
    """
    for newest in _AT_ONCE:
        reading = read_catalog(
            storages,
            selection=Selection(service=series.service, source=series.source, kind=series.kind, newest=newest),
        )
        if reading.problems:
            return None
        own = [one for one in reading.backups if SET_LABEL not in one.manifest.labels]
        if own:
            return own[-1]
        if newest is None or len(reading.backups) < newest:
            return None
    return None
