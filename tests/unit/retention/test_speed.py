# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning takes time in proportion to what there is; ``tests/bench/retention_plan.py`` has the figures."""

from __future__ import annotations

import time

from tests.unit.retention.samples import HOUR, INCREMENTAL, NOW, entry, planned, policy


def seconds(number: int) -> float:
    """Of the processor, for so many backups, half of them increments; the best of three."""
    entries = []
    for hour in range(number // 2):
        base = entry(NOW - HOUR * (hour + 1), number=hour)
        entries += [base, entry(base.started + HOUR / 2, series=INCREMENTAL, parent=base.backup_id, number=hour)]
    policies = (policy(keep={"within": "7d", "monthly": 12, "yearly": 9}), policy(INCREMENTAL, keep={"daily": 9}))
    found = []
    for _run in range(3):
        started = time.process_time()
        planned(entries, *policies)
        found.append(time.process_time() - started)
    return min(found)


def test_ten_times_as_many_take_about_ten_times_as_long() -> None:
    few, many = seconds(2_000), seconds(20_000)
    # A hundred times as long would be the square; caches and the collector of garbage have their share.
    assert many < 40 * few
    assert many < 2.0
