# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of the kind static on a real tree and real folders as repositories, run in this process."""

from __future__ import annotations

import datetime
import json
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files import reading
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.remembered import Shelf
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.walk import Found
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import plan_backup, run_backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    BackupPlan,
    BackupRequest,
    BackupResult,
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.kinds import KINDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restore import run_restore
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restore_values import (
    RestoreRequest,
    RestoreResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify import run_verifications
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify_values import (
    Proof,
    VerifyRequest,
    VerifyResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import Transforms

SERIES = Series(service="shop", source="media", kind="static")


class AheadClock(SystemClock):
    """The machine's clock, *ahead* of it: what was written just now was written long ago."""

    ahead = datetime.timedelta(hours=1)

    def now(self) -> datetime.datetime:
        return super().now() + self.ahead


class StaticSite:
    """*tree* is backed up into the folders *repositories*."""

    def __init__(self, directory: pathlib.Path, tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.tree = tree
        self.repositories = ["local"]
        self.clock = AheadClock()
        self.journal = MemoryJournal()
        self.options: dict[str, t.Any] = {}
        self.state = StateDirectory(path=str(directory / "state"))
        self.opened: list[str] = []
        open_file = reading._opened

        def opened(found: Found) -> t.BinaryIO:
            self.opened.append(found.path.rpartition("/")[2])
            return open_file(found)

        monkeypatch.setattr(reading, "_opened", opened)

    @property
    def host(self) -> Host:
        """Who runs it."""
        return Host(clock=self.clock, journal=self.journal, name="web1")

    @property
    def shelf(self) -> Shelf:
        """What is remembered."""
        return Shelf(state=self.state, series=SERIES)

    @property
    def notes(self) -> list[pathlib.Path]:
        """The files of what is remembered."""
        return sorted((self.directory / "state" / "files" / "shop.media").iterdir())

    def run(self, **more: t.Any) -> BackupResult:
        """Make a backup, a minute after the one before. *more* are fields of the request."""
        self.clock.ahead += datetime.timedelta(minutes=1)
        self.opened.clear()
        return run_backup(self._request(more), host=self.host)

    def plan(self, **more: t.Any) -> BackupPlan:
        """What it would be."""
        self.opened.clear()
        return plan_backup(self._request(more), host=self.host)

    def listed(self, result: BackupResult) -> dict[str, dict[str, t.Any]]:
        """The list, by the end of each path."""
        lines = (self.folder(result) / "files.jsonl").read_bytes().splitlines()
        documents = [json.loads(line) for line in lines]
        return {str(document["path"]).rpartition("/")[2]: document for document in documents}

    def folder(self, result: BackupResult, repository: str = "local") -> pathlib.Path:
        """Where a backup lies."""
        return self.directory / repository / result.manifest.folder.key("")

    def restore(self, *, before: datetime.datetime | None = None, **options: t.Any) -> RestoreResult:
        """The newest, or the newest before a time."""
        return run_restore(
            RestoreRequest(
                repositories=self._repositories,
                selection=Selection(service="shop", source="media", kind="static", before=before),
                options=options,
                point="newest",
                confirm="files on web1",
                state_directory=self.state.path,
            ),
            host=self.host,
        )

    def verify(self, level: int, *, backup_id: str | None = None) -> VerifyResult:
        """The newest backup or that one, up to that level."""
        return run_verifications(
            VerifyRequest(
                repositories=self._repositories,
                selection=Selection(service="shop", source="media", kind="static", backup_id=backup_id),
                proof=Proof(level=level),
                scratch_directory=str(self.directory / "scratch"),
                state_directory=self.state.path,
            ),
            host=self.host,
        )

    @property
    def _repositories(self) -> tuple[RepositoryRequest, ...]:
        return tuple(
            RepositoryRequest(
                name=name, description={"type": "file", "path": str(self.directory / name), "create": True}
            )
            for name in self.repositories
        )

    def _request(self, more: t.Mapping[str, t.Any]) -> BackupRequest:
        kind = KINDS["files", "static"]
        return BackupRequest(
            series=SERIES,
            engine="files",
            repositories=self._repositories,
            make_producer=kind.factory({"connection": {"paths": [str(self.tree)]}, **self.options}),
            transforms=Transforms(compression=None),
            state_directory=self.state.path,
            parent_kinds=kind.parent_kinds,
            **more,
        )
