# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a service that tells: its description, its clock, what happens on it and what it then sends."""

from __future__ import annotations

import copy
import datetime
import pathlib
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    Description,
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify.delivery import Sent, send_waiting
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify.recorder import Recorder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify.values import Occurrence
from tests.support.clocks import START, FakeClock
from tests.support.watched import mongodb_source

JOB = "family/main/full"
ERROR = {"code": "mongodb.unreachable", "message": "No answer from db1.", "hint": "Start it."}


class Site:
    """The folder, the clock, and the notifications and alerts of the service ``family``."""

    def __init__(self, folder: pathlib.Path, *, start: datetime.datetime = START) -> None:
        self.folder = folder
        self.clock = FakeClock(start)
        self.host = Host(clock=self.clock, name="db1")
        self.notifications: dict[str, t.Any] = {}
        self.alerts: list[dict[str, t.Any]] = []
        self._checked: tuple[dict[str, t.Any], Description] | None = None

    @property
    def mapping(self) -> dict[str, t.Any]:
        """The description as it would be written."""
        return {
            "lifeboat_settings": {"state_directory": str(self.folder / "state")},
            "lifeboat_repositories": {
                name: {"type": "file", "path": str(self.folder / name)} for name in ("local", "offsite")
            },
            "lifeboat_services": [
                {
                    "name": "family",
                    "sources": [mongodb_source(backups=[_backup(), {**_backup(), "name": "other"}])],
                    "alerts": self.alerts,
                    "notifications": self.notifications,
                    "degraded_mode": {"essential": ["crisis support"], "disabled": ["analytics"], "message": "Less."},
                }
            ],
        }

    @property
    def description(self) -> Description:
        """The same, checked; once for as long as it stays the same."""
        mapping = self.mapping
        if self._checked is None or self._checked[0] != mapping:
            self._checked = (copy.deepcopy(mapping), load_description(mapping))
        return self._checked[1]

    @property
    def recorder(self) -> Recorder:
        """Who takes note."""
        return Recorder(self.description, host=self.host)

    def happens(self, state: str = "failed", *, hours: float = 0.0, **changes: t.Any) -> int:
        """Something happens, *hours* after what was before, and is taken note of."""
        self.clock.advance(hours * 3600 + 0.001)  # no two things happen at once
        occurrence: dict[str, t.Any] = {
            "topic": "backup",
            "service": "family",
            "job": JOB,
            "state": state,
            "at": self.clock.now(),
            "error": {} if state == "well" else ERROR,
            "is_told_each": True,
            **changes,
        }
        return self.recorder.record([Occurrence(**occurrence)])

    def send(self) -> Sent:
        """What waits is sent."""
        recorder = self.recorder
        return send_waiting(recorder.channels, recorder.spool, host=self.host)

    def tells(self, state: str = "failed", *, hours: float = 0.0, **changes: t.Any) -> Sent:
        """It happens and is sent."""
        self.happens(state, hours=hours, **changes)
        return self.send()


def _backup() -> dict[str, t.Any]:
    return {"kind": "full", "schedule": "0 2 * * *", "repositories": ["local", "offsite"], "keep": {"within": "30d"}}
