# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plays of failovers write where ``lifeboat_evidence`` says."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.evidence import evidence
from tests.support.clocks import FakeClock
from tests.support.failovers import write_failover
from tests.support.memory import MemoryStorage

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible_collections.lifeboat.recovery.plugins.filter.evidence_play import evidence_file


def recorded() -> dict[str, t.Any]:
    ledger = write_failover({"local": MemoryStorage(), "offsite": MemoryStorage()})
    # As a module gives it back: through JSON.
    found: dict[str, t.Any] = json.loads(json.dumps({"ledger": ledger.as_dict(), "evidence": evidence(ledger)}))
    return found


def test_a_page_for_people_and_json_for_programs() -> None:
    said = recorded()
    clock = FakeClock()
    clock.advance(3600)
    page = evidence_file(said, "/srv/failover.html", clock=clock)
    assert page.startswith("<!doctype html>")
    assert "can be trusted" in page
    assert said["ledger"]["last_sha256"] in page
    assert json.loads(evidence_file(said, "/srv/failover.json")) == said["evidence"]
