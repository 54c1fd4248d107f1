# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host sees of a primary's lease: whether it is renewed, by the clock of the storage."""

from __future__ import annotations

import os
import pathlib
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.witness import HELD, Said, Witness
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._readiness_module import look_around
from tests.support.clocks import START, FakeClock

WANTED: t.Final = {"source": "main", "host": "north1", "repository": "third", "lease": 30}


def seen(folder: pathlib.Path, **changes: t.Any) -> dict[str, t.Any]:
    options = {
        "service": "adhd",
        "write": False,
        "catalog": False,
        "connection": {},
        "paths": [],
        "names": [],
        "resolvers": [],
        "leases": [{**WANTED, **changes}],
        "repositories": [{"name": "third", "type": "file", "path": str(folder)}],
    }
    told = look_around(options, check=False, host=Host(clock=FakeClock(), name="desk"))
    (lease,) = told["seen"]["leases"]
    found: dict[str, t.Any] = {key: lease[key] for key in ("state", "age_seconds", "problem")}
    return found


def test_a_lease_is_as_old_as_the_storage_says(tmp_path: pathlib.Path) -> None:
    assert seen(tmp_path) == {"state": None, "age_seconds": None, "problem": None}
    witness = Witness(repository="third", storage=LocalStorage(path=str(tmp_path)), service="adhd", source="main")
    witness.say(Said(host="north1", state=HELD, session="1", round=7, lease=30.0, at="by a clock that is wrong"))
    (stored,) = (path for path in tmp_path.rglob("*.json"))
    moment = START.timestamp() - 45
    os.utime(stored, (moment, moment))
    assert seen(tmp_path) == {"state": "held", "age_seconds": 45, "problem": None}
    assert seen(tmp_path, host="south1")["state"] is None
    assert seen(tmp_path, repository="other")["problem"] == "the repository was not given"
    stored.write_text("{}")
    assert "can't be read" in seen(tmp_path)["problem"]
