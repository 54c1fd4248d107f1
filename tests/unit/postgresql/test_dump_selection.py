# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a copy of a dump must not have: jobs that run by the clock, subscriptions, triggers, passwords of others.

That real servers then do nothing of it is tests/integration/postgresql/test_reaching_out.py; pg_cron is no part of
PostgreSQL, so what dumps have of it is written down here.
"""

from __future__ import annotations

import io

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.dump_selection import (
    Selection,
    for_scratch,
    select,
    without_reaching_out,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.dump_toc import read_toc
from tests.support.pg_dumps import Entry, dump_head

# A database with pg_cron: its tables are the extension's, their rows are in the dump (pg_extension_config_dump).
WITH_JOBS = (
    Entry(1, "EXTENSION", "pg_cron"),
    Entry(2, "COMMENT", "EXTENSION pg_cron", needs=(1,)),
    Entry(3, "TABLE", "orders", schema="public"),
    Entry(4, "TABLE DATA", "orders", schema="public", needs=(3,), has_data=True),
    Entry(5, "TABLE DATA", "job", schema="cron", needs=(1,), has_data=True),
    Entry(6, "TABLE DATA", "job_run_details", schema="cron", has_data=True),
    Entry(7, "ACL", "TABLE job", schema="cron"),
    Entry(8, "EVENT TRIGGER", "outside"),
    Entry(9, "COMMENT", "EVENT TRIGGER outside", needs=(8,)),
    Entry(10, "SUBSCRIPTION", "mirrored"),
    Entry(11, "USER MAPPING", "USER MAPPING shop SERVER far"),
)


@pytest.fixture
def whole() -> Selection:
    return select(read_toc(io.BytesIO(dump_head(WITH_JOBS))))


def test_a_scratch_copy_has_no_jobs_no_subscriptions_no_triggers_no_accounts_elsewhere(whole: Selection) -> None:
    narrowed = for_scratch(whole)
    assert [entry.id for entry in narrowed.entries] == [3, 4]
    assert set(narrowed.left_out) == {
        "extension pg_cron (1)",
        "event trigger (1)",
        "subscription (1)",
        "user mapping (1)",
    }


def test_a_copy_beside_production_runs_no_jobs_and_does_not_subscribe(whole: Selection) -> None:
    narrowed = without_reaching_out(whole)
    assert [entry.id for entry in narrowed.entries] == [3, 4, 8, 9, 11]
    assert set(narrowed.left_out) == {"extension pg_cron (1)", "subscription (1)"}


def test_a_schema_called_cron_is_not_a_scheduler_by_its_name() -> None:
    own = (Entry(1, "SCHEMA", "cron"), Entry(2, "TABLE", "job", schema="cron", needs=(1,)))
    own += (Entry(3, "TABLE DATA", "job", schema="cron", needs=(2,), has_data=True),)
    assert (
        for_scratch(select(read_toc(io.BytesIO(dump_head(own))))).entries
        == read_toc(io.BytesIO(dump_head(own))).entries
    )
