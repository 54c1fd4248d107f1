# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counting commits in what pg_waldump prints."""

from __future__ import annotations

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.fence_wal import _counted

PRINTED = """\
rmgr: Transaction len (rec/tot):     34/    34, tx:        745, lsn: 0/05000028, prev 0/05000000, desc: COMMIT 2026-11-21 02:00:01.000001 UTC
rmgr: Transaction len (rec/tot):     34/    34, tx:        746, lsn: 0/05000100, prev 0/050000C8, desc: ABORT 2026-11-21 02:00:02.000001 UTC
rmgr: Transaction len (rec/tot):    125/   125, tx:        747, lsn: 0/05000200, prev 0/050001C8, desc: COMMIT 2026-11-21 02:00:03.000001 UTC; subxacts: 748
rmgr: Transaction len (rec/tot):     82/    82, tx:        749, lsn: 0/05001FE8, prev 0/05001F00, desc: COMMIT_PREPARED 749: 2026-11-21 02:00:04.000001 UTC
"""  # noqa: E501 as it prints them


def test_commits_count_when_they_end_behind_what_was_received() -> None:
    found = _counted(PRINTED, received="0/5000000")
    assert (found.count, found.first, found.last) == (
        3,
        "2026-11-21 02:00:01.000001 UTC",
        "2026-11-21 02:00:04.000001 UTC",
    )
    # The last one crosses a page, whose header lies between.
    assert found.ends == ("0/500004A", "0/500027D", "0/5002052")


def test_one_that_came_in_part_is_lost_and_one_that_came_whole_is_not() -> None:
    assert _counted(PRINTED, received="0/5000049").count == 3
    assert _counted(PRINTED, received="0/500004A").count == 2
    assert _counted(PRINTED, received="0/5002051").count == 1
    assert _counted(PRINTED, received="0/5002052").count == 0
    assert _counted("", received="0/0").ends == ()
