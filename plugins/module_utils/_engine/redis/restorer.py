# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis backups brought back: beside what is there, or in its place."""

from __future__ import annotations

from ..recovery.restorer import Restorer, RestorerContext
from .beside import BesideRestorer
from .in_place import InPlaceRestorer
from .restore_options import RedisRestoreOptions
from .restored_data import BackupData


def make_restorer(*, kind: str, options: RedisRestoreOptions, context: RestorerContext) -> Restorer:
    """The restorer that *options* ask for."""
    if options.in_place:
        return InPlaceRestorer(data=BackupData(kind), options=options, context=context)
    return BesideRestorer(data=BackupData(kind), options=options, context=context)
