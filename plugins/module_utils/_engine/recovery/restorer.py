# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database room and the restore operation agree on: the way back of :mod:`pipeline.producer`.

A *restorer* knows how to bring one kind of backup back to one target. It first inspects (reads only, refuses early),
then names the steps, each with its way back. The operation runs them, keeps the ledger and undoes them on failure.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.errors import LifeboatError
from ..core.host import Host
from ..core.progress import Progress
from ..core.state import StateDirectory
from .payload_source import PayloadSource
from .recovery_planner import SegmentReader
from .steps import Step


@dataclass(frozen=True)
class RestoreInspection:
    """What a look at backup and target found, before anything is changed anywhere.

    *replaces* is the name of existing data that is moved aside, None when nothing that exists is touched: whoever asks
    for the restore must then repeat it as ``confirm``. *stops* names units or servers that are stopped meanwhile,
    *moves* says what becomes of what ("dump.rdb -> dump.rdb.before-ID"), *places* where data goes besides the target.
    *needed_bytes* is an estimate of the space needed at the target, *free_bytes* what is there, None where nobody can
    tell. *versions* says in words what the backup was made of and what it goes to, which fit: what does not is refused.
    """

    facts: t.Mapping[str, t.Any]
    steps: tuple[str, ...]
    replaces: str | None = None
    stops: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    needed_bytes: int = 0
    free_bytes: int | None = None
    versions: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Restoration:
    """What came of a restore: *content* in the room's own words (counts, versions), *where* it is ("database
    family_recovery on 127.0.0.1:27017"), *connect* the command that opens it, *aside* where the old data is. *error* is
    what failed after the data was right, so that nothing was taken back: it is told as loudly as any failure.
    """

    content: t.Mapping[str, t.Any]
    where: str
    connect: str = ""
    aside: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default_factory=tuple)
    error: LifeboatError | None = None


class Restorer(t.Protocol):
    """One kind of backup, brought back to one target.

    It is made of options (JSON values) and of the restore's id, so that it can be made again after a death.
    """

    engine: str
    kind: str

    @property
    def target(self) -> str:
        """What is restored into, by the name that people know and confirm; the target's lock has it too."""

    def inspect(self, *, source: PayloadSource) -> RestoreInspection:
        """Read the facts of the target, compare them with the manifest, refuse what can't become a good restore.

        Changes nothing.
        """

    def steps(self, *, source: PayloadSource, progress: Progress) -> t.Sequence[Step]:
        """The steps, in order. Names are the same for the same options: they are looked up in the ledger of then."""

    def outcome(self, *, facts: t.Mapping[str, t.Mapping[str, t.Any]]) -> Restoration:
        """What came of it, after the last step; *facts* holds what each step noted, by name."""

    def discard(self, *, facts: t.Mapping[str, t.Mapping[str, t.Any]]) -> tuple[str, ...]:
        """Remove for ever what was moved aside; says what was removed. Called for an explicit request only."""


@dataclass(frozen=True)
class RestorerContext:
    """What a restorer may need to know of the run.

    *restore_id* is unique and sorts by time; what is moved aside is named with it. *chain* holds the backups that an
    increment builds on, the full one first, without the increment itself. *segments* are those to be replayed behind
    the backup, with the plan that chose them; None for a plain restore.
    """

    restore_id: str
    host: Host
    state: StateDirectory
    chain: tuple[PayloadSource, ...] = ()
    segments: SegmentReader | None = None


RestorerFactory = t.Callable[[RestorerContext], Restorer]
