# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore's parts share: the target by its name, its connection, and the notes of the steps."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ..core.errors import RestoreLedgerInvalid
from ..core.host import Host
from ..core.progress import Progress
from ..recovery.ledger import Ledger
from ..recovery.restorer import RestorerContext
from .restore_names import RestoreNames
from .restore_options import NATIVE, MongoRestoreOptions
from .restore_target import TargetFacts, require_writable
from .uri import seeds
from .vendor_restore import find_mongorestore
from .vendor_tool import VendorTool

if t.TYPE_CHECKING:
    from .connection import Client


@dataclass(frozen=True)
class RestoreSession:
    """One restore: its options and what the operation gave it."""

    options: MongoRestoreOptions
    context: RestorerContext

    @property
    def host(self) -> Host:
        """Clock, processes and journal."""
        return self.context.host

    @property
    def names(self) -> RestoreNames:
        """The names that belong to this restore."""
        return RestoreNames(restore_id=self.context.restore_id)

    @property
    def servers(self) -> str:
        """``host:port,host:port`` of the URI. Raises what fetching it raises."""
        found = seeds(self.options.connection.fetch_uri(runner=self.host.runner))
        return ",".join(f"{host}:{port}" for host, port in found) or "an unknown server"

    @property
    def target(self) -> str:
        """What is restored into, by the name that people confirm."""
        options = self.options
        if options.is_whole:
            return f"mongodb{f' (*{options.suffix})' if options.suffix else ''} at {self.servers}"
        names = [options.database(name) for name in options.databases]
        for full in options.collections:
            database, _dot, name = full.partition(".")
            names.append(f"{options.database(database)}.{name}")
        return f"{', '.join(names)} at {self.servers}"

    @contextlib.contextmanager
    def look(self) -> t.Iterator[Client]:
        """A client of the target's primary. Raises RestoreTargetInvalid when it is none."""
        with contextlib.closing(self.options.connection.open(runner=self.host.runner)) as client:
            require_writable(client)
            yield client

    @contextlib.contextmanager
    def change(self) -> t.Iterator[Client]:
        """As look(), for the steps: it must be the server that the notes are about. Raises RestoreLedgerInvalid."""
        noted = self._ledger().target
        if noted != self.target:
            raise RestoreLedgerInvalid(
                f"The restore {self.context.restore_id} went into {noted}, and this one would go into {self.target}: "
                "its uri was given by value, and notes keep no secrets.",
                hint="Give it again: -o connection.uri=mongodb://...",
                details={"noted": noted},
            )
        with self.look() as client:
            yield client

    def facts(self, step: str) -> dict[str, t.Any]:
        """What was noted with a step, also in the process that finishes what another began."""
        return self._ledger().facts(step)

    def tool(self, facts: TargetFacts) -> VendorTool | None:
        """mongorestore, when it is to be used. Raises ToolMissing and ToolTooOld."""
        if self.options.tool == NATIVE:
            return None
        return find_mongorestore(
            runner=self.host.runner,
            directory=self.options.tool_directory,
            server_version=facts.version,
            journal=self.host.journal,
        )

    def progress(self) -> Progress:
        """One that nobody is shown, for short looks into the archive."""
        return Progress(clock=self.host.clock)

    def _ledger(self) -> Ledger:
        return Ledger.load(state=self.context.state, clock=self.host.clock, restore_id=self.context.restore_id)
