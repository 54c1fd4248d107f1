# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Incremental and differential backups of MongoDB are its oplog: one stream, whichever jobs want it, and kept as the
longest says.
"""

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
DIFFERENTIAL = {**INCREMENTAL, "kind": "differential"}
OPLOG = {"kind": "oplog", "schedule": "*/15 * * * *", "repositories": ["local"], "keep": {"within": "1d"}}


def described(*backups: dict[str, t.Any], full: bool = True) -> Description:
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
                                *([{"kind": "full", "repositories": ["local"], "keep": {"within": "30d"}}] * full),
                                *backups,
                            ],
                        }
                    ],
                }
            ],
        }
    )


@pytest.mark.parametrize(
    "backups", [(INCREMENTAL, OPLOG), (OPLOG, INCREMENTAL), (DIFFERENTIAL, OPLOG), (OPLOG, DIFFERENTIAL)]
)
def test_both_jobs_are_one_stream_that_is_kept_as_the_longer_one_says(backups: tuple[dict[str, t.Any], ...]) -> None:
    description = described(*backups)
    jobs = {job.id.rpartition("/")[2]: job for job in description.jobs()}
    oplog = jobs.pop("oplog")
    (other,) = [job for name, job in jobs.items() if name != "full"]
    assert ship_request(other).series == ship_request(oplog).series
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


@pytest.mark.parametrize("other", [INCREMENTAL, DIFFERENTIAL])
def test_whichever_is_asked_for_the_stream_is_captured_as_its_own_job_says(other: dict[str, t.Any]) -> None:
    own = {"spool_directory": "/srv/spool", "slice_mib": 8}
    recipients = {"recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudl9am5qv2xw5t"]}
    description = described(other, {**OPLOG, "options": own, "compression": {"level": 9}, "encryption": recipients})
    requests = [ship_request(job) for job in description.jobs() if job.kind == "oplog"]
    assert {(one.spool_directory, one.options["slice_mib"]) for one in requests} == {("/srv/spool", 8)}
    assert requests[0].transforms == requests[1].transforms


def test_an_incremental_and_a_differential_one_are_one_stream_without_a_third() -> None:
    description = described({**DIFFERENTIAL, "options": {"slice_mib": 8}}, {**INCREMENTAL, "schedule": "0 * * * *"})
    (job,) = shipping_jobs(description.jobs())
    assert (job.id, ship_request(job).options["slice_mib"]) == ("family/main/incremental", 8)


@pytest.mark.parametrize("kind", ["incremental", "differential", "oplog"])
def test_what_builds_on_a_full_backup_is_doubted_where_none_is_made(kind: str) -> None:
    (doubt,) = described({**INCREMENTAL, "kind": kind}, full=False).warnings
    assert doubt.startswith(f"family/main/{kind}: it is restored behind a backup of the kind full")


def test_the_more_frequent_job_is_the_one_that_a_host_runs() -> None:
    schedule = host_schedule(described(INCREMENTAL, OPLOG), ScheduleChoices(verify=False))
    calls = [call.words for service in schedule.services for call in service.calls if call.words[0] == "ship"]
    assert calls == [("ship", "family/main/oplog", "--once", "--quiet")]
    assert schedule.left_out == ()


@pytest.mark.parametrize("backup", [INCREMENTAL, DIFFERENTIAL])
def test_alone_it_ships_the_oplog_on_its_own_schedule(backup: dict[str, t.Any]) -> None:
    description = described(backup)
    (job,) = shipping_jobs(description.jobs())
    assert job.id == f"family/main/{backup['kind']}"
    assert ship_request(job).series.folder == "family/main/oplog/"
    (call,) = [
        call for service in host_schedule(description, ScheduleChoices(verify=False)).services for call in service.calls
    ]
    assert call.words == ("ship", job.id, "--once", "--quiet")
    with pytest.raises(KindNotRunnable) as caught:
        backup_request(job)
    assert f"lifeboat ship {job.id}" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"repositories": ["cloud"]}, "Name the same repositories in both: local."),
        ({"options": {"capture_seconds": 5}}, "Give options to the job of the kind oplog."),
        ({"compression": {"level": 9}}, "Give compression to the job of the kind oplog."),
    ],
)
def test_two_jobs_of_one_stream_must_not_differ_in_how_and_where(changes: dict[str, t.Any], problem: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        described({**INCREMENTAL, **changes}, OPLOG)
    assert problem in f"{caught.value.message} {caught.value.hint}"
    with pytest.raises(ConfigurationInvalid):
        described(DIFFERENTIAL, {**INCREMENTAL, **changes})
