# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Incremental backups of MongoDB are its oplog: one stream, whichever jobs want it, and kept as the longest says."""

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    Description,
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    ConfigurationInvalid,
    KindNotRunnable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.host_schedule import (
    ScheduleChoices,
    host_schedule,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.jobs import backup_request
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_reading import series_policies
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_requests import policies_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_requests import (
    ship_request,
    shipping_jobs,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.rules import merged

INCREMENTAL = {"kind": "incremental", "schedule": "0 */4 * * *", "repositories": ["local"], "keep": {"within": "7d"}}
OPLOG = {"kind": "oplog", "schedule": "*/15 * * * *", "repositories": ["local"], "keep": {"within": "1d"}}


def described(*backups: dict[str, t.Any]) -> Description:
    return load_description(
        {
            "lifeboat_repositories": {
                "local": {"type": "file", "path": "/srv/backups"},
                "cloud": {"type": "file", "path": "/srv/cloud"},
            },
            "lifeboat_services": [
                {
                    "name": "family",
                    "sources": [
                        {
                            "name": "main",
                            "engine": "mongodb",
                            "connection": {},
                            "backups": [
                                {"kind": "full", "repositories": ["local"], "keep": {"within": "30d"}},
                                *backups,
                            ],
                        }
                    ],
                }
            ],
        }
    )


@pytest.mark.parametrize("backups", [(INCREMENTAL, OPLOG), (OPLOG, INCREMENTAL)])
def test_both_jobs_are_one_stream_that_is_kept_as_the_longer_one_says(backups: tuple[dict[str, t.Any], ...]) -> None:
    description = described(*backups)
    jobs = {job.id: job for job in description.jobs()}
    incremental, oplog = jobs["family/main/incremental"], jobs["family/main/oplog"]
    assert ship_request(incremental).series == ship_request(oplog).series
    assert ship_request(incremental).spool_directory == ship_request(oplog).spool_directory
    assert shipping_jobs(description.jobs()) == [oplog]
    policies = series_policies(
        policies_of(description.jobs()),
        entries=(),
        summaries=(),
        now=datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc),
    )
    (stream,) = [one for one in policies if one.is_stream]
    assert stream.series.kind == "oplog"
    assert merged(stream.keeps).within == datetime.timedelta(days=7)


def test_the_more_frequent_job_is_the_one_that_a_host_runs() -> None:
    schedule = host_schedule(described(INCREMENTAL, OPLOG), ScheduleChoices(verify=False))
    calls = [call.words for service in schedule.services for call in service.calls if call.words[0] == "ship"]
    assert calls == [("ship", "family/main/oplog", "--once", "--quiet")]
    assert schedule.left_out == ()


def test_alone_it_ships_the_oplog_on_its_own_schedule() -> None:
    description = described(INCREMENTAL)
    (job,) = shipping_jobs(description.jobs())
    assert job.id == "family/main/incremental"
    assert ship_request(job).series.folder == "family/main/oplog/"
    (call,) = [
        call for service in host_schedule(description, ScheduleChoices(verify=False)).services for call in service.calls
    ]
    assert call.words == ("ship", "family/main/incremental", "--once", "--quiet")
    with pytest.raises(KindNotRunnable) as caught:
        backup_request(job)
    assert "lifeboat ship family/main/incremental" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"repositories": ["cloud"]}, "Name the same repositories in both: local."),
        ({"options": {"capture_seconds": 5}}, "Give options to the job of the kind oplog."),
    ],
)
def test_two_jobs_of_one_stream_must_not_differ_in_how_and_where(changes: dict[str, t.Any], problem: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        described({**INCREMENTAL, **changes}, OPLOG)
    assert problem in f"{caught.value.message} {caught.value.hint}"
