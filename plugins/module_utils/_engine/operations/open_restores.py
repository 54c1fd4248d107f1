# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The restores of this host: those that somebody is not done with yet, and those of a backup."""

from __future__ import annotations

import typing as t

from ..core.state import StateDirectory, running_jobs
from ..recovery.ledger import FINISHED, RUNNING, all_restores

#: What a restore is called whose notes say that it runs, and that no process works on.
DIED = "died"


def open_restores(state: StateDirectory) -> list[dict[str, t.Any]]:
    """The restores of this host that somebody is not done with, oldest first, as JSON values.

    Those that run, those that died, and those that finished and left old data aside.
    """
    running = running_restores(state)
    found = []
    for document in all_restores(state):
        aside = aside_of(document)
        if document.get("state") == RUNNING or (document.get("state") == FINISHED and aside):
            request = document.get("request") or {}
            manifest = request.get("manifest") or {}
            steps = document.get("steps") or [{}]
            found.append(
                {
                    "id": document["id"],
                    "target": document["target"],
                    "state": state_of(document, running=running),
                    "started": document.get("started"),
                    "job": "/".join(str(manifest.get(key, "?")) for key in ("service", "source", "kind")),
                    "backup": manifest.get("id"),
                    "step": steps[-1].get("name"),
                    "aside": list(aside),
                }
            )
    return found


def restores_by_backup(state: StateDirectory) -> dict[str, list[dict[str, t.Any]]]:
    """The restores of this host by the id of the backup, oldest first, each with its options but the connection."""
    running = running_restores(state)
    found: dict[str, list[dict[str, t.Any]]] = {}
    for document in all_restores(state):
        request = document.get("request") or {}
        told = {
            "id": document["id"],
            "target": document["target"],
            "state": state_of(document, running=running),
            "started": document.get("started"),
            "options": {key: value for key, value in (request.get("options") or {}).items() if key != "connection"},
            "aside": list(aside_of(document)),
        }
        found.setdefault(str((request.get("manifest") or {}).get("id")), []).append(told)
    return found


def running_restores(state: StateDirectory) -> frozenset[str]:
    """The ids of those that a process works on."""
    return frozenset(str(document.get("id")) for document in running_jobs(state))


def state_of(document: t.Mapping[str, t.Any], *, running: frozenset[str]) -> str:
    """running, died, finished, rolled back or discarded."""
    noted = str(document["state"])
    return DIED if noted == RUNNING and document["id"] not in running else noted


def aside_of(document: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    """Where it has put the old data."""
    return tuple(str(one) for one in (document.get("outcome") or {}).get("aside") or ())
