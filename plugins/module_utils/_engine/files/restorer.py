# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files brought back: beside what is there, or in its place."""

from __future__ import annotations

from ..recovery.restorer import Restorer, RestorerContext
from .beside import BesideRestorer
from .in_place import InPlaceRestorer
from .restore_options import FilesRestoreOptions


def make_restorer(*, kind: str, options: FilesRestoreOptions, context: RestorerContext) -> Restorer:
    """The restorer that *options* ask for."""
    if options.in_place:
        return InPlaceRestorer(kind=kind, options=options, context=context)
    return BesideRestorer(kind=kind, options=options, context=context)
