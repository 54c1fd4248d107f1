# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host notes of degraded mode: who entered it until when, and of each measure what was so before.

``STATE/degraded/<service>.json``, replaced whole and on disk before anything is changed: so a run that dies is gone on
with, and leaving puts back what was there, whoever does it.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import parse_time
from ..core.state import StateDirectory

Json = t.Mapping[str, t.Any]

FOLDER = "degraded"
#: A measure of which it is noted what was before, one that is in force, and one that is being put back.
NOTED, ON, LEAVING = "noted", "on", "leaving"


@dataclass(frozen=True)
class Notes:
    """The note of one service on this host."""

    state: StateDirectory
    service: str

    def read(self) -> dict[str, t.Any]:
        """All of it: ``mode`` and ``measures`` by name."""
        found = self.state.read(FOLDER, f"{self.service}.json") or {}
        return {"mode": dict(found.get("mode") or {}), "measures": dict(found.get("measures") or {})}

    def put_mode(self, mode: Json) -> bool:
        """Note who entered it, why and until when; empty when it was left. Whether that is new."""
        document = self.read()
        if document["mode"] == dict(mode):
            return False
        self._write({**document, "mode": dict(mode)})
        return True

    def put_measure(self, name: str, note: Json | None) -> None:
        """Note something of a measure; None: it is put back."""
        document = self.read()
        measures = {key: value for key, value in document["measures"].items() if key != name}
        if note is not None:
            measures[name] = dict(note)
        self._write({**document, "measures": measures})

    def _write(self, document: Json) -> None:
        self.state.write(FOLDER, f"{self.service}.json", document, durably=True)


def noted_modes(state: StateDirectory) -> dict[str, Json]:
    """The mode of each service that is in degraded mode as far as this host knows: ``at``, ``until``, ``by``."""
    found = {name[: -len(".json")]: state.read(FOLDER, name) or {} for name in state.names(FOLDER)}
    return {service: one["mode"] for service, one in found.items() if one.get("mode")}


def pauses(state: StateDirectory, *, now: datetime.datetime) -> dict[str, str]:
    """The jobs (or their beginnings) that are paused here at *now*, with the reason that people are told."""
    found: dict[str, str] = {}
    for service, mode in noted_modes(state).items():
        until = _time(mode.get("until"))
        if until is None or now >= until:
            continue
        measures = (state.read(FOLDER, f"{service}.json") or {}).get("measures") or {}
        for name, note in measures.items():
            why = f"{service} is in degraded mode until {mode['until']} ({name}, by {mode.get('by')})"
            found.update({f"{service}/{job}": why for job in note.get("pauses") or ()})
    return found


def _time(text: t.Any) -> datetime.datetime | None:
    try:
        return parse_time(str(text))
    except ValueError:
        return None
