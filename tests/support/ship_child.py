# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shipping runs in processes of their own, that die where a test wants them to.

As a program it is a nursery (``tests/support/nursery.py``): :class:`Shipment` describes what a child does.
"""

from __future__ import annotations

import os
import pathlib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LifeboatError
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import stopping_on_signals
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import ship_run
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship import follow_ship, run_ship
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage import registry
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from tests.support.nursery import LaterClock, NurseryOf, die_where, kill, serve
from tests.support.streams import Tape, ship_request


@dataclass(frozen=True)
class Shipment:
    """One run, as JSON values; it kills itself at one of these places, or ends by itself.

    ``at_call``: before the n-th call to the repository *target* (after it with ``answer_lost``). ``at_system_call``:
    before the n-th system call that changes a file. ``at_request``: before the n-th request to S3. *follow*: go on
    until told to end. *later* is how many seconds the run's clock is ahead.
    """

    tape: str
    spool: str
    state: str
    repositories: dict[str, dict[str, t.Any]]
    target: str = ""
    at_call: int | None = None
    answer_lost: bool = False
    at_system_call: int | None = None
    at_request: int | None = None
    follow: bool = False
    later: float = 0.0
    parallel: int = 2
    required_copies: int | None = None
    spool_budget: int = 64 * 1024 * 1024
    environment: dict[str, str] = field(default_factory=dict)


def ship(shipment: Shipment) -> dict[str, t.Any]:
    """Ship in this process, which may not survive it; the result, or the error under ``error``."""
    os.environ.update(shipment.environment)

    def opened(description: t.Mapping[str, t.Any], *, name: str, **surroundings: t.Any) -> FaultyStorage:
        is_target = name == shipment.target
        point = FaultPoint(at_call=shipment.at_call, answer_lost=shipment.answer_lost) if is_target else None
        storage = registry.open_storage(description, name=name, **surroundings)
        return FaultyStorage(storage=storage, fault=kill, point=point)

    ship_run.open_storage = opened
    wanted = ship_request(
        Tape(pathlib.Path(shipment.tape)),
        shipment.repositories,
        state=shipment.state,
        spool=shipment.spool,
        parallel=shipment.parallel,
        required_copies=shipment.required_copies,
        spool_budget=shipment.spool_budget,
    )
    die_where(at_system_call=shipment.at_system_call, at_request=shipment.at_request)
    host = Host(clock=LaterClock(shipment.later), name="db1")
    try:
        with stopping_on_signals():
            result = follow_ship(wanted, host=host) if shipment.follow else run_ship(wanted, host=host)
    except LifeboatError as error:
        return {"error": error.as_dict()}
    return result.as_dict()


class ShipNursery(NurseryOf[Shipment]):
    """Ships in children of its own."""

    module = "tests.support.ship_child"


if __name__ == "__main__":
    serve(lambda values: ship(Shipment(**values)))
