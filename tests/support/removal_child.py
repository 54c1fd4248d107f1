# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removals of backups in processes of their own, that die where a test wants them to.

As a program it is a nursery (``tests/support/nursery.py``): :class:`RemovalRun` describes what a child does.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.support.nursery import NurseryOf, die_where, serve
from tests.support.removal_deaths import RealTime, remove


@dataclass(frozen=True)
class RemovalRun:
    """One removal, as JSON values; it kills itself at one of these places, or ends by itself.

    ``at_system_call``: before the n-th system call that changes a file. ``at_request``: before the n-th request to S3.
    """

    repository: dict[str, t.Any]
    versions: str = "current"
    at_system_call: int | None = None
    at_request: int | None = None
    environment: dict[str, str] = field(default_factory=dict)


def make_removal(run: RemovalRun) -> dict[str, t.Any]:
    """Remove in this process, which may not survive it."""
    os.environ.update(run.environment)
    storage = open_storage(run.repository, name="it", clock=SystemClock(), runner=SubprocessRunner())
    die_where(at_system_call=run.at_system_call, at_request=run.at_request)
    remove(storage, RealTime(), versions=run.versions)
    return {}


class RemovalNursery(NurseryOf[RemovalRun]):
    """Removes in children of its own."""

    module = "tests.support.removal_child"


if __name__ == "__main__":
    serve(lambda values: make_removal(RemovalRun(**values)))
