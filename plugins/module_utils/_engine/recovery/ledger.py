# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore has done so far, on disk before and after each step: a run that dies is finished by the next one."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import typing as t

from ..core.clock import Clock, format_time
from ..core.durable import fsync_folder
from ..core.errors import RestoreLedgerInvalid
from ..core.state import StateDirectory

FOLDER = "restores"
INTENDED, DONE, UNDONE = "intended", "done", "undone"
#: What became of a whole restore. *running* without a process that holds the target's lock means that it died;
#: *discarded* is one that had finished, and whose moved-aside data is gone for ever.
RUNNING, FINISHED, ROLLED_BACK, DISCARDED = "running", "finished", "rolled back", "discarded"


class Ledger:
    """One restore's notes: a JSON document, replaced whole and made durable at every change.

    Steps are noted *intended* before anything is changed and *done* after, with facts (JSON values) that undoing or
    resuming needs: names of what was moved aside, for example. It never holds a secret.
    """

    def __init__(self, *, state: StateDirectory, clock: Clock, document: dict[str, t.Any]) -> None:
        self._state = state
        self._clock = clock
        self._document = document

    @classmethod
    def begin(
        cls, *, state: StateDirectory, clock: Clock, restore_id: str, target: str, request: t.Mapping[str, t.Any]
    ) -> Ledger:
        """Open the notes of a new restore. *request* says what is restored and how (JSON values, no secrets)."""
        ledger = cls(
            state=state,
            clock=clock,
            document={
                "id": restore_id,
                "target": target,
                "request": dict(request),
                "state": RUNNING,
                "started": format_time(clock.now()),
                "steps": [],
            },
        )
        ledger._save()
        return ledger

    @classmethod
    def load(cls, *, state: StateDirectory, clock: Clock, restore_id: str) -> Ledger:
        """The notes of an earlier restore. Raises RestoreLedgerInvalid when there are none or they can't be read."""
        document = state.read(FOLDER, f"{restore_id}.json")
        if document is None or document.get("id") != restore_id or not _is_whole(document):
            raise RestoreLedgerInvalid(
                f"There are no notes of a restore {restore_id} in {state.path}.",
                hint="See which there are: lifeboat restore --list",
                details={"restore": restore_id},
            )
        return cls(state=state, clock=clock, document=document)

    @property
    def state_directory(self) -> str:
        """The state directory that the notes lie in."""
        return self._state.path

    @property
    def restore_id(self) -> str:
        """The restore's id; it has the form of a backup's."""
        return str(self._document["id"])

    @property
    def target(self) -> str:
        """What is restored into, by the name that people confirm."""
        return str(self._document["target"])

    @property
    def request(self) -> t.Mapping[str, t.Any]:
        """What was asked for."""
        return t.cast("t.Mapping[str, t.Any]", self._document["request"])

    @property
    def state(self) -> str:
        """*running*, *finished*, *rolled back*, or *discarded* (finished, and what it moved aside is removed)."""
        return str(self._document["state"])

    def step_state(self, name: str) -> str | None:
        """*intended*, *done*, *undone*, or None when the step was never begun."""
        entry = self._find(name)
        return None if entry is None else str(entry["state"])

    def facts(self, name: str) -> dict[str, t.Any]:
        """What was noted with the step; empty when nothing was."""
        entry = self._find(name)
        return {} if entry is None else dict(entry["facts"])

    def intend(self, name: str, facts: t.Mapping[str, t.Any] | None = None) -> None:
        """Note durably that the step begins now."""
        self._note(name, INTENDED, facts)

    def done(self, name: str, facts: t.Mapping[str, t.Any] | None = None) -> None:
        """Note durably that the step has taken effect."""
        self._note(name, DONE, facts)

    def undone(self, name: str) -> None:
        """Note durably that the step's effects are gone."""
        self._note(name, UNDONE, None)

    def close(self, state: str, outcome: t.Mapping[str, t.Any] | None = None) -> None:
        """Note what became of the restore; *outcome* holds JSON values (what was moved aside, seconds ...)."""
        self._document["state"] = state
        self._document["ended"] = format_time(self._clock.now())
        self._document["outcome"] = dict(outcome or {})
        self._save()

    def as_dict(self) -> dict[str, t.Any]:
        """The notes as JSON values."""
        copy: dict[str, t.Any] = json.loads(json.dumps(self._document))
        return copy

    def _find(self, name: str) -> dict[str, t.Any] | None:
        for entry in self._document["steps"]:
            if entry["name"] == name:
                return t.cast("dict[str, t.Any]", entry)
        return None

    def _note(self, name: str, state: str, facts: t.Mapping[str, t.Any] | None) -> None:
        entry = self._find(name)
        if entry is None:
            entry = {"name": name, "state": state, "facts": {}}
            self._document["steps"].append(entry)
        entry["state"] = state
        entry["facts"].update(facts or {})
        entry["at"] = format_time(self._clock.now())
        self._save()

    def _save(self) -> None:
        folder = self._state.folder(FOLDER)
        path = os.path.join(folder, f"{self.restore_id}.json")
        data = json.dumps(self._document, indent=1).encode("utf-8")
        try:
            descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{self.restore_id}.json.")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):  # a signal came when it had its name already
                    os.unlink(temporary)
                raise
            fsync_folder(folder)
        except OSError as error:
            raise self._state.unusable(path, error) from error


def _is_whole(document: t.Mapping[str, t.Any]) -> bool:
    steps = document.get("steps")
    return (
        isinstance(document.get("target"), str)
        and isinstance(document.get("request"), dict)
        and document.get("state") in (RUNNING, FINISHED, ROLLED_BACK, DISCARDED)
        and isinstance(steps, list)
        and all(
            isinstance(entry, dict)
            and isinstance(entry.get("name"), str)
            and entry.get("state") in (INTENDED, DONE, UNDONE)
            and isinstance(entry.get("facts"), dict)
            for entry in steps
        )
    )


def unfinished_restores(state: StateDirectory, *, target: str | None = None) -> list[dict[str, t.Any]]:
    """The notes of restores that neither finished nor were rolled back (of *target* only), oldest first.

    One that runs just now is among them: whoever asks must hold the target's lock to tell.
    """
    return [
        document
        for document in all_restores(state)
        if document.get("state") == RUNNING and target in (None, document.get("target"))
    ]


def all_restores(state: StateDirectory) -> list[dict[str, t.Any]]:
    """The notes of every restore that this host made, oldest first."""
    documents = [state.read(FOLDER, name) for name in state.names(FOLDER)]
    return [document for document in documents if document is not None]
