# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Money is reckoned by the class that each backup is kept in, and from when the storage took it."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import replace

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import keep_policy_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_reading import (
    read_repositories,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_values import (
    JobPolicy,
    PruneRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.costs import (
    plan_costs,
    price_table_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import Limits, RetentionPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectInfo
from tests.support.clocks import FakeClock
from tests.support.copies import put_backup, put_verification
from tests.support.memory import MemoryStorage
from tests.support.removals import backup

NAME = "local"
PRICES = price_table_from({"currency": "EUR", "classes": {"STANDARD": {"gib_month": 1}, "COLD": {"gib_month": 1}}})


class Classes(MemoryStorage):
    """Says of each object in which class it is, as S3 does; *taken* is when it took all of them."""

    def __init__(self, classes: t.Mapping[str, str], taken: datetime.datetime) -> None:
        super().__init__()
        self._classes = classes
        self._taken = taken

    def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
        for found in super().list(prefix):
            named = [name for part, name in self._classes.items() if part in found.key]
            yield replace(found, modified=self._taken, storage_class=named[0] if named else None)


def planned(storage: Classes, *, now: datetime.datetime) -> RetentionPlan:
    """Of five backups, one a day, which all but the newest two no policy keeps."""
    series = Series(service="family", source="main", kind="base")
    for number in range(5):
        one = backup(number)
        series = one.folder.series
        put_backup(storage, one)
        put_verification(storage, one, {NAME: 4})
    policy = JobPolicy(
        repository=NAME,
        series=series,
        engine="postgresql",
        job="x",
        keep=keep_policy_from({"count": 1}),
        timezone="UTC",
    )
    request = PruneRequest(
        repositories=(RepositoryRequest(name=NAME, description={"type": "file", "path": "/nowhere"}),),
        policies=(policy,),
        state_directory="/nowhere",
    )
    reading = read_repositories(request, {NAME: storage}, host=Host(clock=FakeClock(now)), now=now)[NAME]
    found = plan(reading.content, reading.policies, now=now, limits=Limits(share=1.0))
    assert len(found.removals) == 3
    return found


def test_each_backup_is_billed_in_its_own_class() -> None:
    now = backup(4).finished + datetime.timedelta(days=2)
    ids = {backup(0).backup_id: "COLD", backup(1).backup_id: "STANDARD"}
    costs = plan_costs(planned(Classes(ids, backup(4).finished), now=now), PRICES, storage_class="NAMED")
    assert {one.storage_class: one.backups for one in costs.classes} == {"COLD": 1, "STANDARD": 1, "NAMED": 1}


def test_the_minimum_age_counts_from_when_the_storage_took_it() -> None:
    now = backup(4).finished + datetime.timedelta(days=200)
    taken = now - datetime.timedelta(days=10)
    brought = planned(Classes({"/": "STANDARD_IA"}, taken), now=now)
    (costs,) = plan_costs(brought, PRICES).classes
    assert costs.minimum_days == 30
    assert (costs.early, costs.still_billed_days) == (3, 20)
    (elsewhere,) = plan_costs(planned(Classes({}, taken), now=now), PRICES, storage_class="STANDARD_IA").classes
    assert elsewhere.early == 0, "by when it was made, where the storage names no class"
