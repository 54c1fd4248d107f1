# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module failover_ledger notes in one call: the opening, and the intent of the first step with it."""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._failover_module import write_ledger
from tests.support.approvals import PLAN


def test_the_first_intent_is_noted_with_the_opening_and_with_each_taking_over(tmp_path: pathlib.Path) -> None:
    shared: dict[str, t.Any] = {
        "service": "family",
        "repositories": [{"name": name, "type": "file", "path": str(tmp_path / name)} for name in ("here", "there")],
        "operator": "ada",
        "data": {},
    }
    for name in ("here", "there"):
        (tmp_path / name).mkdir()

    def told(**options: t.Any) -> list[tuple[str, str]]:
        found = write_ledger({**shared, **options}, check=False, host=Host())["ledger"]
        return [(one["event"], one["step"]) for one in found["entries"]]

    opened = told(action="begin", plan=PLAN.as_dict(), begins="fence")
    assert opened == [("opened", ""), ("intended", "fence")]
    resumed = told(action="resume", run="run-0001", begins="fence")
    assert resumed == [*opened, ("resumed", ""), ("intended", "fence")]
    # Who takes it over to close it begins nothing.
    assert told(action="resume", run="run-0001") == [*resumed, ("resumed", "")]
    for name in ("here", "there"):
        assert len(list((tmp_path / name / "family/.failover/run-0001").iterdir())) == len(resumed) + 1
