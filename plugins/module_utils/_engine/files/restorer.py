# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files brought back: beside what is there, or in its place."""

from __future__ import annotations

from ..core.errors import RequestInvalid
from ..recovery.restorer import Restorer, RestorerContext
from .app_beside import AppBesideRestorer
from .app_in_place import AppInPlaceRestorer
from .beside import BesideRestorer
from .in_place import InPlaceRestorer
from .redeploy import Redeploying
from .restore_options import ALL, FilesRestoreOptions

APP = "app"


def make_restorer(*, kind: str, options: FilesRestoreOptions, context: RestorerContext) -> Restorer:
    """The restorer that *options* ask for. Raises RequestInvalid."""
    if kind != APP and options.take != ALL:
        raise RequestInvalid(
            f"take is for backups of the kind {APP}; those of the kind {kind} are files and nothing else.",
            hint="Leave take out.",
        )
    if not options.in_place:
        beside = AppBesideRestorer if kind == APP else BesideRestorer
        return beside(kind=kind, options=options, context=context)
    in_place = AppInPlaceRestorer if kind == APP else InPlaceRestorer
    made = in_place(kind=kind, options=options, context=context)
    return Redeploying(made, options.redeploy, context=context) if options.redeploy else made
