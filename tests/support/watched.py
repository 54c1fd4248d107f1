# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose backups are looked at: real repositories in folders with manifests and verifications of given times."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import Manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import (
    CopyResult,
    Verification,
    verification_key,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    Description,
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.status_report import (
    StatusReport,
    read_report,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.clocks import START, FakeClock
from tests.support.manifests import manifest, payload

#: The clock of tests stands at 02:00; the day's backup of 02:00 was made a day before.
NOW = START + datetime.timedelta(hours=3)


class Watched:
    """Two repositories, a state directory, and a description of them."""

    def __init__(self, folder: pathlib.Path, *, now: datetime.datetime = NOW, sources: t.Sequence[t.Any] = ()) -> None:
        self.folder = folder
        self.now = now
        self.state = StateDirectory(path=str(folder / "state"))
        self.sources = list(sources) or [mongodb_source()]
        self.objectives: dict[str, str] = {"rpo": "1d", "rto": "1h"}
        self.known_since: datetime.datetime | None = None
        for name in ("local", "offsite"):
            (folder / name).mkdir(parents=True)

    @property
    def mapping(self) -> dict[str, t.Any]:
        """The description as it would be written."""
        return {
            "lifeboat_settings": {"state_directory": str(self.folder / "state")},
            "lifeboat_repositories": {
                name: {"type": "file", "path": str(self.folder / name)} for name in ("local", "offsite")
            },
            "lifeboat_services": [{"name": "family", "objectives": self.objectives, "sources": self.sources}],
        }

    @property
    def description(self) -> Description:
        """The same, checked."""
        return load_description(self.mapping)

    def backup(
        self,
        hours_ago: float,
        *,
        size: int = 1_000_000,
        seconds: float = 60.0,
        repositories: t.Sequence[str] = ("local", "offsite"),
        **changes: t.Any,
    ) -> Manifest:
        """Put a backup (family/main/full) there that was begun so long ago. Only its manifest counts here."""
        started = (self.now - datetime.timedelta(hours=hours_ago)).replace(microsecond=0)
        backup_id = f"{started:%Y%m%dT%H%M%SZ}-{abs(hash((hours_ago, str(changes)))) % 0xFFFFFF:06x}"
        dump = dataclasses.replace(payload("dump.archive.zst", b""), size=size, plain_size=3 * size)
        made = manifest(
            backup_id=backup_id,
            finished=started + datetime.timedelta(seconds=seconds),
            payloads=(dump,),
            **{"labels": {}, **changes},
        )
        for name in repositories:
            self.storage(name).put(made.folder.manifest_key, made.as_bytes())
        return made

    def verification(
        self, made: Manifest, *, hours_ago: float, level: int = 4, passed: bool = True, recovery: float | None = 300.0
    ) -> Verification:
        """Say what came of proving it."""
        started = self.now - datetime.timedelta(hours=hours_ago)
        error = (
            None
            if passed
            else {"code": "verify.failed", "message": "17 rows are <missing>.", "hint": "", "details": {}}
        )
        found = Verification(
            verification_id=f"{started:%Y%m%dT%H%M%SZ}-{abs(hash(hours_ago)) % 0xFFFFFF:06x}",
            backup_id=made.backup_id,
            manifest_checksum=str(made.as_dict()["checksum"]),
            level=level,
            reached=level if passed else 2,
            repository="local",
            copies={"local": CopyResult(reached=1)},
            checks=(),
            error=error,
            started=started,
            finished=started + datetime.timedelta(seconds=400),
            host="db1.example.org",
            user="root",
            lifeboat_version="0.1.0",
            recovery_seconds=recovery if passed else None,
            plain_bytes=made.plain_bytes,
        )
        key = verification_key(made.folder, found.verification_id)
        self.storage("local").put(key, found.as_bytes())
        return found

    def ran(self, job: str = "family.main.full", *, state: str = "failed", hours_ago: float = 1.0) -> None:
        """Note a run of the host."""
        moment = (self.now - datetime.timedelta(hours=hours_ago)).isoformat().replace("+00:00", "Z")
        error = {"code": "mongodb.unreachable", "message": "No answer.", "hint": "Look.", "details": {}}
        record = {"state": state, "started": moment, "finished": moment, "error": error if state == "failed" else None}
        self.state.append_record(job, record)

    def storage(self, name: str) -> LocalStorage:
        """A repository."""
        return LocalStorage(path=str(self.folder / name))

    def report(self, *select: str) -> StatusReport:
        """What the status says."""
        host = Host(clock=FakeClock(self.now), name="db1")
        return read_report(self.description, host=host, select=select, known_since=self.known_since)

    def attention(self, *select: str) -> list[tuple[str, str]]:
        """The names of what needs attention, and whom each is about."""
        return [(one["name"], one["what"]) for one in self.report(*select).document["attention"]]


def mongodb_source(**changes: t.Any) -> dict[str, t.Any]:
    """family/main: a full backup each day at 02:00."""
    return {
        "name": "main",
        "engine": "mongodb",
        "connection": {"uri_file": "/nowhere"},
        "backups": [
            {
                "kind": "full",
                "schedule": "0 2 * * *",
                "repositories": ["local", "offsite"],
                "keep": {"within": "30d"},
            }
        ],
        **changes,
    }
