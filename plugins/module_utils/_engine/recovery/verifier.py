# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database room and the verification agree on: how one kind of backup is listed, brought to life and questioned.

Levels: 2 the payloads decode and their own tools' formats are whole (:meth:`Verifier.listing`); 3 they restore into a
scratch instance (:meth:`Verifier.scratch`); 4 it is questioned (:class:`Instance`). Levels 0 and 1 need no database.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field

from ..catalog.manifest import Manifest
from ..core.host import Host
from ..core.progress import Progress
from .payload_source import PayloadSource
from .questions import Answer, Check, Question
from .scratch import Scratch


@dataclass(frozen=True)
class VerifierNeeds:
    """What a verification of this backup at level 3 needs here: *bytes* of disk (an estimate), *tools* by name."""

    bytes: int
    facts: t.Mapping[str, t.Any] = field(default_factory=dict)


class Instance(t.Protocol):
    """A restored backup that runs in a scratch folder and answers on loopback or a socket of its own."""

    @property
    def facts(self) -> t.Mapping[str, t.Any]:
        """Versions and the like, JSON values, for the verification's document."""

    def compare(self) -> t.Iterator[Check]:
        """Level 4: hold it against what the manifest noted (counts, digests) and against itself (amcheck)."""

    def require(self, names: t.Sequence[str]) -> t.Iterator[Check]:
        """Level 4: each collection or table that must be there."""

    def ask(self, question: Question) -> Answer:
        """Level 4: the answer to a user's question. Raises QuestionFailed when it can't be asked."""


class Verifier(t.Protocol):
    """One kind of backup. Made of the backup's manifest and the options of the verification."""

    engine: str
    kind: str

    def inspect(self, *, level: int) -> VerifierNeeds:
        """Whether this host can verify the backup at *level*. Raises ToolMissing, ToolTooOld and the room's errors."""

    def listing(self, *, source: PayloadSource, progress: Progress) -> t.Iterator[Check]:
        """Level 2: read every payload to its end: its own format's checksums and structure, names against the manifest.

        Yields what was looked at; raises PayloadDamaged, PayloadTooLarge, DecryptionFailed, and the room's own errors
        for formats that are broken.
        """

    def scratch(
        self, *, source: PayloadSource, scratch: Scratch, progress: Progress
    ) -> contextlib.AbstractContextManager[Instance]:
        """Level 3: restore into the scratch folder and start it, cut off from everything outside; entered, it is ready.

        Raises what restoring raises, and the room's error when the server does not come up. Progress stages are called
        "fetching and loading", "starting"; their seconds are the measured time to recover.
        """


@dataclass(frozen=True)
class VerifierContext:
    """What a verifier may need to know of the run. *chain* as in :class:`recovery.restorer.RestorerContext`."""

    manifest: Manifest
    host: Host
    chain: tuple[PayloadSource, ...] = ()


VerifierFactory = t.Callable[[VerifierContext], Verifier]
