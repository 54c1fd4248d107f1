# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command of the operator's own that is run after a restore in place: it restarts what uses the files."""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import replace

from ..core.errors import CommandFailed, CommandTimedOut, RedeployFailed, ToolMissing
from ..core.progress import Progress
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import Restoration, RestoreInspection, Restorer, RestorerContext
from ..recovery.steps import Facts, Step

_REDEPLOY = "redeploy"
_TIMEOUT = 1800.0


class Redeploying:
    """See :class:`recovery.restorer.Restorer`. As *restorer*, and afterwards *argv*, without a shell.

    The command never comes out of a backup: whoever can write to a repository must not choose what hosts run. When it
    fails the restore is finished all the same, for the files are right; the failure is the result's error.
    """

    def __init__(self, restorer: Restorer, argv: t.Sequence[str], *, context: RestorerContext) -> None:
        self.engine = restorer.engine
        self.kind = restorer.kind
        self._restorer = restorer
        self._argv = tuple(argv)
        self._host = context.host
        self._restore_id = context.restore_id

    @property
    def target(self) -> str:
        """See Restorer."""
        return self._restorer.target

    def inspect(self, *, source: PayloadSource) -> RestoreInspection:
        """See Restorer."""
        looked = self._restorer.inspect(source=source)
        return replace(looked, facts={**looked.facts, _REDEPLOY: self._command}, steps=(*looked.steps, self._title))

    def steps(self, *, source: PayloadSource, progress: Progress) -> t.Sequence[Step]:
        """See Restorer."""
        last = Step(
            name=_REDEPLOY,
            title=self._title,
            do=lambda _facts: self._run(source),
            undo=self._tell,
        )
        return (*self._restorer.steps(source=source, progress=progress), last)

    def outcome(self, *, facts: t.Mapping[str, Facts]) -> Restoration:
        """See Restorer."""
        made = self._restorer.outcome(facts=facts)
        told = facts[_REDEPLOY]
        error = None
        if told["failed"]:
            error = RedeployFailed(
                f"The files are restored, but then {told['failed']}",
                hint=f"Look why, and run by hand: {self._command}. The way back: lifeboat restore --roll-back "
                f"{self._restore_id} --confirm '{self.target}'",
                details={"command": self._command, "restore": self._restore_id},
            )
        return replace(made, content={**made.content, _REDEPLOY: dict(told)}, error=error)

    def discard(self, *, facts: t.Mapping[str, Facts]) -> tuple[str, ...]:
        """See Restorer."""
        return self._restorer.discard(facts=facts)

    @property
    def _command(self) -> str:
        return shlex.join(self._argv)

    @property
    def _title(self) -> str:
        return f"run {self._command}"

    def _run(self, source: PayloadSource) -> Facts:
        """Again after a death in its middle, as a deployment would."""
        manifest, clock = source.manifest, self._host.clock
        environment = {
            "LIFEBOAT_RESTORE": self._restore_id,
            "LIFEBOAT_BACKUP": manifest.backup_id,
            "LIFEBOAT_JOB": manifest.folder.series.folder.rstrip("/"),
            "LIFEBOAT_VERSION_RESTORED": str(manifest.content.get("version") or ""),
        }
        started, failed = clock.monotonic(), None
        try:
            self._host.runner.run(self._argv, environment=environment, timeout=_TIMEOUT)
        except (CommandFailed, CommandTimedOut, ToolMissing, OSError) as error:
            failed = str(error.args[0] if isinstance(error, OSError) else error.message)
            self._host.journal.warning(f"{self._command} failed: {failed}")
        else:
            self._host.journal.info(f"{self._command} ended well.")
        return {"command": self._command, "failed": failed, "seconds": round(clock.monotonic() - started, 3)}

    def _tell(self, facts: Facts) -> None:
        if facts:
            self._host.journal.warning(
                f"{self._command} is not run again by itself: run it when the files of before are back."
            )
