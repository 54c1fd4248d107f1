# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis as it was in a second: archived append-only files beside production, or in its place.

The two restorers of backups do it, in their order and with their way back; only the data comes from a stream. There is
no backup below it, so *source* is not looked at and may be None.
"""

from __future__ import annotations

import typing as t

from ..core.errors import RequestInvalid
from ..core.progress import Progress
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import Restoration, RestoreInspection, RestorerContext
from ..recovery.steps import Facts, Step
from .aof_log_data import AofLogData
from .beside import BesideRestorer
from .in_place import InPlaceRestorer
from .restore_options import RedisRestoreOptions


class AofLogRestorer:
    """See :class:`recovery.restorer.Restorer`."""

    engine = "redis"
    kind = "aof-log"

    def __init__(self, *, options: RedisRestoreOptions, context: RestorerContext) -> None:
        """Raises RequestInvalid for a context without segments."""
        if context.segments is None:
            raise RequestInvalid(
                "A recovery of Redis needs a plan: which base, and which pieces of append-only files.",
                hint="Run: lifeboat recover SERVICE/SOURCE --to-time 2026-11-21T14:03:00Z",
            )
        self._plan = context.segments.plan
        data = AofLogData(reader=context.segments, host=context.host)
        restorer = InPlaceRestorer if options.in_place else BesideRestorer
        self._inner: InPlaceRestorer | BesideRestorer = restorer(data=data, options=options, context=context)

    @property
    def target(self) -> str:
        """The folder, or the server that is replaced."""
        return self._inner.target

    def inspect(self, *, source: PayloadSource | None) -> RestoreInspection:
        """See Restorer. Raises what the restores of backups raise."""
        return self._inner.inspect(source=source)

    def steps(self, *, source: PayloadSource | None, progress: Progress) -> t.Sequence[Step]:
        """See Restorer."""
        return self._inner.steps(source=source, progress=progress)

    def outcome(self, *, facts: t.Mapping[str, Facts]) -> Restoration:
        """See Restorer; *content* says up to which second everything is in."""
        found = self._inner.outcome(facts=facts)
        reached = {"through": self._plan.facts["through"], "complete_through": self._plan.facts["complete_through"]}
        return Restoration(
            content={**found.content, **reached},
            where=found.where,
            connect=found.connect,
            aside=found.aside,
            warnings=(*found.warnings, *self._plan.warnings),
        )

    def discard(self, *, facts: t.Mapping[str, Facts]) -> tuple[str, ...]:
        """See Restorer."""
        return self._inner.discard(facts=facts)
